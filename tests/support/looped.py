"""What the tests of the asyncio skin share: loops, joined connections, a relay that counts."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any

import netobj
from netobj import aio

try:
    import uvloop
except ImportError:  # it is not for Windows
    uvloop = None  # type: ignore[assignment]

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
if uvloop is not None:
    LOOPS["uvloop"] = uvloop.new_event_loop


def run(
    main: Coroutine[Any, Any, Any],
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> Any:
    """Run *main* in debug mode; nothing may go wrong on the side, and nothing may be left over."""
    loop = new_loop()
    wrong: list[Any] = []

    loop.set_exception_handler(lambda _, context: wrong.append(context))
    loop.set_debug(True)
    loop.slow_callback_duration = 1000.0
    try:
        result = loop.run_until_complete(asyncio.wait_for(main, 60))
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
    gc.collect()
    assert not wrong, str(wrong)
    assert not left, str(left)
    return result


class Joined:
    """A client's connection, and the server that it is connected to."""

    def __init__(self, conn: aio.Connection, server: aio.Server) -> None:
        self.conn = conn
        self.root = conn.root
        self.server = server

    @property
    def there(self) -> aio.Connection:
        """The server's side of the connection."""
        (there,) = self.server.connections
        return there

    async def is_clean(self) -> None:
        """Wait until nothing is left in the tables of either side; fails if that does not come."""
        try:
            await until(lambda: not self._left())
        except AssertionError:
            raise AssertionError(f"left in the tables: {self._left()}") from None

    def _left(self) -> list[Any]:
        gc.collect()
        left: list[Any] = []
        for side in (self.conn, self.there):
            side.flush_releases()
            session = side.session
            left += [*session.pending, *session.running, *session.boxing.answers]
            left += [len(session.flows)] if len(session.flows) else []
            left += [*session.boxing.exports, *session.boxing.imports, *session._left]
            left += [*side.dispatcher._tasks, *side.dispatcher._lanes]
        return left + [*aio.chains.outermost, *aio.chains.waiting]


@asynccontextmanager
async def joined(
    service: Any,
    here: Any = netobj.VoidService,
    config: dict[str, Any] | None = None,
    server_config: dict[str, Any] | None = None,
    workers: int = 4,
    clean: bool = True,
) -> AsyncIterator[Joined]:
    """A connection to a server of *service*; at the end nothing may be left in the tables."""
    server = aio.Server(service, "localhost", config=server_config or {}, workers=workers)
    async with server, aio.connect("localhost", server.port, here, config or {}) as conn:
        await until(lambda: server.connections)
        pair = Joined(conn, server)
        yield pair
        if clean:
            await pair.is_clean()


def awaiting(node: Any, name: str | None = None) -> asyncio.Task[Any]:
    """A task that awaits *node*; asyncio's own function takes nothing but coroutines."""
    return asyncio.create_task(_await(node), name=name)


async def _await(node: Any) -> Any:
    return await node


async def until(condition: Callable[[], object]) -> None:
    """Wait until *condition* holds; fails after 10 seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "the condition did not come to hold"
        await asyncio.sleep(0.001)


class Relay:
    """Between a client and a server: notes who sent when."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._log: list[str] = []
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """Where to connect to."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def round_trips(self) -> int:
        """How often the client sent something after the server had."""
        return [name for name, _ in groupby(self._log)].count("client")

    def forget(self) -> None:
        """Count from here on."""
        self._log.clear()

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            await task

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other = await asyncio.open_connection("127.0.0.1", self._port)
        for name, source, sink in (("client", reader, other[1]), ("server", other[0], writer)):
            self._tasks.append(asyncio.create_task(self._pass_on(name, source, sink)))

    async def _pass_on(
        self, name: str, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await source.read(65536):
                self._log.append(name)
                sink.write(data)
        except OSError:
            pass
        finally:
            sink.close()


@asynccontextmanager
async def relayed(service: Any) -> AsyncIterator[tuple[aio.Connection, Relay]]:
    """A connection to a server of *service* over a relay that counts."""
    async with (
        aio.Server(service, "127.0.0.1") as server,
        Relay(server.port) as relay,
        aio.connect("127.0.0.1", relay.port) as conn,
    ):
        yield conn, relay


def counted(log: list[int], most: int) -> Iterator[int]:
    """The numbers below *most*; *log* gets each that was asked for, and -1 at the end."""
    try:
        for number in range(most):
            log.append(number)
            yield number
    finally:
        log.append(-1)
