"""Threads that serve many connections together; one of them, the leader, waits for all.

The leader reads what has come and runs it itself, since a call takes less time than waking another
thread does. What a call costs is known only when it has run: the names of those that took long are
kept, and before one of them runs the lead goes to another thread. The first of its kind is noticed
by the I/O thread, which looks at every tick whether the leader is still in the call that it was in
before, and then gives the lead away.

A call that waits for a peer counts for nothing: what it waits for may depend on a call that is
still to come, from the same client or from any other. So while jobs wait and none is begun for a
tick, the I/O thread looks which threads wait for a peer, and lets one more stand in for each of
them, until it has nothing to do. No job waits for ever, then, unless as many calls as may run wait
for something that is not netobj's.

Ownership: the selector, ``_links`` and ``_resting`` belong to the leader; other threads append to
``_commands`` and wake it. ``_ticket`` holds one item while the leader runs a call: whoever takes it
out, in one atomic step, decides about the lead. An idle member belongs to whoever takes it out of
``_idle``. ``_lock`` protects the number of members and the waker's end; nothing waits while it is
held.
"""

from __future__ import annotations

import logging
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from threading import get_ident
from typing import Any, Final

from netobj.blocking.io_thread import io_thread
from netobj.blocking.link import Link, waiting_threads
from netobj.blocking.pool import Job
from netobj.blocking.waker import Waker
from netobj.core.events import Request

SLOW: Final = 0.0005
"""Seconds from which on a call is worth waking another thread for."""
RESTING: Final = 0.01
"""Seconds between looks at connections that another thread reads."""
_MOST_NAMES: Final = 1000
_FEW: Final = 4
"""Of fewer threads than these none is kept for other connections."""


def most_for_one(limit: int) -> int:
    """How many of *limit* threads one connection may have at a time.

    >>> most_for_one(20), most_for_one(1)
    (15, 1)
    """
    return limit if limit < _FEW else limit - limit // 4


class _Member:
    """One thread. ``ready`` is a lock used as a signal, held by the member while it is idle."""

    def __init__(self, crew: Crew, number: int, leads: bool, relieves: bool) -> None:
        self.ready = threading.Lock()
        self.ready.acquire()
        self.leads = leads  # what it does next; set by who took it out of the idle ones
        self.relieves = relieves  # it was started for the lead, should that still be to be had
        self._crew = crew
        self._name = f"netobj crew {number}"

    def start(self) -> None:
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        thread = get_ident()
        self._crew.threads.add(thread)
        while self._crew.work(self):
            self.ready.acquire()
        self._crew.threads.discard(thread)


class Crew:
    """At most *limit* threads that run calls, and one more that only reads while all of them do.

    Those whose calls wait for a peer do not count, see above. *log* is told of faults. Raises
    RuntimeError where the system gives no thread.
    """

    def __init__(self, limit: int, log: logging.Logger) -> None:
        self._limit = limit
        self._most = most_for_one(limit)
        self._log = log
        self._io = io_thread()
        self._waker = Waker()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._waker.fd, selectors.EVENT_READ, None)
        self._links: dict[Link, int] = {}  # and their descriptors
        self._resting: set[Link] = set()  # not in the selector: another thread reads them
        self._commands: deque[Link] = deque()
        self._jobs: deque[Job] = deque()
        self._idle: deque[_Member] = deque()
        self._lock = threading.Lock()
        self._count = 0
        self.threads: set[int] = set()
        self._leader = 0  # the thread that has taken the lead last
        self._closed = False
        self._over = False  # nobody will lead any more
        self._ticket: list[None] = []
        self._calls = 0  # how many the leaders have begun
        self._looked = -1  # what that was at the last look
        self._watched = False  # the I/O thread will look
        self._slow: dict[Any, None] = {}
        self._begun = 0  # how many jobs have been taken
        self._begun_before = -1  # what that was at the last look
        self._jobs_watched = False  # the I/O thread will look
        if not self._start(leads=True):
            self._waker.close()
            self._selector.close()
            raise RuntimeError("the system gives no thread that could serve connections")

    # --- for other threads ---------------------------------------------------------------------

    def add(self, link: Link) -> None:
        """Serve *link* until it ends."""
        link.crew = self
        link.dispatcher.share(self, self._most, waiting_threads)
        self._commands.append(link)
        if not self._wake():
            link.crew = None

    def _wake(self) -> bool:
        """Let the leader look at what there is for it; False if there will be none any more."""
        with self._lock:  # or the descriptor might be another's by now
            if not self._over:
                self._waker.wake()
            return not self._over

    def submit(self, job: Job) -> bool:
        """Run *job*, a function and its argument, as soon as a thread is free."""
        self._jobs.append(job)
        if not (self._rouse(leads=False) or self._start(leads=False) or self._jobs_watched):
            self._jobs_watched = True
            self._begun_before = -1
            self._io.soon((Crew._look_at_jobs, self))
        return True

    def close(self) -> None:
        """Let the threads end when they have run what they run, and let go of the connections."""
        self._closed = True
        self._wake()
        while self._rouse(leads=False):
            pass

    # --- the threads ---------------------------------------------------------------------------

    def work(self, member: _Member) -> bool:
        """Do what *member* is to do until it is idle again; False if it is to end."""
        if member.relieves:
            member.relieves = False
            member.leads = self._take_ticket()
        while member.leads:
            member.leads = False
            try:
                self._lead()
            except Exception:  # a fault of ours, of which the connections are to see nothing
                self._log.exception("serving connections failed, and goes on")
                member.leads = True
        while True:
            while (job := self._next_job()) is not None:
                self._run(*job)
            if self._closed or self._is_too_many():
                return False
            self._idle.append(member)
            # Who adds a job after this finds the member; what was added before is seen here.
            if not (self._jobs or self._closed):
                return True
            try:
                self._idle.remove(member)
            except ValueError:  # taken by somebody who will release it
                return True

    def _next_job(self) -> Job | None:
        try:
            job = self._jobs.popleft()
        except IndexError:
            return None
        self._begun += 1
        return job

    def _run(self, function: Callable[[Any], object], argument: Any) -> None:
        try:
            function(argument)
        except BaseException:  # what is to be raised here, too, see Runner.run
            self._log.exception("a call was to end this thread")

    def _rouse(self, leads: bool) -> bool:
        """Give an idle member something to do; False if there is none."""
        try:
            member = self._idle.pop()
        except IndexError:
            return False
        member.leads = leads
        member.ready.release()
        return True

    def _is_too_many(self) -> bool:
        """One member more than there are to be can go; it does not count any longer."""
        with self._lock:
            too_many = self._count > self._limit + 1
            if too_many:
                self._count -= 1
        return too_many

    def _start(self, leads: bool = False, relieves: bool = False, waiting: int = 0) -> bool:
        """Start another member; False if there are enough, or can be no more.

        With *relieves* there may be one more, for as long as all others run calls; and one for
        each of those that are *waiting*.
        """
        with self._lock:
            most = self._limit + relieves + waiting
            if self._count > most or (self._closed and not relieves):
                return False
            self._count += 1
            number = self._count
        try:
            _Member(self, number, leads, relieves).start()
        except RuntimeError:  # no thread can be started
            with self._lock:
                self._count -= 1
            return False
        return True

    # --- the leader ----------------------------------------------------------------------------

    def _lead(self) -> None:
        self._leader = get_ident()
        while not self._closed:
            ready = self._selector.select(RESTING if self._resting else None)
            for key, _ in ready:
                if key.data is None:
                    self._waker.clear()
                elif not self._serve(key.data):
                    return  # what else is ready will be reported to the next leader
            while self._commands:
                if not self._serve(self._commands.popleft()):
                    return
            if self._resting:
                self._look_at_resting()
        self._end()

    def _serve(self, link: Link) -> bool:
        """Read *link* and run what has come; False if this thread leads no longer."""
        if link not in self._links and not link.ended:
            self._watch(link)
        request = None
        if not link.ended and link.reader_is_there():
            self._rest(link)
        else:
            request = link.take_call()
            if link.stream.pending():  # what the selector cannot see
                self._commands.append(link)
        if link.ended:
            self._forget(link)
        return request is None or self._call(link, request)

    def _call(self, link: Link, request: Request) -> bool:
        run = link.dispatcher.run
        if not link.dispatcher.begin():  # it has its share of the threads
            link.dispatcher.put_off((run, request))
            return True
        try:
            return self._call_begun(link, request)
        finally:
            link.dispatcher.finish()

    def _call_begun(self, link: Link, request: Request) -> bool:
        run = link.dispatcher.run
        if self._count > self._limit and not self._idle:  # the others run calls; who is to read?
            self.submit((run, request))
            return True
        name = request.path if type(request.path) is str else None
        leads = name not in self._slow or not (self._rouse(leads=True) or self._start(leads=True))
        if leads:
            self._calls += 1
            self._ticket.append(None)  # from here on the I/O thread may give the lead away
            if not self._watched:
                self._watched = True
                self._io.soon((Crew._look, self))
        began = time.monotonic()
        self._run(run, request)
        self._learn(name, time.monotonic() - began)
        return leads and self._take_ticket()

    def _take_ticket(self) -> bool:
        """Decide about the lead of a leader that runs a call, unless another has done so."""
        try:
            self._ticket.pop()
        except IndexError:
            return False
        return True

    def _learn(self, name: str | None, seconds: float) -> None:
        if seconds > SLOW:
            if len(self._slow) >= _MOST_NAMES:  # names are the peers' to choose
                self._slow.clear()
            self._slow[name] = None
        elif self._slow:
            self._slow.pop(name, None)

    def _look(self) -> None:
        """From the I/O thread: a leader that is in the same call as before leads no longer."""
        same, self._looked = self._calls == self._looked, self._calls
        self._watched = False  # before the look: who begins a call after it has us look again
        if not self._ticket:
            return
        self._watched = True
        self._io.soon((Crew._look, self))
        if not same:
            return
        try:
            member = self._idle.pop()
        except IndexError:  # all others run calls, and nobody reads
            self._start(relieves=True)
            return
        member.leads = self._take_ticket()  # False: the call has ended just now
        member.ready.release()

    def _look_at_jobs(self) -> None:
        """From the I/O thread, while jobs wait: is it for calls that wait for a peer?"""
        same, self._begun_before = self._begun == self._begun_before, self._begun
        self._jobs_watched = False  # before the look: who adds a job after it has us look again
        if not self._jobs or self._closed:  # then the waiting ends with the connections
            return
        self._jobs_watched = True
        self._io.soon((Crew._look_at_jobs, self))
        if same:
            waiting = self.threads.intersection(waiting_threads())
            waiting.discard(self._leader)  # it reads, and does so without waiting
            self._start(waiting=len(waiting))

    # --- connections that another thread reads, and those that have ended -------------------------

    def _watch(self, link: Link) -> None:
        fd = link.stream.read_fd
        try:
            self._selector.register(fd, selectors.EVENT_READ, link)
        except (OSError, ValueError) as exc:  # the system has no room for it, or it has just ended
            link.lose(f"waiting for what comes from {link.stream.name} is impossible: {exc}")
        else:
            self._links[link] = fd
            self._resting.discard(link)

    def _rest(self, link: Link) -> None:
        """A thread that waits for an answer reads *link*: what comes is not the leader's."""
        if link not in self._resting:
            self._selector.unregister(self._links[link])
            self._resting.add(link)

    def _look_at_resting(self) -> None:
        for link in list(self._resting):
            if link.ended:
                self._forget(link)
            elif not link.reader_is_there():
                self._watch(link)  # which may end it
                self._commands.append(link)  # what its stream has, the selector cannot see

    def _forget(self, link: Link) -> None:
        fd = self._links.pop(link, None)
        if fd is not None and link not in self._resting:
            self._selector.unregister(fd)
        self._resting.discard(link)
        link.crew = None  # from here on its descriptors may be given back

    def _end(self) -> None:
        with self._lock:
            self._over = True  # before the look: who adds a link after it is told
            self._waker.close()
        for link in (*self._links, *self._commands):
            self._forget(link)
        self._selector.close()
