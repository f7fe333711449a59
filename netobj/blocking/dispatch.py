"""Which thread runs what the peer calls, and running it.

A request of a chain in which a thread of this process waits goes to that thread. Others go to
the connection's server thread if it is free, else to a worker. Asynchronous requests go through
their lane first. With ``serve="caller"`` what has no chain here waits for whoever serves.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from netobj.blocking.interrupt import ThreadRun
from netobj.blocking.lanes import Lanes
from netobj.blocking.pool import Job, pool
from netobj.blocking.waiting import Waiter, chains, context, find_waiter
from netobj.blocking.waker import Waker
from netobj.core.config import Config, Serve
from netobj.core.consts import Limit
from netobj.core.events import Cancel, Request
from netobj.core.handlers import is_concurrent, perform
from netobj.core.session import Session
from netobj.errors import Busy, CallCancelled


class Host(Protocol):
    """What a dispatcher needs of its connection."""

    session: Session
    config: Config
    process: bytes

    def flush(self) -> None:
        """Write what is queued."""

    def hand_on(self, waiter: Waiter) -> None:
        """Let workers run the jobs of *waiter*, whose thread waits no longer."""

    def guarded(self, function: Callable[[Any], object], argument: Any) -> None:
        """Call *function*; what it raises is logged."""


_SHALLOW: Final = 20
"""Calls nested less deeply than this cannot come near Python's recursion limit by themselves."""
_HEADROOM: Final = 200
"""Frames that running a call and answering it may take, generously."""


class Server(Waiter):
    """The place of the thread that serves a connection.

    ``busy`` is set by whoever reads the connection, when it assigns a job to the free server,
    and cleared by the server: only one side at a time may change it. The server is free as soon
    as it begins to answer, so that a peer who makes one call after another finds the same thread
    each time, as what is bound to a thread (a database, a GUI) needs. ``current`` belongs to the
    server's thread: its request or lane, None once it is free.
    """

    __slots__ = ("busy", "current")
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
        self.assign((self._work, job))
        return True

    def _work(self, job: Job) -> None:
        self.current = job[1]
        try:
            job[0](job[1])
        finally:
            self.answering(self.current)

    def answering(self, request: Any) -> None:
        """*request* has run; if it was the server's own, the server is free."""
        if request is not None and self.current is request:
            self.current = None
            self.busy = False


class Dispatcher:
    """Hands the peer's requests of one connection to threads. :meth:`route` never runs any.

    ``_lock`` protects the hand-over between holding requests back (until the service's
    ``on_connect`` has run) and routing them, and with ``serve="caller"`` that of a job to the
    thread that serves; nothing waits while it is held.
    """

    def __init__(self, connection: Host) -> None:
        self._connection = connection
        self._session = connection.session
        self._lanes: Lanes[Request] = Lanes()
        self._lock = threading.Lock()
        self._held: list[Request] | None = []
        self.mode = connection.config.serve
        self.server: Server | None = None
        self.waiting: deque[Job] = deque()  # for whoever serves, with serve="caller"
        self._signal: Any = None

    # --- routing: in the thread that reads -------------------------------------------------

    def route(self, request: Request) -> None:
        """Hand *request* to a thread."""
        if request.chain is not None:
            same = self._session.peer_process == self._connection.process
            waiter = find_waiter(request.chain, self._connection, request.seq, same)
            if waiter is not None:
                waiter.assign((self.run, request))
                if waiter not in chains.get(request.chain, ()):  # it has just given up waiting
                    self._connection.hand_on(waiter)
                return
        if self._held is not None:
            with self._lock:
                if self._held is not None:
                    self._held.append(request)
                    return
        self._route_freely(request)

    def _route_freely(self, request: Request) -> None:
        if request.lane is None or is_concurrent(self._session, request):
            self._schedule((self.run, request))
        elif self._lanes.put(request.lane, request):
            self._schedule((self._work_off, request.lane))

    def open(self) -> None:
        """Requests may run from here on."""
        while True:
            with self._lock:
                held = self._held
                self._held = [] if held else None  # what arrives meanwhile comes after these
            if not held:
                return
            for request in held:
                self._route_freely(request)

    def _schedule(self, job: Job) -> None:
        server = self.server
        if self.mode is Serve.CALLER:
            self._schedule_by_hand(job)
            return
        if server is not None and server.claim(job):
            return
        if not pool.submit(job):
            self._connection.guarded(self._refuse, job)

    def _schedule_by_hand(self, job: Job) -> None:
        with self._lock:
            server = self.server
            if server is not None and server.claim(job):
                return
            self.waiting.append(job)
        if self._signal is not None:
            self._signal.wake()

    def _refuse(self, job: Job) -> None:
        request = job[1] if isinstance(job[1], Request) else self._lanes.next(job[1])
        while request is not None:
            error = Busy(f"{self._session.side} can start no thread for another call")
            self._session.error(request, error, None)
            request = None if job[1] is request else self._lanes.next(job[1])

    def cancel(self, event: Cancel) -> None:
        """The peer no longer wants an answer: what has not started will not."""
        event.request.cancelled = True
        if event.interrupt and self._connection.config.allow_interrupt:
            pool.submit((_interrupt, event.request))

    # --- by hand -----------------------------------------------------------------------------

    def serve_by_caller(self) -> None:
        """From here on requests wait for whoever serves."""
        self.mode = Serve.CALLER

    def signal_fd(self) -> int:
        """A descriptor that is readable while a request waits for whoever serves."""
        if self._signal is None:
            self._signal = Waker()
            if self.waiting:
                self._signal.wake()
        fd: int = self._signal.fd
        return fd

    def park(self, server: Server) -> Job | None:
        """Register *server*, whose thread will wait for a job; or the job that waits already."""
        with self._lock:
            job = self._take_waiting()
            if job is None:
                self.server = server
            return job

    def leave(self, server: Server) -> Job | None:
        """*server*'s thread waits no longer; the job that it was given, or else that waits."""
        with self._lock:
            if self.server is server:
                self.server = None
            server.done = True
            return server.jobs.popleft() if server.jobs else self._take_waiting()

    def put_back(self, job: Job) -> None:
        """*job* cannot be run by the thread that took it: it is the next one's."""
        with self._lock:
            self.waiting.appendleft(job)
        if self._signal is not None:
            self._signal.wake()

    def _take_waiting(self) -> Job | None:
        try:
            job = self.waiting.popleft()
        except IndexError:
            return None
        if not self.waiting and self._signal is not None:
            self._signal.clear()
            if self.waiting:
                self._signal.wake()
        return job

    def end(self) -> None:
        """The connection has ended: whoever waits to serve is let go."""
        server = self.server
        if server is not None:
            server.done = True
            server.wake()
        if self._signal is not None:
            self._signal.wake()  # readable, so that a select() loop notices the end

    def close(self) -> None:
        """Give the descriptors back."""
        if self._signal is not None:
            self._signal.close()

    # --- running: in the thread that was chosen ----------------------------------------------

    def _work_off(self, lane: int) -> None:
        request = self._lanes.next(lane)
        while request is not None:
            try:
                self.run(request)
            except BaseException:  # to be raised here, too; the rest of the lane goes on
                self._schedule((self._work_off, lane))
                raise
            request = self._lanes.next(lane)

    def run(self, request: Request) -> None:
        """Run *request* and answer it; raises only what is to be raised here, too."""
        if not request.start():  # our goodbye has said that it will not run
            self._free_server(request)
            return
        chain, depth = context.chain, context.depth
        context.chain = request.chain
        context.depth = depth + 1
        try:
            if request.cancelled or self._session.lost is not None:
                raise CallCancelled("the call was cancelled before it started")
            if depth >= _SHALLOW:
                self._check_depth(depth)
            if self._connection.config.allow_interrupt:
                request.run = ThreadRun()
                value = request.run.execute(lambda: perform(self._session, request))
            else:
                value = perform(self._session, request)
            self._free_server(request)
            self._session.reply(request, value)
            value = None
        except BaseException as exc:
            self._free_server(request)
            self._fail(request, exc)
            if self._propagates(exc):
                self._connection.flush()
                raise
        finally:
            context.chain, context.depth = chain, depth
            request.args = ()  # what the arguments refer to is not kept alive by our frames
        self._connection.flush()

    def _free_server(self, request: Request) -> None:
        server = self.server
        if server is not None:
            server.answering(request)

    def _check_depth(self, depth: int) -> None:
        """Refuse a call while there is still stack enough to refuse it."""
        try:
            sys._getframe(sys.getrecursionlimit() - _HEADROOM)
        except ValueError:  # the stack is not that deep
            if depth < self._session.config.limits[Limit.DEPTH]:
                return
        raise RecursionError(f"{self._session.side}: calls are nested {depth} deep")

    def _fail(self, request: Request, exc: BaseException) -> None:
        keep: list[int] | None = None
        stack = chains.get(request.chain) if request.chain is not None else None
        if stack:  # an outer call of the chain waits here: the exception may come home to it
            keep = stack[0].keep_for(self._session)
        try:
            self._session.error(request, exc, keep)
        except Exception as failure:
            self._session.error(request, _bare(exc, failure), None)

    def _propagates(self, exc: BaseException) -> bool:
        config = self._session.config
        return (isinstance(exc, SystemExit) and config.propagate_SystemExit_locally) or (
            isinstance(exc, KeyboardInterrupt)
            and config.propagate_KeyboardInterrupt_locally
            and not config.allow_interrupt
            and self.server is not None
        )


def _interrupt(request: Request) -> None:
    run: ThreadRun | None = request.run
    if run is not None:
        run.interrupt()


def _bare(exc: BaseException, failure: Exception) -> Exception:
    """What stands for *exc* when it could not be sent itself."""
    return RuntimeError(
        f"the call raised a {type(exc).__name__}, which could not be sent: "
        f"{type(failure).__name__}: {failure}"
    )
