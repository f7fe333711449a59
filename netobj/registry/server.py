"""The registry itself: it hears who serves what, and tells who asks."""

from __future__ import annotations

import logging
import selectors
import socket
import sys
import threading
import time
from types import TracebackType
from typing import Any, Final

from netobj.registry.answering import Registry
from netobj.registry.interfaces import facing
from netobj.registry.messages import PACKET, REGISTRY_PORT
from netobj.registry.places import Address
from netobj.registry.stopping import Stop

DEFAULT_PRUNING_TIMEOUT: Final = 240
"""Seconds after which a server that has not registered again is forgotten."""

MOST_CONNECTIONS: Final = 200
"""TCP connections at once; the oldest makes room for the next one."""
CONNECTION_SECONDS: Final = 10.0
"""How long a TCP connection may last."""
_ACCEPT_PAUSE: Final = 0.1
_BURST: Final = 64
"""Datagrams that are answered before looking whether to stop."""


class RegistryServer:
    """Base of registries; a subclass says how packets travel.

    *host*, *port*: what to bind, by default all IPv4 addresses and 18811; port 0 lets the system
    choose. *pruning_timeout*: seconds after which a server that has not registered again is
    forgotten. *allow_listing*: whether everybody may ask for the names of all services. *token*: a
    secret of 16 bytes or more (ValueError for less); only who knows it may register.

    Binding happens when ``port``, ``host`` or ``start`` is first used. As a context manager it
    serves in the background until the block ends.
    """

    _type: socket.SocketKind
    _kind = ""

    def __init__(
        self,
        host: str = "0.0.0.0",
        port: int = REGISTRY_PORT,
        pruning_timeout: float | None = None,
        logger: logging.Logger | None = None,
        allow_listing: bool = False,
        *,
        token: str | bytes | None = None,
    ) -> None:
        keep = DEFAULT_PRUNING_TIMEOUT if pruning_timeout is None else pruning_timeout
        self.logger = logger or logging.getLogger(f"REGSRV/{self._kind}/{port}")
        self.pruning_timeout = keep
        self.active = False
        self._address = (host, port)
        self._lock = threading.Lock()  # for the making of the socket, which is made once
        self._sock: socket.socket | None = None
        self._stop: Stop | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        self._registry = Registry(
            keep,
            self.logger,
            allow_listing=allow_listing,
            token=token,
            facing=facing,
            # Looked up when called: a program may replace them on the object.
            added=lambda name, address: self.on_service_added(name, address),
            removed=lambda name, address: self.on_service_removed(name, address),
        )

    @property
    def allow_listing(self) -> bool:
        """Whether everybody may ask for the names of all services."""
        return self._registry.allow_listing

    @allow_listing.setter
    def allow_listing(self, allowed: bool) -> None:
        self._registry.allow_listing = allowed

    @property
    def services(self) -> dict[str, tuple[Address, ...]]:
        """What is registered now: the addresses of each service by its name."""
        found: dict[str, list[Address]] = {}
        for name, address in self._registry.table:
            found.setdefault(name, []).append(address)
        return {name: tuple(addresses) for name, addresses in found.items()}

    def on_service_added(self, name: str, addrinfo: Address) -> None:
        """Called when *name* is registered at an address where it was not; to be overridden.

        Not when it is registered again. What it raises is logged.
        """

    def on_service_removed(self, name: str, addrinfo: Address) -> None:
        """Called when *name* is unregistered at an address, or forgotten; to be overridden."""

    # --- the socket ----------------------------------------------------------------------------

    def _bind(self) -> socket.socket:
        with self._lock:
            if self._closed:
                raise OSError("the registry is closed")
            if self._sock is None:
                self._sock = self._make()
            return self._sock

    def _make(self) -> socket.socket:
        family, kind, protocol, _, address = socket.getaddrinfo(*self._address, 0, self._type)[0]
        sock = socket.socket(family, kind, protocol)
        try:
            self._prepare(sock)
            sock.bind(address)
            self._listen(sock)
            sock.setblocking(False)
            self._stop = Stop()
        except BaseException:
            sock.close()
            raise
        return sock

    def _prepare(self, sock: socket.socket) -> None:
        """Set what is to be set before *sock* is bound."""

    def _listen(self, sock: socket.socket) -> None:
        """Do what is to be done after it."""

    @property
    def host(self) -> str:
        """The address that the registry is bound to."""
        host: str = self._bind().getsockname()[0]
        return host

    @property
    def port(self) -> int:
        """The port that the registry is bound to."""
        port: int = self._bind().getsockname()[1]
        return port

    # --- serving -------------------------------------------------------------------------------

    def start(self) -> None:
        """Answer until :meth:`close`, or until Ctrl-C; returns at once if closed.

        Raises OSError if the address cannot be bound, ValueError if it runs already.
        """
        if self.active:
            raise ValueError("the registry is running already")
        try:
            if self._closed:
                return
            sock, stop = self._bind(), self._stop
            assert stop is not None
            self.active = True
            self.logger.info("registry started on [%s]:%d", *sock.getsockname()[:2])
            with selectors.DefaultSelector() as selector:
                selector.register(sock, selectors.EVENT_READ)
                selector.register(stop, selectors.EVENT_READ)
                self._serve(sock, stop, selector)
        except KeyboardInterrupt:
            self.logger.warning("interrupted: the registry closes")
        except (OSError, ValueError):  # of sockets that are closed meanwhile
            if not self._closed:
                raise
        finally:
            self.active = False
            self._closed = True
            self._release()
            self.logger.info("registry has terminated")

    def _serve(self, sock: socket.socket, stop: Stop, selector: selectors.BaseSelector) -> None:
        every = min(10.0, max(0.05, self.pruning_timeout / 4))
        # Closed meanwhile, perhaps, and before there was anything to stop.
        while not (stop.is_set or self._closed):
            for key, _ in selector.select(every):
                if key.fileobj is not stop:
                    self._ready(key.fileobj, selector)
            self._registry.prune(time.monotonic())
            self._tidy(selector)

    def _ready(self, sock: Any, selector: selectors.BaseSelector) -> None:
        """Something has come at *sock*."""
        raise NotImplementedError

    def _tidy(self, selector: selectors.BaseSelector) -> None:
        """Called now and then."""

    def _answer(self, data: bytes, source: Any) -> bytes | None:
        now = time.monotonic()
        try:
            return self._registry.answer(data, source[:2], now)
        except Exception as exc:  # whatever somebody has found, the others are answered
            self._registry.grumble(now, "answering %s failed: %r", source, exc)
            return None

    def _release(self) -> None:
        sock, self._sock = self._sock, None
        stop, self._stop = self._stop, None
        if sock is not None:
            sock.close()
        if stop is not None:
            stop.close()

    def close(self) -> None:
        """End :meth:`start`, from any thread or signal handler. Closing twice does no harm."""
        self._closed = True
        stop = self._stop
        if stop is not None:
            stop.set()
        if not self.active and self._thread is None:
            self._release()

    def __enter__(self) -> RegistryServer:
        self._bind()  # now, so that errors are raised here
        self._thread = threading.Thread(target=self.start, name="netobj registry", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if self._thread is not None:
            self._thread.join()


class UDPRegistryServer(RegistryServer):
    """A registry that hears broadcasts, and answers them; see :class:`RegistryServer`.

    >>> with UDPRegistryServer("127.0.0.1", port=0) as registry:
    ...     registry.services
    {}
    """

    _type = socket.SOCK_DGRAM
    _kind = "UDP"

    def _ready(self, sock: Any, selector: selectors.BaseSelector) -> None:
        for _ in range(_BURST):
            try:
                data, source = sock.recvfrom(PACKET + 1)
            except BlockingIOError:
                return
            except OSError as exc:  # of an earlier answer, on some systems
                self._registry.grumble(time.monotonic(), "receiving failed: %s", exc)
                return
            reply = self._answer(data, source)
            if reply is not None:
                try:
                    sock.sendto(reply, source)
                except OSError:  # it will ask again
                    pass


class _Client:
    """A TCP connection to the registry."""

    def __init__(self, sock: socket.socket, source: Any, until: float) -> None:
        self.sock = sock
        self.source = source
        self.until = until
        self.received = b""


class TCPRegistryServer(RegistryServer):
    """A registry that is asked by TCP, where routers keep broadcasts; see :class:`RegistryServer`.

    *reuse_addr*: bind also while connections of an earlier one linger.

    >>> with TCPRegistryServer("127.0.0.1", port=0) as registry:
    ...     registry.services
    {}
    """

    _type = socket.SOCK_STREAM
    _kind = "TCP"

    def __init__(
        self,
        host: str = "0.0.0.0",
        port: int = REGISTRY_PORT,
        pruning_timeout: float | None = None,
        logger: logging.Logger | None = None,
        reuse_addr: bool = True,
        allow_listing: bool = False,
        *,
        token: str | bytes | None = None,
    ) -> None:
        super().__init__(host, port, pruning_timeout, logger, allow_listing, token=token)
        self._reuse_addr = reuse_addr
        self._clients: dict[socket.socket, _Client] = {}  # in the order in which they came

    def _prepare(self, sock: socket.socket) -> None:
        if self._reuse_addr and sys.platform != "win32":  # there it lets others steal the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def _listen(self, sock: socket.socket) -> None:
        sock.listen(socket.SOMAXCONN)

    def _ready(self, sock: Any, selector: selectors.BaseSelector) -> None:
        client = self._clients.get(sock)
        if client is None:
            if sock is self._sock:
                self._accept(selector)
        elif not self._serve_client(client):
            self._drop(client, selector)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        now = time.monotonic()
        try:
            sock, source = self._bind().accept()
        except BlockingIOError:
            return
        except OSError as exc:  # out of descriptors, perhaps
            self._registry.grumble(now, "accepting failed, trying again soon: %s", exc)
            time.sleep(_ACCEPT_PAUSE)
            return
        sock.setblocking(False)
        self._clients[sock] = _Client(sock, source, now + CONNECTION_SECONDS)
        selector.register(sock, selectors.EVENT_READ)
        if len(self._clients) > MOST_CONNECTIONS:
            self._drop(next(iter(self._clients.values())), selector)

    def _serve_client(self, client: _Client) -> bool:
        """Answer what has come; False when that was the last."""
        try:
            piece = client.sock.recv(PACKET - len(client.received))
        except BlockingIOError:
            return True
        except OSError:
            return False
        client.received += piece
        if not piece or len(client.received) < PACKET:
            return bool(piece)
        reply = self._answer(client.received, client.source)
        client.received = b""
        try:
            return reply is not None and client.sock.send(reply) == len(reply)
        except OSError:  # it does not read what it asked for
            return False

    def _drop(self, client: _Client, selector: selectors.BaseSelector) -> None:
        del self._clients[client.sock]
        selector.unregister(client.sock)
        client.sock.close()

    def _tidy(self, selector: selectors.BaseSelector) -> None:
        now = time.monotonic()
        for client in list(self._clients.values()):
            if client.until > now:
                break
            self._drop(client, selector)

    def _release(self) -> None:
        for client in self._clients.values():
            client.sock.close()
        self._clients.clear()
        super()._release()
