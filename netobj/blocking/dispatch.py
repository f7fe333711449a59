"""Which thread runs what the peer calls, and running it.

A request of a chain in which a thread of this process waits goes to that thread. Others go to
the connection's server thread if it is free, else to a worker. Asynchronous requests go through
their lane first. With ``serve="caller"`` what has no chain here waits for whoever serves.

A request that names answers which are not there yet is put off until they are: its lane rests
meanwhile, to keep the order. That cannot last for ever, since it names only earlier requests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from threading import get_ident
from time import monotonic
from typing import Any, Final, Protocol

from netobj.blocking.interrupt import ThreadRun
from netobj.blocking.lanes import Lanes
from netobj.blocking.pool import Job, pool
from netobj.blocking.ruling import Rest
from netobj.blocking.running import Host, Runner, Server
from netobj.blocking.tasks import TaskRun
from netobj.blocking.waiting import chains, find_waiter
from netobj.blocking.waker import Waker
from netobj.core.config import Serve
from netobj.core.events import Cancel, Request
from netobj.core.handlers import is_concurrent
from netobj.errors import Busy

PUNCTUAL: Final = 1.0
"""Seconds that requests wait for a thread which is about to serve; then workers run them."""


class Workers(Protocol):
    """Threads for the jobs that no other thread takes."""

    def submit(self, job: Job) -> bool:
        """Run *job* soon; False if there is no thread for it."""


class Dispatcher(Runner):
    """Hands the peer's requests of one connection to threads. :meth:`route` never runs any.

    ``_lock`` protects the hand-over between holding requests back (until the service's
    ``on_connect`` has run, and the thread has come that is to serve) and routing them, and with
    ``serve="caller"`` that of a job to the thread that serves; nothing waits while it is held.
    """

    most_busy: int | None = None  # how many of the workers may be busy for this connection
    _share_watched = False  # the I/O thread will look whether others may begin

    def __init__(self, connection: Host) -> None:
        super().__init__(connection)
        self._lanes: Lanes[Request] = Lanes()
        self._lock = threading.Lock()
        self._held: list[Request] | None = []
        self.mode = connection.config.serve
        self.waiting: list[Job] = []  # for whoever serves, with serve="caller"
        self._signal: Any = None
        self.overflow: list[Job] = []
        self.workers: Workers | None = None  # in place of the process's
        self._worker_called = False
        self._closed = False  # no call begins any more
        self._expected = 0.0  # until when a thread that is about to serve is waited for; 0: none is

    # --- routing: in the thread that reads -------------------------------------------------

    def route(self, request: Request) -> None:
        """Hand *request* to a thread."""
        if request.awaits and request.lane is None and _unsettled(request):
            _when_settled(request, partial(self._route_later, request))
        elif request.chain not in chains or not self._route_to_waiter(request):
            if self._held is None and self._connection.congested():
                self._hold_for_room()
            if self._held is None or not self._hold(request):
                self._route_freely(request)

    def may_run_here(self, request: Any) -> bool:
        """True for a call that the free thread which reads it may run at once."""
        return not (
            type(request) is not Request
            or request.lane is not None
            or request.deferred
            or request.chain in chains
            or self._held is not None
            or self.mode is Serve.CALLER
        )

    def _route_to_waiter(self, request: Request) -> bool:
        """Give *request* to the thread that waits in its chain; False if there is none."""
        if request.chain is None:
            return False
        same = self._session.peer_process == self._connection.process
        waiter = find_waiter(request.chain, self._connection, request.seq, same)
        if waiter is None:
            return False
        waiter.assign((self.run, request))
        if waiter not in chains.get(request.chain, ()):  # it has just given up waiting
            self._connection.hand_on(waiter)
        return True

    def _hold(self, request: Request) -> bool:
        """Hold *request* back if requests may not run yet."""
        with self._lock:
            if self._held is not None:
                self._held.append(request)
                if self._expected:
                    self._connection.soon((Dispatcher._look_for_thread, self))
            return self._held is not None

    def _route_freely(self, request: Request, later: bool = False) -> None:
        schedule = self._schedule_later if later else self._schedule
        if request.lane is None:
            schedule((self.run, request))
        elif not is_concurrent(self._session, request):
            if self._lanes.put(request.lane, request):
                schedule((self._work_off, request.lane))
        elif _unsettled(request):
            _when_settled(request, partial(self._schedule_later, (self.run, request)))
        else:
            schedule((self.run, request))

    def _route_later(self, request: Request) -> None:
        """What *request* named is there; in the thread that settled it."""
        if not self._route_to_waiter(request) and not self._hold(request):
            self._schedule_later((self.run, request))

    def open(self, later: bool = False) -> None:
        """Requests may run from here on; *later*: this is not the thread that reads."""
        while not self._closed:
            with self._lock:
                held = self._held
                self._held = [] if held else None  # what arrives meanwhile comes after these
            if not held:
                return
            for request in held:
                self._route_freely(request, later)

    def expect_thread(self) -> None:
        """A thread will serve soon: requests may run once it does, the first of them there."""
        with self._lock:
            self._expected = monotonic() + PUNCTUAL
            if self._held:
                self._connection.soon((Dispatcher._look_for_thread, self))

    def thread_has_come(self) -> None:
        """Requests may run, if it was a thread that they had to wait for."""
        with self._lock:
            expected, self._expected = self._expected, 0.0
        if expected:
            self.open()

    def _look_for_thread(self) -> None:
        """From the I/O thread, while a request waits: the thread may do something else first."""
        if self._expected > monotonic():
            self._connection.soon((Dispatcher._look_for_thread, self))
        else:
            self.thread_has_come()

    def hold(self) -> None:
        """Calls that come from here on do not run, but for those of a chain that waits here."""
        self._closed = True
        with self._lock:
            self._expected = 0.0
            if self._held is None:
                self._held = []

    def _hold_for_room(self) -> None:
        """The peer does not take its answers: until it does, no call begins."""
        with self._lock:
            if self._held is None:
                self._held = []
        self._connection.when_room(self._room_again)

    def _room_again(self) -> None:
        if not pool.submit((self.open, True)):
            self.open(True)

    def _schedule(self, job: Job) -> None:
        if self.mode is Serve.CALLER:
            self._schedule_by_hand(job)
        elif self.server is None or not self.server.claim(job):
            self._submit(job)

    def _schedule_later(self, job: Job) -> None:
        """As :meth:`_schedule`, from any thread: the server is the reader's to claim."""
        if self.mode is Serve.CALLER:
            self._schedule_by_hand(job)
        else:
            self._submit(job)

    # Jobs that no thread was free for. A woken worker costs more than most calls: so one is woken
    # at a time, which wakes the next before it runs anything, and the server's thread, when it
    # comes back first, takes what is still there.

    def _submit(self, job: Job) -> None:
        self.overflow.append(job)
        self._call_worker()

    def _call_worker(self) -> None:
        if not self._worker_called:  # else it has not looked yet, and will see what is there
            self._worker_called = True
            if not (self.workers or pool).submit((self._work_off_overflow, None)):
                self._worker_called = False
                while (job := self._next_overflow()) is not None:
                    self._connection.guarded(self._refuse, job)

    def _work_off_overflow(self, _: None) -> None:
        self._worker_called = False  # before the look: who adds a job after it calls a worker
        while self.overflow:
            if self._connection.congested():
                self._connection.when_room(self._call_worker)
                return
            if not self.begin():  # who ends one of those that run comes for it
                self._watch_share()
                return
            try:
                job = self._next_overflow()
                if job is None:
                    return
                if self.overflow:
                    self._call_worker()
                function, argument = job
                function(argument)
            finally:
                self.finish()

    def share(self, workers: Workers, most: int, waiting_threads: Callable[[], set[int]]) -> None:
        """Use *workers*, of which at most *most* are to be busy for this connection at a time.

        Those do not count that wait for a peer, which *waiting_threads* tells.
        """
        self.workers = workers
        self._waiting_threads = waiting_threads
        self._busy: set[int] = set()
        self.most_busy = most

    def put_off(self, job: Job) -> None:
        """Have *job* run when one of those that run has ended."""
        self.overflow.append(job)
        self._call_worker()

    def begin(self) -> bool:
        """Whether another job may begin; then :meth:`finish` is called when it has ended."""
        if self.most_busy is None:
            return True
        with self._lock:
            free = self._has_share(self.most_busy)
            if free:
                self._busy.add(get_ident())
        return free

    def _has_share(self, most: int) -> bool:
        return len(self._busy) < most or len(self._busy - self._waiting_threads()) < most

    def finish(self) -> None:
        """See :meth:`begin`."""
        if self.most_busy is None:
            return
        with self._lock:
            self._busy.discard(get_ident())
        if self.overflow:
            self._call_worker()

    def _watch_share(self) -> None:
        if not self._share_watched:
            self._share_watched = True
            self._connection.soon((Dispatcher._look_at_share, self))

    def _look_at_share(self) -> None:
        """From the I/O thread: one that waits for a peer, perhaps for this, makes room."""
        self._share_watched = False  # before the look: who is refused after it has us look again
        if self.overflow and not self._closed and self.most_busy is not None:
            with self._lock:
                free = self._has_share(self.most_busy)
            if free:
                self._call_worker()
            else:
                self._watch_share()

    def _next_overflow(self) -> Job | None:
        try:
            return self.overflow.pop(0)
        except IndexError:  # empty, perhaps by another thread just now
            return None

    def take_overflow(self, server: Server) -> bool:
        """Give the free *server* a job that no thread has taken yet; by whoever reads."""
        if server.busy or server.done or self.mode is Serve.CALLER:
            return False
        job = self._next_overflow()
        return job is not None and server.claim(job)

    def _schedule_by_hand(self, job: Job) -> None:
        with self._lock:
            server = self.server
            if server is not None and server.claim(job):
                return
            self.waiting.append(job)
        if self._signal is not None:
            self._signal.wake()

    def _refuse(self, job: Job) -> None:
        function, what = job
        if isinstance(what, Request):
            self._refuse_one(what)
            if function != self._go_on_with:
                return
            what = what.lane
        request = self._lanes.next(what)
        while request is not None:
            self._refuse_one(request)
            request = self._lanes.next(what)

    def _refuse_one(self, request: Request) -> None:
        error = Busy(f"{self._session.side} can start no thread for another call")
        self._session.error(request, error, None)

    def cancel(self, event: Cancel) -> None:
        """The peer no longer wants an answer: what has not started will not."""
        event.request.cancelled = True
        run = event.request.run
        if type(run) is TaskRun:
            run.cancel()
        elif type(run) is Rest:
            run.wake()
        elif type(run) is ThreadRun and event.interrupt:
            pool.submit((ThreadRun.interrupt, run))

    # --- by hand -----------------------------------------------------------------------------

    def serve_by_caller(self) -> None:
        """From here on requests wait for whoever serves."""
        self.mode = Serve.CALLER
        if self._expected:
            self.thread_has_come()

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
            return server.jobs.pop(0) if server.jobs else self._take_waiting()

    def put_back(self, job: Job) -> None:
        """*job* cannot be run by the thread that took it: it is the next one's."""
        with self._lock:
            self.waiting.insert(0, job)
        if self._signal is not None:
            self._signal.wake()

    def _take_waiting(self) -> Job | None:
        try:
            job = self.waiting.pop(0)
        except IndexError:
            return None
        if not self.waiting and self._signal is not None:
            self._signal.clear()
            if self.waiting:
                self._signal.wake()
        return job

    def end(self) -> None:
        """The connection has ended: whoever waits to serve is let go, and who waits to run."""
        for request in list(self._session.running.values()):
            run = request.run
            if type(run) is Rest:
                run.wake()
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

    # --- lanes: in the thread that works one off ------------------------------------------------

    # Answers to calls of one kind that follow one another closely leave together: sending one
    # costs as much as the rest of a short call. An answer waits only while the last such call was
    # quick and the next is there already. Should that one take long after all (it may even wait
    # for what the peer does once it has the answer), the I/O thread sends what has been held.

    def _work_off(self, lane: int) -> None:
        lanes = self._lanes
        request = lanes.next(lane)
        held = 0
        quick = False
        began = monotonic()
        while request is not None:
            if self._connection.congested():
                job = (self._go_on_with, request)
                self._connection.when_room(partial(self._schedule_later, job))
                return
            if request.awaits and _unsettled(request):
                self._connection.flush()
                job = (self._go_on_with, request)
                _when_settled(request, partial(self._schedule_later, job))
                return
            hold = quick and held < _MOST_HELD and _is_alike(request, lanes.peek(lane))
            held = held + 1 if hold else 0
            if held == 1:
                self._connection.flush_soon()
            self._run_in_lane(request, hold)
            ended = monotonic()
            quick = ended - began < _QUICK
            began = ended
            request = lanes.next(lane)

    def _go_on_with(self, request: Request) -> None:
        """Run *request*, which its lane has rested for, and the rest of the lane."""
        assert request.lane is not None
        self._run_in_lane(request)
        self._work_off(request.lane)

    def _run_in_lane(self, request: Request, hold: bool = False) -> None:
        try:
            self.run(request, hold)
        except BaseException:  # to be raised here, too; the rest of the lane goes on
            self._schedule_later((self._work_off, request.lane))
            raise


_MOST_HELD: Final = 32
"""Answers that are held at most, so that the peer has something to do meanwhile."""
_QUICK: Final = 50e-6
"""Seconds that a call may take for the next of its kind to be thought quick, too."""


def _is_alike(request: Request, other: Request | None) -> bool:
    """Whether *other* calls what *request* calls."""
    if other is None or other.target is not request.target or other.op != request.op:
        return False
    path = request.path
    if path is None or other.path is None:
        return path is other.path
    return type(path) is type(other.path) is str and path == other.path


def _unsettled(request: Request) -> bool:
    return not all(answer.settled for answer in request.awaits)


def _when_settled(request: Request, go_on: Callable[[], object], seen: int = 0) -> None:
    """Call *go_on*, which must not wait, when all is there that *request* names behind *seen*."""
    for index in range(seen, len(request.awaits)):
        answer = request.awaits[index]
        if not answer.settled:
            answer.when_settled(partial(_when_settled, request, go_on, index + 1))
            return
    request.awaits = ()
    go_on()
