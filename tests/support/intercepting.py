"""What the tests of interceptors share: interceptors that note, servers of every kind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import netobj
from netobj import aio
from skins import AioClient, Background, BlockingClient, Client


class Noting(netobj.Interceptor):
    """Notes what it is told, under *name*, in *notes*; plain."""

    def __init__(self, name: str = "one", notes: list[Any] | None = None) -> None:
        self.name = name
        self.notes: list[Any] = [] if notes is None else notes

    def note(self, *what: Any) -> None:
        self.notes.append((self.name, *what))

    def of(self, what: str) -> list[Any]:
        """What was noted of *what*."""
        return [note[2:] for note in list(self.notes) if note[1] == what]

    def on_start(self, server: Any) -> Any:
        self.note("start", server)

    def on_stop(self, server: Any) -> Any:
        self.note("stop", server)

    def on_accept(self, peer: Any) -> Any:
        self.note("accept", peer)

    def on_leave(self, peer: Any) -> Any:
        self.note("leave", peer)

    def on_call(self, call: Any, next: Any) -> Any:
        self.note("call", call.name)
        return next(call)

    def on_close(self, conn: Any, reason: str) -> Any:
        self.note("close", conn, reason)


class NotingLater(Noting):
    """The same, asynchronous."""

    async def on_start(self, server: Any) -> Any:
        await asyncio.sleep(0)
        self.note("start", server)

    async def on_stop(self, server: Any) -> Any:
        await asyncio.sleep(0)
        self.note("stop", server)

    async def on_accept(self, peer: Any) -> Any:
        await asyncio.sleep(0)
        self.note("accept", peer)

    async def on_leave(self, peer: Any) -> Any:
        await asyncio.sleep(0)
        self.note("leave", peer)

    async def on_call(self, call: Any, next: Any) -> Any:
        self.note("call", call.name)
        await asyncio.sleep(0)
        return await next(call)

    async def on_close(self, conn: Any, reason: str) -> Any:
        await asyncio.sleep(0)
        self.note("close", conn, reason)


KINDS: list[type[Noting]] = [Noting, NotingLater]


class LoopServer:
    """An aio.Server on a loop in the background."""

    def __init__(self, service: Any, host: str, **more: Any) -> None:
        self._loop = Background("server loop")
        if "protocol_config" in more:
            more["config"] = more.pop("protocol_config")
        self.server = self._loop.call(lambda: aio.Server(service, host, **more))

    def __enter__(self) -> Any:
        try:
            self._loop.run(self.server.start())
        except BaseException:
            self._loop.close()
            raise
        return self.server

    def __exit__(self, *_: object) -> None:
        self._loop.run(self.server.close())
        self._loop.close()


SERVERS: dict[str, Callable[..., AbstractContextManager[Any]]] = {
    "threaded": netobj.ThreadedServer,
    "pool": netobj.ThreadPoolServer,
    "async": netobj.AsyncServer,
    "aio": LoopServer,
}
SKINS: dict[str, Any] = {"blocking": netobj.connect, "aio": aio.connect}


@contextmanager
def client(skin: str, port: int, **more: Any) -> Iterator[Client]:
    """A client of that *skin*."""
    loop = Background("client loop")
    try:
        if skin == "blocking":
            one: Client = BlockingClient(netobj.connect("localhost", port, **more), loop)
        else:

            async def connect() -> Any:
                return await aio.connect("localhost", port, **more)

            one = AioClient(loop.run(connect()), loop)
        try:
            yield one
        finally:
            one.close()
    finally:
        loop.close()


def threads() -> int:
    """How many there are."""
    return threading.active_count()
