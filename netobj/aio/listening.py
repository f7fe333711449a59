"""The listening sockets of a server on an event loop, and accepting from them.

asyncio's own servers leave who comes without an answer when there is no descriptor, and know
nothing of a bound; so this does the accepting, and the loop only says when there is somebody.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from netobj.refusing import ACCEPT_PAUSE, NO_DESCRIPTOR, PASSING, Spare
from netobj.sockets import address_text, refused
from netobj.taking_turns import Room, Turn

_AT_ONCE: Final = 100
"""Accepted in one turn of the loop; the others who wait have the next one."""
_NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)
"""Of an address of a kind that this machine does not have, whatever a name server says."""


class Host(NamedTuple):
    """What a server does about those who come; all three are called on the loop."""

    accepted: Callable[[socket.socket, Any], object]
    refuse: Callable[[socket.socket, str], object]
    failed: Callable[[OSError], object]
    """Nobody is accepted any more because of this error."""


class Listening:
    """Accepts from *listeners*, which belong to it, on the running loop, until it is closed.

    *room*: that of several processes, which accept from the same.
    """

    def __init__(
        self,
        listeners: list[socket.socket],
        host: Host,
        logger: logging.Logger,
        room: Room | None = None,
    ) -> None:
        self._turns = {} if room is None else {sock: Turn(room, sock) for sock in listeners}
        self.listeners = listeners
        self._host = host
        self._logger = logger
        self._loop = asyncio.get_running_loop()
        self._spare = Spare()
        self._watched: set[socket.socket] = set()
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, backlog: int) -> None:
        """Listen, and accept from the loop's next turn on. Raises OSError."""
        for listener in self.listeners:
            listener.setblocking(False)
            listener.listen(backlog)
        self._spare.renew()
        for listener in self.listeners:
            self._watch(listener)

    def close(self) -> None:
        """Accept nobody from here on."""
        for listener in self._watched:
            self._loop.remove_reader(listener)
        for pause in self._pauses.values():
            pause.cancel()
        for task in self._tasks:
            task.cancel()
        self._spare.close()
        for listener in self.listeners:
            listener.close()

    def _watch(self, listener: socket.socket) -> None:
        try:
            self._loop.add_reader(listener, self._accept, listener)
        except NotImplementedError:  # as on Windows
            task = self._loop.create_task(self._accept_in_task(listener))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._watched.add(listener)

    def _accept(self, listener: socket.socket) -> None:
        turn = self._turns.get(listener)
        for _ in range(_AT_ONCE):
            if turn is not None and (pause := turn.pause()):
                self._rest(listener, pause, self._resume)
                return
            try:
                sock, address = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                ends = turn is not None and exc.errno == errno.EINVAL  # which this will be told
                if ends or not self._passes(listener, exc):
                    self._forget(listener)
                else:
                    self._rest(listener, ACCEPT_PAUSE, self._watch)
                return
            self._host.accepted(sock, address)

    def _rest(
        self, listener: socket.socket, seconds: float, then: Callable[[socket.socket], object]
    ) -> None:
        """Accept nobody for some time, and do *then*."""
        self._forget(listener)  # or it would be asked again at once
        self._pauses[listener] = self._loop.call_later(seconds, then, listener)

    def _forget(self, listener: socket.socket) -> None:
        self._loop.remove_reader(listener)
        self._watched.discard(listener)

    def _resume(self, listener: socket.socket) -> None:
        self._watch(listener)
        self._accept(listener)

    async def _accept_in_task(self, listener: socket.socket) -> None:
        # Who comes in the very turn in which this is cancelled is closed by the collector alone.
        while True:
            try:
                sock, address = await self._loop.sock_accept(listener)
            except OSError as exc:
                if not self._passes(listener, exc):
                    return
                await asyncio.sleep(ACCEPT_PAUSE)
            else:
                self._host.accepted(sock, address)

    def _passes(self, listener: socket.socket, exc: OSError) -> bool:
        """Do about *exc* what can be done; True if accepting is to go on soon."""
        if exc.errno not in PASSING:
            self._host.failed(exc)
            return False
        self._logger.error("accepting failed, trying again soon: %s", exc)
        newcomer = self._spare.accept(listener) if exc.errno in NO_DESCRIPTOR else None
        if newcomer is not None and newcomer.welcome:
            self._host.accepted(newcomer.sock, newcomer.address)
        elif newcomer is not None:
            self._host.refuse(newcomer.sock, f"{exc.strerror}")
            self._spare.renew()
        return True


async def bind(host: str | None, port: int) -> list[socket.socket]:
    """Sockets bound to *port* of all addresses of *host*, by default of all interfaces.

    Raises OSError where an address is taken, or if there is none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    last: OSError | None = None
    bound: list[socket.socket] = []
    try:
        for family, _, protocol, _, address in dict.fromkeys(found):
            try:
                bound.append(_bind(family, protocol, address))
            except OSError as exc:
                last = refused(address_text(address), exc)
                if exc.errno not in _NOT_HERE:
                    raise last from exc
        if not bound:
            raise last or refused(f"{host}:{port}", None)
    except BaseException:
        for sock in bound:
            sock.close()
        raise
    return bound


def _bind(family: int, protocol: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        if os.name != "nt":  # there it lets others steal the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # IPv4 has a socket of its own
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock
