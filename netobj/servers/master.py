"""The master of a prefork server: a process that does nothing but start workers, and end them.

It is forked once, when the server begins, and has one thread for ever. So a worker that is started
much later, in place of one that has died, is a fork of a process in which nobody else can hold a
lock. No code of a program's runs in it: what there is to log goes to the program.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import socket
import time
import traceback
from collections.abc import Callable
from typing import Final, NoReturn

from netobj.servers.orders import END_PATIENCE, Order, Orders, Reports, tell
from netobj.servers.seats import Seats
from netobj.servers.worker import SIGNALS, leave

STEADY: Final = 5.0
"""Seconds after which a worker that dies has not died at once."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 10.0
_LOOK: Final = 1.0
"""Seconds between looks whether the program still is the parent."""
CAUGHT: Final = (*SIGNALS, signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else SIGNALS
"""The signals that a master hears, to be blocked while it is forked."""

Work = Callable[[int, socket.socket], NoReturn]
"""What a worker does in the child, given the number of its seat and the socket of its orders."""


class _Seat:
    """One of the workers, and those that come after it."""

    def __init__(self) -> None:
        self.pid = 0  # while it runs
        self.control: socket.socket | None = None
        self.born = 0.0
        self.failures = 0  # times that it died at once, one after the other
        self.due = 0.0  # when it is to be started

    def pause(self, now: float) -> float:
        """Seconds until the next one, after this has died."""
        if now - self.born >= STEADY:
            self.failures = 0
            return 0.0
        self.failures += 1
        return min(FIRST_PAUSE * 2.0 ** (self.failures - 1), LONGEST_PAUSE)


class Master:
    """Keeps a worker on each of *seats*, which does *work*, until it is told to end over *link*.

    *parent*: the process of the program; it ends the workers, too. *grace*: seconds that calls have
    if a signal ends it. *forgets* is called with the number of a
    seat whose worker has ended; *lets_go* when nobody is to be accepted any more.
    """

    def __init__(
        self,
        seats: Seats,
        work: Work,
        link: socket.socket,
        parent: int,
        grace: float,
        forgets: Callable[[int], object],
        lets_go: Callable[[], object],
    ) -> None:
        self._seats = seats
        self._work = work
        self._link = link
        self._orders = Orders(link)
        self._grace = grace
        self._forgets = forgets
        self._lets_go = lets_go
        self._parent = parent
        self._collects = gc.isenabled()
        self._all = [_Seat() for _ in range(seats.count)]
        self._ending = False
        self._signalled = False
        self._kill_at: float | None = None
        self._told, self._telling = socket.socketpair()

    def run(self) -> NoReturn:
        """For the child of a fork, with its signals still blocked."""
        status = 1
        try:
            gc.freeze()  # what is here stays, so workers go on sharing its memory
            gc.disable()  # and no finalizer of the program's runs
            for sock in (self._told, self._telling, self._link):
                sock.setblocking(False)
            for number in CAUGHT:
                signal.signal(number, _noted)
            signal.set_wakeup_fd(self._telling.fileno(), warn_on_full_buffer=False)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, CAUGHT)
            self._keep()
            status = 0
        except BaseException:  # the program learns no more than that it has ended
            traceback.print_exc()
        finally:
            leave(status)

    def _keep(self) -> None:
        poller = select.poll()
        poller.register(self._told, select.POLLIN)
        poller.register(self._link, select.POLLIN)
        while True:
            self._reap()
            if not self._ending:
                self._start_those_due()
            elif not any(seat.pid for seat in self._all):
                return
            elif self._kill_at is not None and time.monotonic() >= self._kill_at:
                self._kill()
            for descriptor, _ in poller.poll(self._timeout() * 1000):
                if descriptor == self._told.fileno():
                    self._hear_signals()
                elif not self._hear_orders():
                    poller.unregister(self._link)
            if os.getppid() != self._parent:  # another process may have its end of the link
                self._obey(Order(0, cut=True))

    def _timeout(self) -> float:
        times = [seat.due for seat in self._all if not (seat.pid or self._ending)]
        if self._kill_at is not None:
            times.append(self._kill_at)
        now = time.monotonic()
        return max(0.0, min([_LOOK, *(one - now for one in times)]))

    def _hear_signals(self) -> None:
        for number in self._told.recv(4096):
            # SIGINT goes to all processes of a terminal: the program itself sees to it.
            if number == signal.SIGTERM:
                self._obey(Order(self._grace, cut=self._signalled))
                self._signalled = True

    def _hear_orders(self) -> bool:
        orders = self._orders.read()
        for order in [Order(0, cut=True)] if orders is None else orders:
            self._obey(order)
        return orders is not None

    def _report(self, level: int, text: str) -> None:
        tell(self._link, Reports.line(level, text))

    # --- the workers -----------------------------------------------------------------------------

    def _start_those_due(self) -> None:
        now = time.monotonic()
        for number, seat in enumerate(self._all):
            if not seat.pid and seat.due <= now:
                try:
                    self._start(number, seat)
                except OSError as exc:
                    seat.due = now + seat.pause(now)
                    self._report(logging.ERROR, f"no worker can be started, trying again: {exc}")

    def _start(self, number: int, seat: _Seat) -> None:
        seat.born = time.monotonic()
        here, there = socket.socketpair()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT)
        try:
            with there:
                pid = os.fork()
                if pid == 0:
                    self._become_worker(number, here, there)
            self._seats.take(number, pid)
        except OSError:
            here.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        here.setblocking(False)
        seat.pid, seat.control = pid, here

    def _become_worker(self, number: int, here: socket.socket, there: socket.socket) -> NoReturn:
        """In the child: nothing of the master's stays open, whose end the others are to see."""
        try:
            signal.set_wakeup_fd(-1)
            for sock in (here, self._link, self._told, self._telling):
                sock.close()
            for seat in self._all:
                if seat.control is not None:
                    seat.control.close()
            if self._collects:
                gc.enable()
            self._work(number, there)
        except BaseException:
            traceback.print_exc()
        finally:
            leave(1)

    def _reap(self) -> None:
        for number, seat in enumerate(self._all):
            status = _ended(seat.pid) if seat.pid else None
            if status is None:
                continue
            self._seats.clear(number)
            self._forgets(number)
            assert seat.control is not None
            seat.control.close()
            pid, seat.pid, seat.control = seat.pid, 0, None
            if self._ending:
                continue
            now = time.monotonic()
            pause = seat.pause(now)
            seat.due = now + pause
            when = f"in {pause:.1f} seconds" if pause else "now"
            how = how_it_ended(status)
            text = f"worker {number} (process {pid}) has ended ({how}): another starts {when}"
            self._report(logging.ERROR if status else logging.INFO, text)

    # --- the end ---------------------------------------------------------------------------------

    def _obey(self, order: Order) -> None:
        """Have all workers end; who is told once more need not be told so."""
        if self._ending and not order.cut:
            return
        if not self._ending:
            self._ending = True
            self._lets_go()
        kill_at = time.monotonic() + order.grace + END_PATIENCE
        self._kill_at = kill_at if self._kill_at is None else min(self._kill_at, kill_at)
        for seat in self._all:
            tell(seat.control, order.packed())

    def _kill(self) -> None:
        self._kill_at = None
        for number, seat in enumerate(self._all):
            if seat.pid:
                os.kill(seat.pid, signal.SIGKILL)  # it is not reaped yet, so it is the one meant
                self._report(logging.WARNING, f"worker {number} did not end: it was killed")


def _noted(_number: int, _frame: object) -> None:
    """The interpreter has written the signal's number where it is read."""


def _ended(pid: int) -> int | None:
    """The status with which the child *pid* has ended; None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return status if found else None


def how_it_ended(status: int) -> str:
    """A status of ``waitpid`` in words."""
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
