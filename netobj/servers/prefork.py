"""A server of several processes, started in advance, which share its port."""

from __future__ import annotations

import inspect
import os
import select
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType
from typing import Any, Final, NoReturn

from netobj.blocking.sigint import on_sigint
from netobj.blocking.streams import COOPERATIVE
from netobj.calls import Call
from netobj.refusing import close_quietly
from netobj.servers.async_server import AsyncServer
from netobj.servers.base import Server
from netobj.servers.listening import listen_at, shutdown
from netobj.servers.master import CAUGHT, Master, how_it_ended
from netobj.servers.orders import END_PATIENCE, Order, Reports, tell
from netobj.servers.seats import Seats, SharedRoom, slots_for_clients
from netobj.servers.shared_limits import share_limits
from netobj.servers.shared_slots import SharedTable
from netobj.servers.signals import Alarm, alarmed, handled
from netobj.servers.thread_pool import ThreadPoolServer
from netobj.servers.threaded import ThreadedServer
from netobj.servers.worker import leave, run_worker

_KINDS: Final = (ThreadedServer, ThreadPoolServer, AsyncServer)
_BY_REGISTRY: Final = ("registrar", "auto_register", "advertise")
_MORE: Final = 3.0
"""Seconds that the master has to see to it that no worker is left, beyond those of its own."""

_links: weakref.WeakSet[socket.socket] = weakref.WeakSet()
"""This process's ends of what masters listen to: no other process is to keep one open."""


class PreforkServer(Server):
    """Serves with several processes, on several cores; see :class:`netobj.servers.base.Server`.

    *workers*: how many, by default one for each core that this process may use. Each runs a
    *server* of its own: :class:`~netobj.ThreadedServer`, :class:`~netobj.ThreadPoolServer`,
    :class:`~netobj.AsyncServer`, or what makes one of these of the same arguments,
    ``functools.partial(netobj.ThreadPoolServer, nbThreads=4)`` for example. *bind_cores*: each
    stays on one of the cores. A service given as an instance is copied into each worker, and what
    a class keeps is each worker's own.

    All accept from one socket, who has the fewest clients first. So nobody who connects is lost
    when a worker dies, or waits for one that computes. With *reuse_port* each has a socket of its
    own, and the system chooses by the address of the client (``SO_REUSEPORT``).

    A worker that dies is replaced, at once if it has lived for a while, and later and later if not.
    Ctrl-C, SIGTERM and :meth:`close` end all of them: they stop accepting, and calls have *grace*
    seconds; a second signal cuts them. None outlives the program, not even if that is killed.
    *max_connections* holds for all workers together, and so does the ``limit`` of a function (see
    :func:`netobj.exposed`), unless that is for each connection or address. They are registered as
    one server.

    Workers are forked from a process that is itself forked when the server begins, and from then on
    does nothing else. So begin where no other thread may have locked what a worker needs: before
    other threads are started, best of all. Only where there is ``fork``, OSError elsewhere. An
    *executor* is refused with a ValueError. ``processes`` are the ids of the workers, ``counts``
    says how many clients each has; ``connections`` stays empty, since they are the workers'.

    >>> import netobj
    >>> class PidService(netobj.Service):
    ...     def exposed_pid(self): return os.getpid()
    >>> with PreforkServer(PidService, hostname="localhost", workers=2) as server:
    ...     with netobj.connect("localhost", server.port) as conn:
    ...         conn.root.pid() in server.processes
    True
    """

    def __init__(
        self,
        service: Any,
        *args: Any,
        workers: int | None = None,
        bind_cores: bool = False,
        server: Callable[..., Server] = ThreadedServer,
        reuse_port: bool = False,
        **kwargs: Any,
    ) -> None:
        if not hasattr(os, "fork"):
            raise OSError("PreforkServer needs fork, which this system does not have")
        if COOPERATIVE:
            raise RuntimeError(
                "PreforkServer needs threads, which gevent has replaced in this program: start "
                "several programs with a GeventServer instead"
            )
        super().__init__(service, *args, **kwargs)
        if self.executor is not None:
            raise ValueError("PreforkServer takes no executor: its threads are not in the workers")
        self._cores = _cores(bind_cores)
        self.workers = len(_usable_cores()) if workers is None else workers
        if self.workers < 1:
            raise ValueError("PreforkServer: workers is a number of processes, 1 at the least")
        if reuse_port and self.socket_path is not None:
            raise ValueError("reuse_port is for ports: a Unix socket is shared by all workers")
        if reuse_port and not hasattr(socket, "SO_REUSEPORT"):
            raise OSError("reuse_port needs SO_REUSEPORT, which this system does not have")
        self.reuse_port = reuse_port
        settings = inspect.signature(Server).bind(service, *args, **kwargs).arguments
        settings = {name: one for name, one in settings.items() if name not in _BY_REGISTRY}
        self._server = _made(server, {**settings, "logger": self.logger})
        self._seats: Seats | None = None  # while the workers run, and after that
        self._table: SharedTable | None = None  # while they run
        self._more: list[socket.socket] = []  # the other workers' sockets, with reuse_port
        self._link: socket.socket | None = None  # to the master
        self._interrupts = 0
        # Protects the id of the master: it is not signalled once it was reaped.
        self._master_lock = threading.Lock()
        self._master = 0
        self._status = 0  # of the master, when it has ended

    @property
    def processes(self) -> tuple[int, ...]:
        """The ids of the workers that run."""
        return () if self._seats is None else self._seats.processes

    @property
    def counts(self) -> tuple[int, ...]:
        """How many clients each of the workers has, those who are logging in included."""
        table = self._table
        if table is not None:
            try:
                return tuple(slots_for_clients(table, self.max_connections).counts())
            except ValueError:  # closed meanwhile
                pass
        return (0,) * self.workers

    def _bind(self) -> socket.socket:
        first = super()._bind()
        if self.reuse_port:
            for _ in range(self.workers - 1):
                address = first.getsockname()
                more = listen_at(first.family, address, self.backlog, self.reuse_addr, True)
                self._more.append(more)
        return first

    def _listen_at(self, family: int, address: Any) -> socket.socket:
        return listen_at(family, address, self.backlog, self.reuse_addr, self.reuse_port)

    # --- the master ------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Start the master, unless that has been done, or the server is closed. OSError."""
        with self._lock:
            if self._closed or self._link is not None:
                return
            listener = self.listener
            seats = Seats(self.workers)
            table = SharedTable(self.workers)
            here, there = socket.socketpair()
            here.setblocking(False)
            _links.add(here)
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()  # else a worker would write it, too
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT)
            program = os.getpid()
            try:
                with there:
                    pid = os.fork()
                    if pid == 0:
                        self._be_master(program, there, [listener, *self._more], seats, table)
            except OSError:
                here.close()
                table.close()
                raise
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            self._seats, self._table, self._link, self._master = seats, table, here, pid

    def _be_master(
        self,
        program: int,
        link: socket.socket,
        listeners: list[socket.socket],
        seats: Seats,
        table: SharedTable,
    ) -> NoReturn:
        """In the child of the program: what it has locked is not for its children."""

        def work(seat: int, control: socket.socket) -> NoReturn:
            mine = listeners[seat % len(listeners)]
            for listener in listeners:
                if listener is not mine:
                    listener.close()
            table.mine = seat
            room = SharedRoom(seats, table, seat, self.max_connections, not self.reuse_port)
            if self._cores:
                os.sched_setaffinity(0, {self._cores[seat % len(self._cores)]})
            share_limits(self.service, self._settings().interceptors, table)
            run_worker(self._server, mine, room, control, lambda: seats.leave(seat))

        def let_go() -> None:
            for listener in listeners:
                listener.close()

        try:
            signal.set_wakeup_fd(-1)  # the program's own
            Master(seats, work, link, program, self.grace, table.forget, let_go).run()
        finally:
            leave(1)

    def _tell_started(self) -> None:
        """The workers tell their interceptors."""

    def _tell_stopped(self) -> None:
        """As :meth:`_tell_started`."""

    def _tell(self, order: Order) -> None:
        tell(self._link, order.packed())

    def _ended(self) -> bool:
        """Whether the master has ended, or there is none; reaps it."""
        with self._master_lock:
            if self._master:
                try:
                    pid, self._status = os.waitpid(self._master, os.WNOHANG)
                except ChildProcessError:  # the program has reaped it
                    pid = self._master
                if pid:
                    self._master = 0
            return not self._master

    # --- serving ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Serve until :meth:`close`, Ctrl-C or SIGTERM; returns at once if closed.

        Calls that run then have ``grace`` seconds to end, and none at a second signal. Raises
        RuntimeError if the master's process is killed.
        """
        self.active = True
        try:
            with ExitStack() as stack:
                for number, *default in (
                    (signal.SIGTERM, signal.SIG_DFL),
                    (signal.SIGINT, signal.default_int_handler, on_sigint),
                ):
                    stack.enter_context(handled(number, self._on_signal, *default))
                alarm = stack.enter_context(alarmed())
                self._begin()
                if self._link is not None:
                    where = self.socket_path or f"[{self.host}]:{self.port}"
                    self.logger.info("server started on %s, %d workers", where, self.workers)
                    self._register()
                    self._follow(self._link, alarm)
        finally:
            asked = self._closed or self._interrupts > 0
            self.close()
            self._over.wait()  # another thread may be about it
            self._let_all_go()
        if self._status and not asked:
            how = how_it_ended(self._status)
            raise RuntimeError(f"the server's master process has ended ({how}), and its workers")

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupts += 1
        if self._interrupts == 1:
            self._interrupt()
        else:
            self.logger.warning("interrupted once more: calls are cut")
            self._tell(Order(0, cut=True))

    def _interrupt(self) -> None:
        """Have the workers end, and so :meth:`start`; from a signal handler, so without a lock."""
        super()._interrupt()
        for listener in self._more:
            shutdown(listener)
        self._tell(Order(self.grace))

    def _follow(self, link: socket.socket, alarm: Alarm | None) -> None:
        """Log what the master reports, until it ends."""
        reports = Reports(self.logger)
        poller = select.poll()
        poller.register(link, select.POLLIN)
        while True:
            if alarm is not None:
                alarm.wait(link)
            else:
                poller.poll()
            try:
                data = link.recv(4096)
            except BlockingIOError:
                continue
            except OSError:
                return
            if not data:
                return
            reports.add(data)

    def _accept_method(self, sock: socket.socket) -> None:
        raise NotImplementedError("the workers accept connections")

    # --- the end ---------------------------------------------------------------------------------

    def close(self, grace: float = 0) -> tuple[Call, ...]:
        """Stop accepting, and end every worker. Closing twice does no harm.

        The calls that run have *grace* seconds to end. Those that are cut are the workers', so
        none is returned.
        """
        with self._lock:
            if self._closed:
                return ()
            self._closed = True
            self.active = False
            registration = self._registration
        if registration is not None:
            registration.stop()
        try:
            self._end(grace)
        finally:
            if registration is not None:
                registration.join()
            self.logger.info("server has terminated")
            self._over.set()
        return ()

    def _end(self, grace: float) -> None:
        self._listening.close()
        for listener in self._more:
            shutdown(listener)
            close_quietly(listener)
        if self._interrupts == 0:
            self._tell(Order(grace))
        try:
            self._await_master(grace + END_PATIENCE + _MORE)
        except KeyboardInterrupt:
            self.logger.warning("interrupted once more: calls are cut")
            self._tell(Order(0, cut=True))
            self._await_master(END_PATIENCE + _MORE)
        with self._master_lock:
            if self._master:
                os.kill(self._master, signal.SIGKILL)  # then its workers end by themselves
        self._await_master(END_PATIENCE)
        self._kill_orphans()

    def _kill_orphans(self) -> None:
        """If the master was killed: end those of its workers that do not notice it.

        They may be in an extension in C that keeps the interpreter's lock. A descriptor of a
        process is opened while they are there, so that it is not another that is killed.
        """
        if not self._status or self._seats is None or not hasattr(os, "pidfd_open"):
            return
        with ExitStack() as stack:
            left = []
            for pid in self._seats.processes:
                try:
                    descriptor = os.pidfd_open(pid)
                except OSError:  # it has ended
                    continue
                stack.callback(os.close, descriptor)
                left.append(descriptor)
            end = time.monotonic() + END_PATIENCE + 1
            for descriptor in left:
                poller = select.poll()
                poller.register(descriptor, select.POLLIN)
                if not poller.poll(max(0.0, end - time.monotonic()) * 1000):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)

    def _let_all_go(self) -> None:
        """The workers have ended: what was there to speak with them is of no use any more."""
        with self._lock:
            table, self._table = self._table, None
        if self._link is not None:
            self._link.close()
        if table is not None:
            table.close()

    def _await_master(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._ended() and time.monotonic() < end:
            time.sleep(0.002)


def _made(server: Callable[..., Server], settings: dict[str, Any]) -> Server:
    """What each worker runs. Raises TypeError or ValueError if that is not for a worker."""
    made = server(**settings)
    if not isinstance(made, _KINDS):
        raise ValueError(
            f"PreforkServer: server={server!r} makes a {type(made).__name__}, and a worker runs "
            f"one of {', '.join(kind.__name__ for kind in _KINDS)}"
        )
    if made.executor is not None:
        raise ValueError("PreforkServer takes no executor: its threads are not in the workers")
    return made


def _usable_cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _cores(bind: bool) -> list[int]:
    if bind and not hasattr(os, "sched_setaffinity"):
        raise OSError("bind_cores needs sched_setaffinity, which this system does not have")
    return _usable_cores() if bind else []


def _close_links() -> None:
    for link in list(_links):
        link.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_links)
