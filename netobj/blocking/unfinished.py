"""What is still to be done when a call has returned: awaiting, sending a stream, conversing.

``async def`` functions and asynchronous generators run as tasks on the process's event loop. A
plain generator, and a plain function with a two-way stream, has a worker for itself, so that all
of it runs in one thread.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Protocol

from netobj.blocking.io_thread import io_thread
from netobj.blocking.loop import event_loop
from netobj.blocking.pool import pool
from netobj.blocking.tasks import TaskRun
from netobj.calls import Scope, check_crowd, scope
from netobj.core.ends import AsyncDuplex, Duplex
from netobj.core.events import Request
from netobj.core.flow import Flow
from netobj.core.outcomes import UNFINISHED, Awaited, Opened, Streamed, close_unawaited
from netobj.core.pumping import Batch, pump, pump_async
from netobj.core.session import Session
from netobj.errors import Busy


class Host(Protocol):
    """What is needed of the connection."""

    session: Session

    def flush(self) -> None:
        """Write what is queued."""

    def prompt(self, chain: int | None) -> Any:
        """What a task's calls through blocking proxies go through, see ``Scope.batch``."""


class Unfinished:
    """*fail* answers a request with an exception; from any thread."""

    def __init__(self, connection: Host, fail: Callable[[Request, BaseException], object]) -> None:
        self._connection = connection
        self._session = connection.session
        self._fail = fail

    def go_on(self, request: Request, outcome: Any) -> None:
        """Do what *outcome*, one of UNFINISHED, asks for; raises why that cannot begin.

        Called in the thread of the call, or in its task; waits for nothing.
        """
        if type(outcome) is Awaited or outcome.asynchronous:
            run = request.run = TaskRun(event_loop(), request)
            run.start(lambda run: self._drive(run, request, outcome))
            return
        work = self._converse if type(outcome) is Opened else self._pump
        flow = self._open(request, type(outcome) is Opened)
        if not pool.submit((work, (flow, outcome))):
            error = Busy(f"{self._session.side} can start no thread for another stream")
            self._session.flows.stop(flow)
            self._session.flows.end(flow, error)

    def _open(self, request: Request, two_way: bool) -> Flow:
        """Answer *request* with a new stream."""
        flow = self._session.reply_stream(request, two_way)
        self._connection.flush()
        return flow

    # --- in a worker ---------------------------------------------------------------------------

    def _pump(self, job: tuple[Flow, Streamed]) -> None:
        flow, outcome = job
        self._as_call(flow, lambda: pump(Batch(flow, threading.Lock(), _Soon()), outcome.items))

    def _converse(self, job: tuple[Flow, Opened]) -> None:
        flow, opened = job
        self._as_call(flow, lambda: opened.converse(Duplex(flow, threading.Lock())))

    def _as_call(self, flow: Flow, work: Callable[[], None]) -> None:
        request = flow.request
        request.where = threading.get_ident()
        outer = scope.set(Scope(self._connection, request))
        try:
            work()
        except BaseException:  # the other side has been told, as the end of the stream
            pass
        finally:
            scope.reset(outer)

    # --- on the loop ---------------------------------------------------------------------------

    async def _drive(self, run: TaskRun, request: Request, outcome: Any) -> None:
        """Run *request*, which has come to *outcome* so far, to its end."""
        flow: Flow | None = None
        try:
            run.begin()
            check_crowd(self._session)
            scope.set(scope.get().but(batch=self._connection.prompt(request.chain)))
            if type(outcome) is Awaited:
                outcome = outcome.finish(await outcome.awaitable)
            if type(outcome) not in UNFINISHED:
                self._session.reply(request, outcome)
            elif outcome.asynchronous:
                run.conversing = type(outcome) is Opened  # before the peer can close its end
                flow = self._open(request, run.conversing)
            else:
                self.go_on(request, outcome)
        except BaseException as exc:
            self._fail(request, run.error_for(exc))
            close_unawaited(outcome)
        run.answered()
        self._connection.flush()
        if flow is not None:
            scope.set(scope.get().but(deadline=None))
            await self._feed(run, flow, outcome)
        request.run = None  # a cycle, which would keep alive what the call was about

    async def _feed(self, run: TaskRun, flow: Flow, outcome: Any) -> None:
        try:
            if type(outcome) is Opened:
                await outcome.converse_async(AsyncDuplex(flow), run.error_for)
            else:
                batch = Batch(flow, nullcontext(), _soon_on_loop)
                await pump_async(batch, outcome.items, _pause)
        except BaseException:  # the other side has been told, as the end of the stream
            pass


class _Soon:
    """Has a batch flushed in some milliseconds: by a worker, since boxing may run user code."""

    def __init__(self) -> None:
        self._due = False

    def __call__(self, batch: Batch) -> None:
        if not self._due:
            self._due = True
            io_thread().soon((self._submit, batch))

    def _submit(self, batch: Batch) -> None:
        if not pool.submit((self._flush, batch)):
            io_thread().soon((self._submit, batch))

    def _flush(self, batch: Batch) -> None:
        self._due = False
        batch.flush()


def _soon_on_loop(batch: Batch) -> None:
    event_loop().call_soon(batch.flush)  # it runs when the producer waits for something


async def _pause() -> None:
    await sys.modules["asyncio"].sleep(0)
