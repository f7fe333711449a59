"""The tables of a registry: which servers serve a name, and since when they were not heard of.

No I/O and no clock: times are handed in, in seconds of any clock that only goes forward.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

from netobj.errors import LimitExceeded
from netobj.registry.places import Address, Place

Change: TypeAlias = tuple[str, Address]
"""The name of a service, and an address at which it is served from now on, or no longer."""

MOST_ENTRIES: Final = 10_000
"""Pairs of a name and an address that a registry remembers."""
MOST_FROM_ONE: Final = 1_000
"""Those among them that one host has registered."""


class Entry(NamedTuple):
    """One name at one address."""

    name: str
    server: bytes
    address: Address


class Seen(NamedTuple):
    """When an entry was registered last, by which host, and what that said about it."""

    at: float
    source: str
    anywhere: bool


class Table:
    """What a registry remembers. An address belongs to the server that registered it last.

    >>> table = Table(keep=240)
    >>> table.register("10.0.0.1", b"id", ["ECHO"], [("10.0.0.1", 9000)], False, now=0)
    [('ECHO', ('10.0.0.1', 9000))]
    >>> table.prune(now=241)
    [('ECHO', ('10.0.0.1', 9000))]
    """

    def __init__(
        self, keep: float, most: int = MOST_ENTRIES, most_from_one: int = MOST_FROM_ONE
    ) -> None:
        self._keep = keep
        self._most = most
        self._most_from_one = most_from_one
        self._entries: dict[Entry, Seen] = {}  # who was seen longest ago comes first
        self._by_name: dict[str, dict[bytes, set[Entry]]] = {}
        self._by_address: dict[Address, set[Entry]] = {}
        self._from: Counter[str] = Counter()

    def register(
        self,
        source: str,
        server: bytes,
        names: Iterable[str],
        addresses: Iterable[Address],
        anywhere: bool,
        now: float,
    ) -> list[Change]:
        """Remember that *server* serves *names* at *addresses*; returns what is new of it.

        *anywhere*: it is reached at every address of its machine. LimitExceeded if that is too
        much; then nothing is changed.
        """
        addresses = list(addresses)
        entries = [Entry(name, server, address) for name in names for address in addresses]
        others = [
            entry
            for address in addresses
            for entry in self._by_address.get(address, ())
            if entry.server != server
        ]
        self._check_room(source, entries, others)
        moved = {(entry.name, entry.address) for entry in others}
        for entry in others:
            self._remove(entry)
        new = []
        for entry in entries:
            if self._entries.get(entry) is not None:
                self._remove(entry)
            elif (entry.name, entry.address) not in moved:
                new.append((entry.name, entry.address))
            self._add(entry, Seen(now, source, anywhere))
        return new

    def _check_room(self, source: str, entries: list[Entry], others: list[Entry]) -> None:
        new = [entry for entry in entries if entry not in self._entries]
        freed = sum(self._entries[entry].source == source for entry in others)
        if len(self._entries) + len(new) - len(others) > self._most:
            raise LimitExceeded(f"the registry remembers {self._most} names at addresses at most")
        if self._from[source] + len(new) - freed > self._most_from_one:
            raise LimitExceeded(
                f"the registry remembers {self._most_from_one} names at addresses of one host "
                "at most"
            )

    def _add(self, entry: Entry, seen: Seen) -> None:
        self._entries[entry] = seen
        self._by_name.setdefault(entry.name, {}).setdefault(entry.server, set()).add(entry)
        self._by_address.setdefault(entry.address, set()).add(entry)
        self._from[seen.source] += 1

    def _remove(self, entry: Entry) -> Change:
        seen = self._entries.pop(entry)
        servers = self._by_name[entry.name]
        servers[entry.server].discard(entry)
        if not servers[entry.server]:
            del servers[entry.server]
            if not servers:
                del self._by_name[entry.name]
        at = self._by_address[entry.address]
        at.discard(entry)
        if not at:
            del self._by_address[entry.address]
        self._from[seen.source] -= 1
        if not self._from[seen.source]:
            del self._from[seen.source]
        return entry.name, entry.address

    def unregister(self, addresses: Iterable[Address]) -> list[Change]:
        """Forget what is served at *addresses*; returns what that was."""
        gone = [entry for address in addresses for entry in self._by_address.get(address, ())]
        return [self._remove(entry) for entry in gone]

    def prune(self, now: float) -> list[Change]:
        """Forget what was not registered again in time; returns what that was."""
        gone = []
        for entry, seen in self._entries.items():
            if seen.at >= now - self._keep:
                break
            gone.append(entry)
        return [self._remove(entry) for entry in gone]

    def servers(self, name: str) -> list[tuple[bytes, list[Place]]]:
        """The servers of *name* by their ids, each with where it is."""
        servers = self._by_name.get(name, {})
        return [
            (server, [Place(*entry.address, self._entries[entry].anywhere) for entry in entries])
            for server, entries in sorted(servers.items())
        ]

    def names(self) -> list[str]:
        """The names of all services, in order."""
        return sorted(self._by_name)

    def __iter__(self) -> Iterator[Change]:
        for entry in list(self._entries):  # a copy, in one step: others may look at it
            yield entry.name, entry.address
