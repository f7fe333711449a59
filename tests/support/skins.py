"""What tests do with a client of either skin, in one spelling.

The tests spell remote expressions as users do (``root.accounts["alice"].balance``) and hand them to
:meth:`Client.get`: for a blocking client they have their value by then, for one on an event loop
they are paths that are awaited there. What the two skins spell differently has a method here.
"""

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import operator
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import netobj
from netobj import aio
from netobj.errors import CallCancelled
from patience import HANG


class Background:
    """An event loop in a thread of its own."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        """Begin *work* as a task; it inherits this thread's deadline and metadata."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Wait for *work*, and return its result or raise its error."""
        future = self.start(work)
        try:
            return future.result(HANG)
        except StopAsyncIteration as exc:  # what the end of an iteration is in a thread
            raise StopIteration(*exc.args) from None
        finally:
            del future  # its error leads to this frame

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call *function* on the loop."""

        async def work() -> Any:
            return function(*args)

        return self.run(work())

    def close(self) -> None:
        """End the loop and its thread."""

        async def rest() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.loop.shutdown_asyncgens()
            await self.loop.shutdown_default_executor()

        self.run(rest())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(HANG)
        self.loop.close()


class Started:
    """A call that was started and is not waited for yet."""

    def __init__(
        self, result: Callable[[], Any], cancel: Callable[[], object], done: Callable[[], bool]
    ) -> None:
        self.result = result
        self.cancel = cancel
        self.done = done


class Client:
    """What tests do with a connection of either skin. *loop*: for what is asynchronous."""

    skin: str

    def __init__(self, connection: Any, loop: Background) -> None:
        self.connection = connection
        self.loop = loop

    @property
    def root(self) -> Any:
        """The root of the other side."""
        return self.connection.root


class BlockingClient(Client):
    """A client of the blocking skin."""

    skin = "blocking"

    def get(self, value: Any) -> Any:
        """What a remote expression comes to."""
        return value

    def start(self, method: Any, *args: Any, **kwargs: Any) -> Started:
        """Call the remote *method* without waiting."""
        return _of_result(netobj.async_(method)(*args, **kwargs))

    def oneway(self, method: Any, *args: Any) -> None:
        """Call the remote *method* without an answer."""
        assert netobj.oneway(method)(*args) is None

    def start_with(self, first: Any, args: tuple[Any, ...], second: Any) -> list[Started]:
        """Call *first*, and *second* with what will come of that; both without waiting."""
        one = netobj.async_(first)(*args)
        return [_of_result(one), _of_result(netobj.async_(second)(one))]

    def pipelined(self, build: Callable[[Any], Any]) -> list[Callable[[], Any]]:
        """Send all that *build* makes of the root, at once; what give or raise the results."""
        results: Any = None
        try:
            with netobj.batch(self.connection):
                results = build(self.root)
        except Exception:  # the first failure; each result tells its own
            if results is None:
                raise
        return [lambda result=result: result.value for result in results]

    def start_pipelined(self, build: Callable[[Any], Any]) -> Started:
        """The same in the background: the results, once all are there."""
        pool = concurrent.futures.ThreadPoolExecutor(1)
        future = pool.submit(lambda: [fetch() for fetch in self.pipelined(build)])
        pool.shutdown(wait=False)
        return Started(lambda: future.result(HANG), future.cancel, future.done)

    def items(self, iterable: Any) -> Any:
        """An iterator over what is remote, with ``close()``."""
        return iter(iterable)

    def next(self, iterator: Any) -> Any:
        """The next item of a remote iterator; StopIteration at its end."""
        return next(iterator)

    @contextmanager
    def entered(self, manager: Any) -> Iterator[Any]:
        """The ``with`` block of a remote context manager."""
        with manager as value:
            yield value

    def entered_async(self, manager: Any) -> AbstractContextManager[Any]:
        """The ``async with`` block of a remote asynchronous context manager."""
        return _entered_on(self.loop, manager)

    @contextmanager
    def open(self, method: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Open a two-way stream to *method*."""
        with method.open(*args, **kwargs) as end:
            yield end

    def function(self, steps: Callable[..., Any]) -> Callable[..., Any]:
        """A callback of the generator function *steps*, which yields remote expressions."""

        def run(*args: Any) -> Any:
            generator = steps(*args)
            value = next(generator)
            while True:
                try:
                    value = generator.send(value)
                except StopIteration as end:
                    return end.value

        return run

    def act(self, name: str, *args: Any) -> Any:
        """The operation *name* of :mod:`netobj.aio.op`."""
        return _OPERATIONS[name](*args)

    def close(self) -> None:
        """End the connection."""
        self.connection.close()

    def ping(self) -> None:
        """Ping the other side."""
        self.connection.ping()


def _of_result(result: netobj.AsyncResult) -> Started:
    return Started(lambda: result.value, result.cancel, lambda: result.ready)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(builtins, name) for name in "len str repr int float hash divmod".split()},
    **{name: getattr(builtins, name) for name in "getattr setattr delattr bytes".split()},
    **{name: getattr(builtins, name) for name in "isinstance dir".split()},
    **{name: getattr(operator, name) for name in "setitem delitem contains truth".split()},
    **{name: getattr(operator, name) for name in "add sub mul matmul mod pow truediv".split()},
    **{name: getattr(operator, name) for name in "floordiv lshift rshift and_ or_ xor".split()},
    **{name: getattr(operator, name) for name in "eq ne lt le gt ge iadd imul ior".split()},
    **{name: getattr(operator, name) for name in "isub neg pos invert abs index".split()},
    "copy_of": netobj.copy_of,
}


class AioClient(Client):
    """A client on an event loop, used from the test's thread."""

    skin = "aio"

    def get(self, value: Any) -> Any:
        """What a remote expression comes to."""
        return self.loop.run(_awaited(value))

    def start(self, method: Any, *args: Any, **kwargs: Any) -> Started:
        """Call the remote *method* without waiting."""
        return _started(self.loop.start(_awaited(method(*args, **kwargs))))

    def oneway(self, method: Any, *args: Any) -> None:
        """Call the remote *method* without an answer."""
        assert self.loop.run(netobj.oneway(method)(*args)) is None

    def start_with(self, first: Any, args: tuple[Any, ...], second: Any) -> list[Started]:
        """Call *first*, and *second* with what will come of that; both without waiting."""
        one = first(*args)
        then = self.loop.start(_awaited(second(one)))
        return [_started(self.loop.start(_awaited(one))), _started(then)]

    def pipelined(self, build: Callable[[Any], Any]) -> list[Callable[[], Any]]:
        """Send all that *build* makes of the root, at once; what give or raise the results."""
        nodes = build(self.root)
        results = self.loop.run(_gathered(nodes, True))
        return [lambda result=result: _given(result) for result in results]

    def start_pipelined(self, build: Callable[[Any], Any]) -> Started:
        """The same in the background: the results, once all are there."""
        return _started(self.loop.start(_gathered(build(self.root), False)))

    def items(self, iterable: Any) -> Any:
        """An iterator over what is remote, with ``close()``."""
        return _Items(self.loop, iterable.__aiter__())

    def next(self, iterator: Any) -> Any:
        """The next item of a remote iterator; StopIteration at its end."""
        return self.loop.run(iterator.__aiter__().__anext__())

    def entered(self, manager: Any) -> AbstractContextManager[Any]:
        """The ``with`` block of a remote context manager."""
        return _entered_on(self.loop, manager)

    entered_async = entered

    @contextmanager
    def open(self, method: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Open a two-way stream to *method*."""
        with _entered_on(self.loop, method.open(*args, **kwargs)) as end:
            yield _End(self.loop, end)

    def function(self, steps: Callable[..., Any]) -> Callable[..., Any]:
        """A callback of the generator function *steps*, which yields remote expressions."""

        async def run(*args: Any) -> Any:
            generator = steps(*args)
            value = await _awaited(next(generator))
            while True:
                try:
                    value = await _awaited(generator.send(value))
                except StopIteration as end:
                    return end.value

        return run

    def act(self, name: str, *args: Any) -> Any:
        """The operation *name* of :mod:`netobj.aio.op`."""
        return self.get(getattr(aio.op, name)(*args))

    def close(self) -> None:
        """End the connection."""
        self.loop.run(self.connection.close())

    def ping(self) -> None:
        """Ping the other side."""
        self.loop.run(self.connection.ping())


async def _awaited(value: Any) -> Any:
    if isinstance(value, aio.reference.Node) or asyncio.iscoroutine(value):
        return await value
    return value


async def _gathered(nodes: list[Any], errors: bool) -> list[Any]:
    return await asyncio.gather(*map(_awaited, nodes), return_exceptions=errors)


def _given(result: Any) -> Any:
    if isinstance(result, BaseException):
        raise result
    return result


def _started(future: concurrent.futures.Future[Any]) -> Started:
    def result() -> Any:
        try:
            return future.result(HANG)
        except concurrent.futures.CancelledError:  # a blocking result says so in our own words
            raise CallCancelled("the task was cancelled") from None

    return Started(result, future.cancel, future.done)


class _Items(Iterator[Any]):
    def __init__(self, loop: Background, iterator: Any) -> None:
        self._loop = loop
        self._iterator = iterator

    def __next__(self) -> Any:
        return self._loop.run(self._iterator.__anext__())

    def close(self) -> None:
        self._loop.run(self._iterator.aclose())


class _End(Iterator[Any]):
    def __init__(self, loop: Background, end: Any) -> None:
        self._loop = loop
        self._end = end

    def send(self, item: Any) -> None:
        self._loop.run(self._end.send(item))

    def receive(self) -> Any:
        return self._loop.run(self._end.receive())

    def __next__(self) -> Any:
        return self._loop.run(self._end.__anext__())

    def end(self, error: BaseException | None = None) -> None:
        self._loop.call(self._end.end, error)

    def close(self) -> None:
        self._loop.call(self._end.close)


@contextmanager
def _entered_on(loop: Background, manager: Any) -> Iterator[Any]:
    kind = type(manager)

    async def enter() -> Any:
        return await kind.__aenter__(manager)

    async def leave(exc: BaseException | None) -> Any:
        return await kind.__aexit__(manager, exc and type(exc), exc, exc and exc.__traceback__)

    value = loop.run(enter())
    try:
        yield value
    except BaseException as exc:
        if not loop.run(leave(exc)):
            raise
    else:
        loop.run(leave(None))
