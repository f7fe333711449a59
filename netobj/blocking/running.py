"""Running what the peer calls, in the thread that was chosen, and answering it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from threading import get_ident
from types import MethodType
from typing import Any, Protocol

from netobj.blocking.interrupt import ThreadRun
from netobj.blocking.pool import Job
from netobj.blocking.unfinished import Unfinished
from netobj.blocking.waiting import Waiter, chains
from netobj.calls import SHALLOW, Scope, check_depth, scope
from netobj.core.config import Config
from netobj.core.events import Request
from netobj.core.handlers import perform
from netobj.core.outcomes import UNFINISHED
from netobj.core.session import Session
from netobj.errors import AsyncResultTimeout, CallCancelled


class Host(Protocol):
    """What a dispatcher needs of its connection."""

    session: Session
    config: Config
    process: bytes

    def write(self, data: bytes, reads: bool = False) -> None:
        """Write *data* in its turn; *reads* as in :meth:`flush`."""

    def flush(self, reads: bool = False) -> None:
        """Write what is queued; *reads*: this thread will read next, so it can write the rest."""

    def congested(self) -> bool:
        """Too much waits to be written: no call is to begin."""

    def when_room(self, callback: Callable[[], object]) -> None:
        """Call *callback*, which must not wait, when that has changed, or at the end."""

    def flush_soon(self) -> None:
        """Have what is queued written in some milliseconds, should nobody do so before."""

    def soon(self, job: Job) -> None:
        """Have the I/O thread run *job*, which must not wait, with its next tick."""

    def prompt(self, chain: int | None) -> Any:
        """What a task's calls through blocking proxies go through, see ``Scope.batch``."""

    def hand_on(self, waiter: Waiter) -> None:
        """Let workers run the jobs of *waiter*, whose thread waits no longer."""

    def guarded(self, function: Callable[[Any], object], argument: Any) -> None:
        """Call *function*; what it raises is logged."""


class Server(Waiter):
    """The place of the thread that serves a connection.

    ``busy`` is set by whoever reads the connection, when it assigns a job to the free server,
    and cleared by the server: only one side at a time may change it. The server is free as soon
    as it begins to answer, so that a peer who makes one call after another finds the same thread
    each time, as what is bound to a thread (a database, a GUI) needs. So is ``current``, its
    request or lane, None while it is free.
    """

    is_server = True

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.busy = False
        self.current: Any = None

    def claim(self, job: Job) -> bool:
        """Give the free server *job*; False if it is busy."""
        if self.busy or self.done:
            return False
        self.busy = True
        self.current = job[1]
        self.jobs.append(job if type(self.current) is Request else (self._work_off, job))
        if self.lock is not None or self.reading:
            self.rouse()
        return True

    def _work_off(self, job: Job) -> None:
        try:
            job[0](job[1])
        finally:
            self.current = None
            self.busy = False


class Runner:
    """The half of a dispatcher that runs; :class:`netobj.blocking.dispatch.Dispatcher` routes."""

    def __init__(self, connection: Host) -> None:
        self._connection = connection
        self._session = connection.session
        self._unfinished = Unfinished(connection, self._fail)
        self.server: Server | None = None
        self.perform: Callable[[Request], object] = MethodType(perform, self._session)

    def run(self, request: Request, hold: bool = False) -> None:
        """Run *request* and answer it; raises only what is to be raised here, too.

        *hold*: a plain answer may stay queued, since the caller flushes before long.
        """
        server = self.server
        if server is not None and server.current is not request:
            server = None  # it runs in another thread than the server's
        if not request.start():  # our goodbye has said that it will not run
            self._free_server(request)
            return
        session, connection = self._session, self._connection
        outer = scope.get()
        thread = request.where = get_ident()
        depth = outer.depth + 1 if outer.thread == thread else 0
        token = scope.set(Scope(connection, request, request.deadline, thread, depth))
        try:
            if request.cancelled or request.deadline is not None or session.lost is not None:
                self._check_wanted(request)
            if depth >= SHALLOW:
                check_depth(session, depth)
            if session.config.allow_interrupt:
                run = request.run = ThreadRun()
                value = run.execute(partial(self.perform, request))
            else:
                value = self.perform(request)
            if server is not None:
                server.current = None
                server.busy = False
            data = session.plain_reply(request, value)
            if data is not None:
                if hold:
                    session.out.append(data)
                else:
                    connection.write(data, server is not None)
                return
            if type(value) in UNFINISHED:
                self._unfinished.go_on(request, value)
            else:
                session.reply(request, value)
            value = None
        except BaseException as exc:
            self._free_server(request)
            self._fail(request, exc)
            if self._propagates(exc):
                connection.flush()
                raise
        finally:
            scope.reset(token)
            request.args = ()  # what the arguments refer to is not kept alive by our frames
        connection.flush(server is not None)

    def _free_server(self, request: Request) -> None:
        """*request* has run: if it was the server's own, the server is free."""
        server = self.server
        if server is not None and server.current is request:
            server.current = None
            server.busy = False

    def _check_wanted(self, request: Request) -> None:
        if request.cancelled or self._session.lost is not None:
            raise CallCancelled("the call was cancelled before it started")
        assert request.deadline is not None
        if request.deadline <= time.monotonic():
            raise AsyncResultTimeout("the deadline of the call passed before it started")

    def _fail(self, request: Request, exc: BaseException) -> None:
        keep: list[int] | None = None
        stack = chains.get(request.chain) if request.chain is not None else None
        if stack:  # an outer call of the chain waits here: the exception may come home to it
            keep = stack[0].keep_for(self._session)
        self._session.error(request, exc, keep)

    def _propagates(self, exc: BaseException) -> bool:
        config = self._session.config
        return (isinstance(exc, SystemExit) and config.propagate_SystemExit_locally) or (
            isinstance(exc, KeyboardInterrupt)
            and config.propagate_KeyboardInterrupt_locally
            and not config.allow_interrupt
            and self.server is not None
            and threading.current_thread() is threading.main_thread()  # else it is no Ctrl-C
        )
