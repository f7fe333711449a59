"""Clients of a registry ("registrars"): to register servers there, and to find them."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import secrets
import selectors
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from typing import Any, Final, NamedTuple

from netobj.registry.asking import Catalogue, Change, Conversation, Search
from netobj.registry.interfaces import LOOPBACK, local_addresses
from netobj.registry.messages import (
    MOST_HOSTS,
    PACKET,
    REGISTRY_PORT,
    SERVER_ID,
    Register,
    Unregister,
    key_of,
)
from netobj.registry.places import Address
from netobj.registry.stopping import Stop

REREGISTER_INTERVAL: Final = 60
"""Seconds after which a server registers again."""
BROADCAST: Final = "255.255.255.255"

_RESEND: Final = (0.0, 0.2, 0.5, 1.0)
"""Seconds after which a packet that nobody has answered is sent again: networks lose some."""
_LINGER: Final = 0.2
"""Seconds for other registries to answer a broadcast, once the first one has."""
_EVERYWHERE: Final = ("", "0.0.0.0", "::")


class Attempt(NamedTuple):
    """What came of registering: why it did not succeed, "" if it did.

    *may_have*: a registry may have done it, whether its answer has come or not.
    """

    trouble: str
    may_have: bool


class RegistryClient:
    """Base of clients; a subclass says how packets travel (:meth:`_converse`).

    *ip*, *port*: where the registry is. *timeout*: seconds to wait for its answer. *token*: what
    the registry was started with, if anything (a secret of 16 bytes or more; ValueError for less).
    Given one, answers of whoever does not know it are not believed.
    """

    REREGISTER_INTERVAL: float = REREGISTER_INTERVAL
    _kind = ""

    def __init__(
        self,
        ip: str,
        port: int = REGISTRY_PORT,
        timeout: float = 2,
        logger: logging.Logger | None = None,
        *,
        token: str | bytes | None = None,
    ) -> None:
        self.ip = ip
        self.port = port
        self.timeout = timeout
        self.logger = logger or logging.getLogger(f"REGCLNT/{self._kind}")
        self._key = key_of(token)
        self._id = secrets.token_bytes(16)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.ip!r}, {self.port})"

    def discover(self, name: str) -> tuple[Address, ...]:
        """The addresses, (host, port), at which the service *name* is served; () for none."""
        return self.search(name)[0]

    def search(self, name: str) -> tuple[tuple[Address, ...], str]:
        """What :meth:`discover` returns, and why that may be nothing (or "")."""
        search = Search(name, self._key)
        self._ask(search)
        return search.found, search.trouble

    def list(self, filter_host: str | None = None) -> tuple[str, ...] | None:
        """The names of all services, or of those at the host *filter_host*.

        None if the registry does not allow listing, () if it does not answer.
        """
        hosts = () if filter_host is None else addresses_of(filter_host)[:MOST_HOSTS]
        catalogue = Catalogue(tuple(hosts), self._key)
        self._ask(catalogue)
        return catalogue.found

    def register(
        self,
        aliases: Iterable[str],
        port: int,
        interface: str = "",
        *,
        hosts: Sequence[str] = (),
    ) -> bool:
        """Say that a server at *port* serves what has the names *aliases*; False if nobody heard.

        *interface*: the address that the server is bound to, by default all. *hosts*: the
        addresses at which it is reached where those differ from its own, as in a container; that
        takes a token. The reason for False is logged. Raises LimitExceeded for more or longer
        names than a packet holds, ValueError for what is no name, port or address.
        """
        return self._said(self.attempt(aliases, port, interface, hosts=hosts).trouble)

    def attempt(
        self,
        aliases: Iterable[str],
        port: int,
        interface: str = "",
        *,
        hosts: Sequence[str] = (),
        stop: Stop | None = None,
    ) -> Attempt:
        """As :meth:`register`, but returns what came of it and logs nothing.

        *stop* ends the waiting early.
        """
        names = tuple(dict.fromkeys(name.upper() for name in aliases))
        source, anywhere = _ways(interface, hosts)
        server = self._server_id(port, interface)
        request = Register(b"", server, names, port, tuple(hosts), anywhere)
        return self._change(Change(request, self._key), source, stop, self.timeout)

    def unregister(
        self,
        port: int,
        interface: str = "",
        *,
        hosts: Sequence[str] = (),
        timeout: float | None = None,
    ) -> bool:
        """Take back what was registered with the same arguments; False if nobody heard.

        *timeout*: seconds, by default those of the client.
        """
        source, anywhere = _ways(interface, hosts)
        request = Unregister(b"", port, tuple(hosts), anywhere)
        patience = self.timeout if timeout is None else timeout
        return self._said(self._change(Change(request, self._key), source, None, patience).trouble)

    def _server_id(self, port: int, interface: str) -> bytes:
        """What is the same however the registry is reached."""
        said = self._id + f"{interface} {port}".encode()
        return hashlib.sha256(said).digest()[:SERVER_ID]

    def _change(
        self, change: Change[Any], interface: str, stop: Stop | None, patience: float
    ) -> Attempt:
        self._ask(change, interface, stop, patience)
        return Attempt("" if change.is_done else change.trouble, change.is_under_way)

    def _said(self, trouble: str) -> bool:
        if trouble:
            self.logger.warning("the registry has not taken it: %s", trouble)
        return not trouble

    @property
    def _where(self) -> str:
        return f"{self.ip}:{self.port} ({self._kind})"

    def _ask(
        self,
        conversation: Conversation,
        interface: str = "",
        stop: Stop | None = None,
        patience: float | None = None,
    ) -> None:
        until = time.monotonic() + (self.timeout if patience is None else patience)
        self._converse(conversation, interface, stop, until)
        if not conversation.is_answered:
            trouble = f"no registry answered at {self._where}"
            said = conversation.trouble
            conversation.trouble = f"{trouble}: {said}" if said else trouble

    def _converse(
        self, conversation: Conversation, interface: str, stop: Stop | None, until: float
    ) -> None:
        """Hold *conversation* until it has ended, or *until* that time, or *stop*."""
        raise NotImplementedError


def _ways(interface: str, hosts: Sequence[str]) -> tuple[str, bool]:
    """From which address to tell a registry of a server, "" for all; and if it is at all of them.

    Where the registry is told at which *hosts* the server is, it does not matter from where.
    """
    everywhere = interface in _EVERYWHERE
    return ("" if everywhere or hosts else interface), everywhere and not hosts


class _Path(NamedTuple):
    """One way to send a request."""

    sock: socket.socket
    target: Any


class UDPRegistryClient(RegistryClient):
    """Asks registries by UDP: by default whoever hears a broadcast, on any network of this machine.

    A broadcast also goes to this machine itself, so a registry here is found without any network.
    *ip*: the address or name of one registry instead. *bcast*: whether *ip* is a broadcast
    address; by default if one of its parts is 255. *ipv6*: look for IPv6 addresses of *ip*, which
    must be given then (ValueError): IPv6 has no broadcast.

    >>> from netobj.registry.server import UDPRegistryServer
    >>> with UDPRegistryServer("127.0.0.1", port=0) as registry:
    ...     client = UDPRegistryClient("127.0.0.1", registry.port)
    ...     client.register(["ECHO"], 18861)
    ...     client.discover("echo")
    True
    (('127.0.0.1', 18861),)
    """

    _kind = "UDP"

    def __init__(
        self,
        ip: str = BROADCAST,
        port: int = REGISTRY_PORT,
        timeout: float = 2,
        bcast: bool | None = None,
        logger: logging.Logger | None = None,
        ipv6: bool = False,
        *,
        token: str | bytes | None = None,
    ) -> None:
        super().__init__(ip, port, timeout, logger, token=token)
        self.ipv6 = ipv6 or ":" in ip
        if self.ipv6 and (ip == BROADCAST or bcast):
            raise ValueError("IPv6 has no broadcast: give the address of the registry (ip=)")
        self.bcast = not self.ipv6 and ("255" in ip.split(".") if bcast is None else bcast)

    def _converse(
        self, conversation: Conversation, interface: str, stop: Stop | None, until: float
    ) -> None:
        with ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            if stop is not None:
                selector.register(stop, selectors.EVENT_READ)
            try:
                paths = self._open_paths(interface, stack)
            except OSError as exc:
                conversation.failed(f"{exc}")
                return
            for sock in {path.sock for path in paths}:
                selector.register(sock, selectors.EVENT_READ)
            self._talk(conversation, paths, selector, until)

    def _open_paths(self, interface: str, stack: ExitStack) -> list[_Path]:
        family = socket.AF_INET6 if self.ipv6 else socket.AF_INET
        if (":" in interface) != self.ipv6:
            interface = ""  # of the other family: nothing can be sent from there
        if self.ip != BROADCAST or not self.bcast:
            target = socket.getaddrinfo(self.ip, self.port, family, socket.SOCK_DGRAM)[0][4]
            return [_Path(stack.enter_context(self._bound(interface)), target)]
        # A packet to this address leaves by one interface only: the one that it is sent from.
        sources = [interface] if interface else local_addresses()
        if sys.platform != "linux" and not interface:
            sources.append("")
        paths = []
        for source in sources:
            here = source.startswith("127.")
            try:
                sock = stack.enter_context(self._bound(source))
            except OSError as exc:
                self.logger.debug("nothing can be sent from %s: %s", source, exc)
                continue
            paths.append(_Path(sock, (LOOPBACK if here else BROADCAST, self.port)))
            if interface and not here:  # the loopback is no way for it, but a registry may be here
                paths.append(_Path(sock, (LOOPBACK, self.port)))
        return paths

    def _bound(self, source: str) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if self.ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if self.bcast:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            if source:
                sock.bind((source, 0))
        except BaseException:
            sock.close()
            raise
        return sock

    def _talk(
        self,
        conversation: Conversation,
        paths: list[_Path],
        selector: selectors.BaseSelector,
        until: float,
    ) -> None:
        start = time.monotonic()
        resend = [start + pause for pause in _RESEND]
        while True:
            now = time.monotonic()
            if resend and now >= resend[0] and not conversation.is_answered:
                del resend[0]
                self._send_all(conversation, paths)
            if conversation.is_settled or now >= until:
                return
            if conversation.is_answered and not self.bcast:
                return
            pause = min([until, *resend[:1]]) - now
            for key, _ in selector.select(max(0.0, pause)):
                if isinstance(key.fileobj, Stop):
                    return
                self._receive(conversation, key.fileobj)
            if conversation.is_answered:
                resend.clear()
                until = min(until, time.monotonic() + _LINGER)

    def _send_all(self, conversation: Conversation, paths: list[_Path]) -> None:
        for sock, target in paths:
            try:
                sock.sendto(conversation.opening, target)
            except OSError as exc:
                conversation.failed(f"{target[0]} cannot be reached: {exc}")

    def _receive(self, conversation: Conversation, sock: Any) -> None:
        try:
            data, source = sock.recvfrom(PACKET + 1)
            following = conversation.hear(data)
            if following is not None:
                sock.sendto(following, source)
        except OSError as exc:  # "connection refused" may be one, of what was sent before
            conversation.failed(f"{exc}")


class TCPRegistryClient(RegistryClient):
    """Asks the registry at *ip*, an address or a name, by TCP.

    >>> from netobj.registry.server import TCPRegistryServer
    >>> with TCPRegistryServer("127.0.0.1", port=0) as registry:
    ...     client = TCPRegistryClient("127.0.0.1", registry.port)
    ...     client.register(["ECHO"], 18861)
    ...     client.discover("echo")
    True
    (('127.0.0.1', 18861),)
    """

    _kind = "TCP"

    def _converse(
        self, conversation: Conversation, interface: str, stop: Stop | None, until: float
    ) -> None:
        try:
            addresses = socket.getaddrinfo(self.ip, self.port, 0, socket.SOCK_STREAM)
        except OSError as exc:
            conversation.failed(f"{exc}")
            return
        for family, *_, address in addresses:
            try:
                with closing(socket.socket(family, socket.SOCK_STREAM)) as sock:
                    if interface and (":" in interface) == (family == socket.AF_INET6):
                        sock.bind((interface, 0))
                    _Stream(sock, stop, until).talk(conversation, address)
            except OSError as exc:
                conversation.failed(f"{exc}")
            if conversation.is_answered or (stop is not None and stop.is_set):
                return


class _Stream:
    """Packets over a TCP connection, each wait bounded."""

    def __init__(self, sock: socket.socket, stop: Stop | None, until: float) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._stop = stop
        self._until = until

    def talk(self, conversation: Conversation, address: Any) -> None:
        try:
            self._sock.connect(address)
        except BlockingIOError:
            self._wait(selectors.EVENT_WRITE)
            code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, "the registry cannot be reached") from None
        packet: bytes | None = conversation.opening
        while packet is not None:
            self._send(packet)
            packet = conversation.hear(self._receive())

    def _send(self, packet: bytes) -> None:
        left = memoryview(packet)
        while left:
            try:
                left = left[self._sock.send(left) :]
            except BlockingIOError:
                self._wait(selectors.EVENT_WRITE)

    def _receive(self) -> bytes:
        data = b""
        while len(data) < PACKET:
            try:
                piece = self._sock.recv(PACKET - len(data))
            except BlockingIOError:
                self._wait(selectors.EVENT_READ)
                continue
            if not piece:
                raise ConnectionError("the registry has closed the connection")
            data += piece
        return data

    def _wait(self, what: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._sock, what)
            if self._stop is not None:
                selector.register(self._stop, selectors.EVENT_READ)
            ready = selector.select(max(0.0, self._until - time.monotonic()))
        if not ready or any(key.fileobj is self._stop for key, _ in ready):
            raise TimeoutError("there was no answer in time")


def resolve(host: str) -> list[str]:
    """The addresses of *host*; raises OSError (socket.gaierror) for a name that nobody knows.

    >>> resolve("127.0.0.1")
    ['127.0.0.1']
    """
    found = socket.getaddrinfo(host, None, 0, socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found))


def addresses_of(host: str) -> list[str]:
    """As :func:`resolve`; if *host* is this machine's loopback, all addresses of this machine.

    For servers on this machine are registered at any of them.
    """
    found = dict.fromkeys(resolve(host))
    if any(ipaddress.ip_address(address).is_loopback for address in found):
        found.update(dict.fromkeys(local_addresses()))
    return list(found)
