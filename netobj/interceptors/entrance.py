"""The interceptors of a server: its start and stop, who comes, who leaves."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from netobj.errors import Refused
from netobj.interceptors.hooks import Hook, overrides
from netobj.interceptors.interceptor import Interceptor, Peer

Call = Callable[..., Awaitable[Any]]
"""Calls a hook with arguments, and waits until it has ended."""


class Entrance:
    """What a server asks of its interceptors, and tells them.

    *call* is the front-end's. Where nothing is to be awaited the coroutines here never suspend.
    Each is told of the end exactly once, of what it was told the beginning of; the innermost first.
    """

    def __init__(
        self, interceptors: tuple[Interceptor, ...], call: Call, log: logging.Logger
    ) -> None:
        self._all = interceptors
        self._call = call
        self._log = log
        # Those who hear of peers: what they do when one comes, and when it has gone.
        self._hosts = [
            (one.on_accept, one.on_leave)
            for one in interceptors
            if overrides(one, "on_accept") or overrides(one, "on_leave")
        ]
        self._started: list[Interceptor] = []
        self._present: dict[Any, tuple[Peer, list[Hook]]] = {}

    @property
    def asks(self) -> bool:
        """Whether newcomers are to be passed through :meth:`accept`."""
        return bool(self._hosts)

    async def start(self, server: Any) -> None:
        """*server* starts. Raises what an interceptor raises; then it is stopped for the others."""
        try:
            for one in self._all:
                if overrides(one, "on_start") or overrides(one, "on_stop"):
                    await self._call(one.on_start, server)
                    self._started.append(one)
        except BaseException:
            await self.stop(server)
            raise

    async def stop(self, server: Any) -> None:
        """*server* has ended."""
        while self._started:
            try:
                one = self._started.pop()
            except IndexError:  # another thread was faster
                return
            await self._guarded(one.on_stop, server)

    async def accept(self, key: Any, peer: Peer) -> None:
        """*peer*, known as *key*, has come. Raises Refused, everybody having been told."""
        passed: list[Hook] = []
        try:
            for accept, leave in self._hosts:
                await self._call(accept, peer)
                passed.append(leave)
        except BaseException as exc:
            await self._tell(peer, passed)
            if isinstance(exc, Refused) or not isinstance(exc, Exception):
                raise
            self._log.exception("an interceptor failed when %s came", peer.address)
            raise Refused("an interceptor of the server's failed") from exc
        self._present[key] = (peer, passed)

    def enter(self, key: Any, connection: Any) -> None:
        """Who came as *key* is let in, and known as *connection* from here on."""
        found = self._present.pop(key, None)
        if found is not None:
            found[0].connection = connection
            self._present[connection] = found

    def rename(self, key: Any, other: Any) -> None:
        """Who came as *key* is known as *other* from here on."""
        found = self._present.pop(key, None)
        if found is not None:
            self._present[other] = found

    async def leave(self, key: Any) -> None:
        """Who was known as *key* has gone; may be said twice."""
        found = self._present.pop(key, None)
        if found is not None:
            await self._tell(*found)

    async def _tell(self, peer: Peer, passed: list[Hook]) -> None:
        while passed:
            await self._guarded(passed.pop(), peer)

    async def _guarded(self, hook: Hook, argument: Any) -> None:
        try:
            await self._call(hook, argument)
        except Exception:
            self._log.exception("%r raised", hook)
