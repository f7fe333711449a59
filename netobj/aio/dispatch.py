"""Running what the peer calls: ``async def`` as tasks, plain functions here or in a worker.

:meth:`Dispatcher.route` is called on the loop for each request, in the order of the wire. A request
that names answers which are not there yet waits for them. Asynchronous requests of one of the
peer's threads pass through their lane: they start in order, and plain ones do not overlap. All
state here belongs to the loop's thread; workers hand back what they have come to with
``call_soon_threadsafe``.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextlib import nullcontext
from contextvars import copy_context
from functools import partial
from types import MethodType
from typing import Any, Final, Protocol

from netobj.aio.chains import find_waiter, outermost, serving, waiting
from netobj.aio.threads import as_blocking
from netobj.aio.workers import Workers
from netobj.calls import SHALLOW, Scope, check_crowd, check_depth, scope
from netobj.core.ends import AsyncDuplex, Duplex
from netobj.core.events import Cancel, Request
from netobj.core.exposure import Run
from netobj.core.flow import Flow
from netobj.core.handlers import declared_run, is_concurrent, perform, runs_on_loop
from netobj.core.numbers import numbers
from netobj.core.outcomes import UNFINISHED, Awaited, Opened, Streamed, close_unawaited
from netobj.core.pumping import Batch, pump_async, pump_some
from netobj.core.session import Session
from netobj.errors import AsyncResultTimeout, CallCancelled

FLUSH_SOON: Final = 0.002
"""Seconds that an item of a plain generator's stream waits for the next at most."""

_CLIENT_WORKERS: Final = 8
"""Threads at most that a client uses for callbacks which are marked slow."""


class Host(Protocol):
    """What a dispatcher needs of its connection."""

    session: Session
    loop: asyncio.AbstractEventLoop

    @property
    def log(self) -> logging.Logger:
        """Where the connection logs."""

    async def wait_until_async(self, ready: Callable[[], bool], flow: Flow) -> None:
        """Wait until *ready*, which changes of *flow* may bring about."""

    def congested(self) -> bool:
        """Too much waits to be written: no call is to begin; from any thread."""

    def when_room(self, callback: Callable[[], object]) -> None:
        """Call *callback*, which must not wait, when that has changed, or at the end."""

    async def await_written(self) -> None:
        """Wait while too much waits to be written."""

    def flush(self) -> None:
        """Write what is queued; from any thread."""

    def flush_soon(self) -> None:
        """Write what is queued, perhaps with what comes next."""


class Dispatcher:
    """*executor*: where plain functions run; None: on the loop, unless they are marked slow."""

    def __init__(self, link: Host, executor: Executor | None) -> None:
        self._link = link
        self._session = link.session
        self._executor = executor
        self._own_executor: Executor | None = None
        self._lanes: dict[int, deque[Request]] = {}
        self._held: deque[Request] | None = None
        self._tasks: dict[Any, asyncio.Task[None]] = {}  # by request, or by stream
        self._hooks: set[asyncio.Task[None]] = set()
        self._ended = False
        self._closed = False  # no call begins any more
        # What runs a request: in a task or on the loop, and in a thread.
        self.perform: Callable[[Request], object] = MethodType(perform, self._session)
        self.perform_in_thread: Callable[[Request], object]
        self.perform_in_thread = partial(perform, self._session, adapt=as_blocking)
        self.awaits_all = False  # what is around each call is awaited

    # --- routing -------------------------------------------------------------------------------

    def hold(self, for_good: bool = True) -> None:
        """Requests that come from here on do not run, *for_good* or until :meth:`open`."""
        self._closed = for_good
        if self._held is None:
            self._held = deque()

    def open(self) -> None:
        """Requests may run from here on."""
        if self._closed:
            return
        held, self._held = self._held, None
        for request in held or ():
            self.route(request)

    def route(self, request: Request) -> None:
        """See to it that *request* runs."""
        if self._held is None and self._link.congested():
            self._held = deque()
            self._link.when_room(self._open_soon)
        if self._held is not None and not self._waits_here(request.chain):
            self._held.append(request)
        elif request.lane is None or is_concurrent(self._session, request):
            if request.awaits:
                self._when_ready(request, self._run)
            else:
                self._run(request)
        else:
            lane = self._lanes.get(request.lane)
            if lane is not None:
                lane.append(request)
            else:
                self._lanes[request.lane] = deque((request,))
                self._work_off(request.lane)

    def _open_soon(self) -> None:
        self._soon_on_loop(self.open)

    def _waits_here(self, chain: int | None) -> bool:
        """A call of this side's in *chain* waits for its answer, perhaps for this very request."""
        pending = list(self._session.pending.values())
        return chain is not None and any(token.chain == chain for token in pending)

    def _when_ready(
        self, request: Request, run: Callable[[Request], object], seen: int = 0
    ) -> None:
        """Run *request* when every answer that it names behind *seen* is there."""
        for index in range(seen, len(request.awaits)):
            answer = request.awaits[index]
            if not answer.settled:
                again = (self._when_ready, request, run, index + 1)
                answer.when_settled(partial(self._soon_on_loop, *again))
                return
        run(request)

    def _soon_on_loop(self, function: Callable[..., object], *args: Any) -> None:
        """Call *function* on the loop; from any thread."""
        try:
            self._link.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop has ended, and the connection with it
            pass

    def _work_off(self, lane: int) -> None:
        """Begin the first request of *lane*, or give the lane up."""
        queue = self._lanes.get(lane)
        if queue and self._link.congested():
            self._link.when_room(partial(self._soon_on_loop, self._work_off, lane))
        elif queue:
            self._when_ready(queue[0], self._run_of_lane)
        else:
            self._lanes.pop(lane, None)

    def _run_of_lane(self, request: Request) -> None:
        if self._run(request) or request.seq not in self._session.running:
            self._leave_lane(request)  # it has started, or is over already

    def _leave_lane(self, request: Request) -> None:
        """*request* is out of the way of the next one in its lane."""
        queue = self._lanes.get(request.lane) if request.lane is not None else None
        if queue and queue[0] is request:
            queue.popleft()
            self._link.loop.call_soon(self._work_off, request.lane)

    def _run(self, request: Request) -> bool:
        """Have *request* run; True if it is a task, so that the next of its lane may start."""
        if request.chain in waiting and self._run_where_it_waits(request):
            return False
        if runs_on_loop(self._session, request):
            if request.start():  # else our goodbye has said that it will not run
                self._link.loop.create_task(self._serve(request))
            return True
        executor = self._executor
        if executor is None and declared_run(self._session, request) is Run.THREAD:
            executor = self._slow_executor()
        if executor is not None:
            self._submit(executor, request)
        elif self.awaits_all:
            if request.start():
                self._link.loop.create_task(self._serve_in_turn(request))
        else:
            copy_context().run(self._run_here, request)
        return False

    def executor_for(self, run: Run | None) -> Executor | None:
        """Where a plain function runs that is declared so; None: on the loop."""
        if run is Run.INLINE or run is Run.LOOP:
            return None
        if self._executor is None and run is Run.THREAD:
            return self._slow_executor()
        return self._executor

    def _run_where_it_waits(self, request: Request) -> bool:
        """Have a worker thread run *request* that waits in its chain, if one does."""
        assert request.chain is not None
        same = self._session.peer_process == numbers.process
        waiter = find_waiter(request.chain, self._link, request.seq, same)
        if waiter is not None:
            waiter.assign(self, request)
        return waiter is not None

    def run_elsewhere(self, request: Request) -> None:
        """A thread that was to run *request* has gone; from any thread."""
        self._soon_on_loop(self._run, request)

    def _slow_executor(self) -> Executor:
        if self._own_executor is None:
            self._own_executor = Workers(_CLIENT_WORKERS, "netobj callback").share()
        return self._own_executor

    def _submit(self, executor: Executor, request: Request) -> None:
        try:
            executor.submit(copy_context().run, self.run_in_thread, request)
        except RuntimeError as exc:  # it is being shut down
            self._fail(request, CallCancelled(f"{self._session.side} is closing: {exc}"))

    # --- running ---------------------------------------------------------------------------------

    def _begin(self, request: Request, where: str) -> None:
        """What the call inherits, in its context. Raises CallCancelled if it is not to run."""
        scope.set(Scope(self._link, request, request.deadline))
        serving.set(request.chain)
        request.where = where
        if len(self._session.running) > self._session.crowd:
            check_crowd(self._session)
        if request.deadline is not None and request.deadline <= time.monotonic():
            raise AsyncResultTimeout("the deadline of the call passed before it started")
        if request.cancelled or self._session.lost is not None:
            raise CallCancelled("the call was cancelled before it started")

    async def _serve(self, request: Request) -> None:
        """Run what is known to be asynchronous, in a task of its own."""
        task = self._enter_task(request)
        try:
            self._begin(request, f"task {task.get_name()!r}")
            value = self.perform(request)
            if type(value) is Awaited:
                value = value.finish(await value.awaitable)
            if self._link.congested():
                await self._link.await_written()
            self._answer(request, value)
        except BaseException as exc:
            self._fail(request, exc)
            if self._propagates(exc):
                raise
        finally:
            self._leave_task(request)
            request.args = ()  # what they refer to is not kept alive by contexts that live on

    async def _serve_in_turn(self, request: Request) -> None:
        """The same, of what is not; the next one in its lane waits for it."""
        try:
            await self._serve(request)
        finally:
            if request.lane is not None:
                self._leave_lane(request)

    async def work_for(self, request: Request, work: Coroutine[Any, Any, Any]) -> Any:
        """Do *work* of a *request* that runs in a thread, so that cancelling that cancels it."""
        before = self._tasks.get(request)
        self._enter_task(request)
        try:
            if request.cancelled:  # when there was no task yet
                work.close()
                raise CallCancelled("the call was cancelled")
            return await work
        finally:
            self._leave_task(request)
            if before is not None:  # it waits for this one, through the thread
                self._tasks[request] = before

    def _enter_task(self, key: Any) -> asyncio.Task[Any]:
        """Called in the task of the request or stream *key*: from here on it can be cancelled.

        Not before: a task that is cancelled before its first step runs nothing at all.
        """
        task = asyncio.current_task(self._link.loop)
        assert task is not None
        self._tasks[key] = task
        return task

    def _leave_task(self, key: Any) -> None:
        del self._tasks[key]
        if self._ended:
            self._let_executor_go()

    def _propagates(self, exc: BaseException) -> bool:
        """Whether *exc* of the peer's call is raised here, too: on the loop, which it ends."""
        config = self._session.config
        if isinstance(exc, SystemExit):
            return config.propagate_SystemExit_locally
        return (
            isinstance(exc, KeyboardInterrupt)
            and config.propagate_KeyboardInterrupt_locally
            and threading.current_thread() is threading.main_thread()  # else it is no Ctrl-C
        )

    def _answer(self, request: Request, value: Any) -> None:
        if type(value) in UNFINISHED:
            self._open_stream(request, value)
        else:
            self._session.reply(request, value)
            self._link.flush_soon()

    def _run_here(self, request: Request) -> None:
        """Run a plain function on the loop."""
        if not request.start():
            return
        try:
            self._begin(request, "the event loop")
            value = self.perform(request)
        except BaseException as exc:
            self._fail(request, exc)
            if self._propagates(exc):
                raise
            return
        finally:
            request.args = ()
        self._go_on(request, value)

    def _go_on(self, request: Request, value: Any) -> None:
        """*request* has come to *value*, which is not all yet, or can be sent; on the loop."""
        if type(value) in UNFINISHED:
            in_order = type(value) is Awaited and value.in_order
            if request.lane is not None and not in_order:
                self._link.loop.call_soon(self._leave_lane, request)
            self._link.loop.create_task(self._finish_guarded(request, value))
            return
        if request.lane is not None:
            self._link.loop.call_soon(self._leave_lane, request)
        try:
            self._session.reply(request, value)
        except Exception as exc:
            self._fail(request, exc)
        self._link.flush_soon()

    async def _finish_guarded(self, request: Request, value: Any) -> None:
        task = self._enter_task(request)
        request.where = f"task {task.get_name()!r}"
        try:
            if request.cancelled or self._session.lost is not None:
                raise CallCancelled("the call was cancelled")
            if type(value) is Awaited:
                value = value.finish(await value.awaitable)
            self._answer(request, value)
        except BaseException as exc:
            close_unawaited(value)
            self._fail(request, exc)
            if self._propagates(exc):
                raise
        finally:
            self._leave_task(request)
            if request.lane is not None:
                self._link.loop.call_soon(self._leave_lane, request)

    def run_in_thread(self, request: Request) -> None:
        """Run a plain function in this worker thread."""
        if self._link.congested():  # the peer does not take its answers: the thread is others'
            again = partial(self._soon_on_loop, self._run, request)
            self._link.when_room(again)
            return
        if not request.start():
            return
        session = self._session
        tokens = scope.set(scope.get()), serving.set(serving.get())
        try:
            self._begin(request, f"thread {threading.current_thread().name!r}")
            stack = waiting.get(request.chain) if request.chain is not None else None
            if stack and len(stack) >= SHALLOW:  # it runs inside of what waits there
                check_depth(session, len(stack))
            value = self.perform_in_thread(request)
            if type(value) in UNFINISHED:
                self._soon_on_loop(copy_context().run, self._go_on, request, value)
                return
            session.reply(request, value)
            value = None
        except BaseException as exc:
            self._fail(request, exc)
        finally:
            scope.reset(tokens[0])
            serving.reset(tokens[1])
            request.args = ()  # what the arguments refer to is not kept alive by our frames
        self._link.flush()
        if request.lane is not None:
            self._soon_on_loop(self._leave_lane, request)

    def _fail(self, request: Request, exc: BaseException) -> None:
        """Answer *request* with *exc*; from any thread."""
        self._session.error(request, _meant(exc), self._keep_for(request))
        self._link.flush()
        if request.lane is not None:
            self._soon_on_loop(self._leave_lane, request)

    def _keep_for(self, request: Request) -> list[int] | None:
        """Where to note an exception that may come home to an outer call of the chain."""
        if request.chain is None:
            return None
        outer: Any = outermost.get(request.chain)
        stack = waiting.get(request.chain)
        if stack and (outer is None or stack[0].since < outer.since):
            outer = stack[0]
        return None if outer is None else outer.keep_for(self._session)

    # --- tasks -------------------------------------------------------------------------------

    def cancel(self, event: Cancel) -> None:
        """The peer no longer wants the answer to a request."""
        event.request.cancelled = True
        self._cancel_task(event.request)

    def _cancel_task(self, key: Any) -> None:
        task = self._tasks.get(key)
        if task is not None:
            task.cancel()

    def end(self) -> None:
        """The connection has ended: nobody waits for what still runs."""
        for key in list(self._tasks):
            self._cancel_task(key)
        for request in list(self._session.running.values()):
            request.cancelled = True
        self._lanes.clear()
        self._ended = True
        self._let_executor_go()

    def _let_executor_go(self) -> None:
        if self._own_executor is not None and not self._tasks:  # they close generators in there
            self._own_executor.shutdown(wait=False)

    async def wait_ended(self, patience: float) -> None:
        """Wait until the tasks have ended, at most *patience* seconds; not for the one here."""
        here = asyncio.current_task(self._link.loop)
        tasks = {*self._tasks.values(), *self._hooks} - {here}
        if tasks:
            await asyncio.wait(tasks, timeout=patience)

    def run_hook(self, hook: Callable[[Any], Any]) -> asyncio.Task[None] | None:
        """Call a service's *hook* with the connection; a task, if it is an ``async def``."""
        try:
            result = hook(self._link)
        except BaseException as exc:
            if self._propagates(exc):
                raise
            self._link.log.exception("%r raised", hook)
            return None
        if not inspect.isawaitable(result):
            return None
        task = self._link.loop.create_task(self._logged(hook, result))
        self._hooks.add(task)
        task.add_done_callback(self._hooks.discard)
        return task

    async def _logged(self, hook: Any, result: Any) -> None:
        try:
            await result
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as exc:
            if self._propagates(exc):
                raise
            self._link.log.exception("%r raised", hook)

    # --- streams -----------------------------------------------------------------------------

    def flowed(self, flow: Flow) -> None:
        """Something has come for *flow*; a consumer that wants no more cancels its producer."""
        if flow.refused:
            self._cancel_task(flow)

    def _open_stream(self, request: Request, value: Streamed | Opened) -> None:
        """Answer *request* with a new stream, and see to it that it is fed."""
        flow = self._session.reply_stream(request, type(value) is Opened)
        scope.set(scope.get().but(deadline=None))
        self._link.flush_soon()
        if isinstance(value, Opened):
            self._call_opened(request, value, flow)
        elif value.asynchronous:
            self._feed(flow, self._pump_here(flow, value.items))
        else:
            self._stream_plain(request, value, flow)

    def _feed(self, flow: Flow, work: Coroutine[Any, Any, None], key: Any = None) -> None:
        """Let *work* feed *flow* in a task of its own, by default noted under *flow*."""
        self._link.loop.create_task(self._feed_guarded(flow, work, key or flow))

    async def _feed_guarded(self, flow: Flow, work: Coroutine[Any, Any, None], key: Any) -> None:
        task = self._enter_task(key)
        flow.request.where = f"task {task.get_name()!r}"
        try:
            await work
        except BaseException as exc:  # the other side has been told, as the end of the stream
            if self._propagates(exc):
                raise
        finally:
            self._leave_task(key)

    async def _pump_here(self, flow: Flow, items: Any) -> None:
        await pump_async(Batch(flow, nullcontext(), self._soon), items, _pause)

    def _soon(self, batch: Batch) -> None:
        self._link.loop.call_soon(batch.flush)  # it runs when the producer waits for something

    def _stream_plain(self, request: Request, value: Streamed, flow: Flow) -> None:
        executor = self.executor_for(declared_run(self._session, request))
        if executor is None:
            self._feed(flow, self._pump_here(flow, _OnLoop(value.items)))
        else:
            batch = Batch(flow, threading.Lock(), self._soon_from_thread)
            self._feed(flow, self._pump_in_threads(batch, value.items, executor))

    def _soon_from_thread(self, batch: Batch) -> None:
        self._soon_on_loop(self._link.loop.call_later, FLUSH_SOON, batch.flush)

    async def _pump_in_threads(self, batch: Batch, items: Any, executor: Executor) -> None:
        """Let a worker produce as much as there is credit for, again and again.

        So a consumer that rests occupies no worker. Steps do not overlap.
        """
        flow = batch.flow
        over = False
        try:
            while not over:
                over = await self._step(executor, pump_some, batch, items)
                if not over:
                    await self._link.wait_until_async(batch.may_go_on, flow)
        except BaseException:
            if not batch.finished:
                await self._step(executor, pump_some, batch, items, True)
            raise

    async def _step(self, executor: Executor, function: Callable[..., Any], *args: Any) -> Any:
        """What *function* returns in a worker; waited for also by a task that is cancelled."""
        work = copy_context().run
        step = self._link.loop.run_in_executor(executor, work, function, *args)
        cancelled: asyncio.CancelledError | None = None
        while not step.done():
            try:
                await asyncio.wait((step,))
            except asyncio.CancelledError as exc:
                cancelled = exc
        if cancelled is not None:
            raise cancelled
        return step.result()

    def _call_opened(self, request: Request, value: Opened, flow: Flow) -> None:
        if value.asynchronous:
            duplex = AsyncDuplex(flow)  # which may still have something to receive, or to do
            self._feed(flow, value.converse_async(duplex, _meant), duplex)
            return
        end = Duplex(flow, threading.Lock())
        try:
            executor = self._executor or self._slow_executor()
            executor.submit(copy_context().run, value.converse, end)
        except RuntimeError as exc:  # it is being shut down
            end.finish(CallCancelled(f"{self._session.side} is closing: {exc}"))


class _OnLoop:
    """A plain iterator, advanced on the loop."""

    def __init__(self, items: Any) -> None:
        self._items = items

    async def __anext__(self) -> Any:
        for item in self._items:
            return item
        raise StopAsyncIteration

    async def aclose(self) -> None:
        close = getattr(self._items, "close", None)
        if close is not None:
            close()


def _meant(exc: BaseException) -> BaseException:
    """What the peer is told of *exc*, with which a call of its has ended."""
    if isinstance(exc, asyncio.CancelledError):
        return CallCancelled("the call was cancelled")
    return exc


async def _pause() -> None:
    await asyncio.sleep(0)
