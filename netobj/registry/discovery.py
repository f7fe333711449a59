"""Finding services by their names."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from typing import Any, Final

from netobj.errors import DiscoveryError, ForbiddenError
from netobj.registry.client import RegistryClient, UDPRegistryClient, addresses_of
from netobj.registry.places import Address

REACH: Final = 2.0
"""Seconds at least that a server has to be reached, where there may be others."""

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 0.4


def discover(
    service_name: str, host: str | None = None, registrar: Any = None, timeout: float = 2
) -> tuple[Address, ...]:
    """The addresses, (host, port), of the servers of a service, in any case of its name.

    *host*: only of those on that host. *registrar*: a client of the registry; by default every
    registry that hears a broadcast on the networks of this machine, or runs on it. *timeout*:
    seconds for a server to be found: one that has just been started may not be registered yet.
    Raises DiscoveryError if there is none, OSError for a *host* that nobody knows.

    >>> import netobj
    >>> from netobj.utils.registry import UDPRegistryClient, UDPRegistryServer
    >>> class EchoService(netobj.Service):
    ...     def exposed_echo(self, text): return text
    >>> with UDPRegistryServer("127.0.0.1", port=0) as registry:
    ...     registrar = UDPRegistryClient("127.0.0.1", registry.port)
    ...     with netobj.ThreadedServer(EchoService, port=0, registrar=registrar) as server:
    ...         netobj.discover("echo", registrar=registrar) == (("127.0.0.1", server.port),)
    True
    """
    registrar = UDPRegistryClient(timeout=timeout) if registrar is None else registrar
    only = None if host is None else addresses_of(host)
    until = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while True:
        everywhere, trouble = _search(registrar, service_name)
        found = tuple(at for at in everywhere if only is None or at[0] in only)
        left = until - time.monotonic()
        if found or left <= 0:
            break
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)
    if found:
        return found
    where = "" if host is None else f" on {host}"
    if everywhere:
        trouble = f"there are some elsewhere, at {everywhere}"
    raise DiscoveryError(
        f"no server of {service_name!r} was found{where}: "
        f"{trouble or f'the registry of {registrar!r} knows none'}"
    )


def _search(registrar: Any, name: str) -> tuple[tuple[Address, ...], str]:
    if isinstance(registrar, RegistryClient):
        return registrar.search(name)
    return tuple((host, port) for host, port in registrar.discover(name)), ""


def in_any_order(addresses: Iterable[Address]) -> list[Address]:
    """*addresses* in an order of chance, so that clients spread over the servers."""
    mixed = list(addresses)
    random.shuffle(mixed)
    return mixed


def unreachable(service_name: str, refusals: Iterable[str]) -> DiscoveryError:
    """The error for a service whose servers all have refused, each with its reason."""
    return DiscoveryError(f"no server of {service_name!r} can be reached: {'; '.join(refusals)}")


def list_services(
    registrar: Any = None, filter_host: str | None = None, timeout: float = 2
) -> tuple[str, ...]:
    """The names of all services, or of those with servers at *filter_host*.

    *registrar*, *timeout*: as for :func:`discover`. Raises ForbiddenError if the registry does not
    allow listing, which is its default.

    >>> from netobj.utils.registry import UDPRegistryClient, UDPRegistryServer
    >>> with UDPRegistryServer("127.0.0.1", port=0, allow_listing=True) as registry:
    ...     registrar = UDPRegistryClient("127.0.0.1", registry.port)
    ...     registrar.register(["ECHO"], 18861)
    ...     list_services(registrar)
    True
    ('ECHO',)
    """
    registrar = UDPRegistryClient(timeout=timeout) if registrar is None else registrar
    names = registrar.list(filter_host)
    if names is None:
        raise ForbiddenError(
            "the registry does not allow listing: start it with allow_listing=True, "
            "or netobj_registry --listing"
        )
    return tuple(names)
