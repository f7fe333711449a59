"""A process for each connection."""

from __future__ import annotations

import _thread
import mmap
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from struct import Struct
from types import FrameType
from typing import Any, Final, NoReturn

from netobj.blocking.connection import Connection
from netobj.blocking.io_thread import running_io_thread
from netobj.blocking.safepoint import at_safe_point
from netobj.calls import Call
from netobj.refusing import full
from netobj.servers.base import Server
from netobj.servers.closing import close_with_grace
from netobj.servers.guests import Guests

GRACE: Final = 0.8
"""Seconds that the children have to say goodbye when the server closes."""
REAP_SECONDS: Final = 0.1
"""How often the server looks whether one of its children has ended."""
_SECONDS: Final = Struct("d")
_BETWEEN_SIGNALS: Final = 0.05
_ENDING: Final = (signal.SIGINT, signal.SIGTERM)


class ForkingServer(Server):
    """Serves each connection in a child of this process; see :class:`netobj.servers.base.Server`.

    What a client does to the process (globals, the current folder, a crash) concerns nobody else;
    nor do services share anything, an instance given as *service* included: each child has a copy
    of what was there when its client came. Only where there is ``fork``, OSError elsewhere.

    A child has only the thread that accepted its client, and locks that other threads of the
    parent held stay locked there for ever. So fork from a process that does nothing else: let
    the main thread run :meth:`start`, and leave threads to the children. Connections of the
    parent are dead in them, and its ``atexit`` functions do not run there.

    :meth:`close` ends the children, too: they close their connections, and who does not is killed
    after 0.8 seconds. *max_connections* is how many children there may be; an *executor* is
    refused with a ValueError, since its threads would not be in them. ``processes`` are the ids of
    those that run; ``connections`` stays empty, since they are the children's. The program's own
    children, and its handler of SIGCHLD, are left alone.

    >>> import netobj
    >>> class PidService(netobj.Service):
    ...     def exposed_pid(self): return os.getpid()
    >>> with ForkingServer(PidService, hostname="localhost") as server:
    ...     with netobj.connect("localhost", server.port) as conn:
    ...         conn.root.pid() == os.getpid()
    False
    """

    def __init__(self, service: Any, *args: Any, **kwargs: Any) -> None:
        if not hasattr(os, "fork"):
            raise OSError("ForkingServer needs fork, which this system does not have")
        super().__init__(service, *args, **kwargs)
        if self.executor is not None:
            raise ValueError("ForkingServer takes no executor: its threads are not in the children")
        # Protects the next two: no id is signalled once its process was reaped.
        self._children_lock = threading.Lock()
        self._children: set[int] = set()
        self._ended = False
        self._grace = mmap.mmap(-1, _SECONDS.size)  # shared: seconds that calls have to end
        self._told = self._ending = False  # in a child

    @property
    def processes(self) -> tuple[int, ...]:
        """The ids of the processes that serve a connection."""
        self._reap()
        with self._children_lock:
            return tuple(self._children)

    def accept(self) -> None:
        """Accept one connection and hand it to a child; waits for one, and reaps meanwhile."""
        listener = self.listener
        poller = select.poll()
        poller.register(listener, select.POLLIN)
        while self._children:
            if poller.poll(REAP_SECONDS * 1000):
                break
            self._reap()
        super().accept()

    def _accept_method(self, sock: socket.socket) -> None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()  # else the child would write it, too
        if len(self.processes) >= self.max_connections:
            self._refuse(sock, full(self.max_connections))
            return
        with self._children_lock:
            if self._ended:
                self._guests.let_go(sock)
                sock.close()
                return
            failure = None
            # The child is not to run the parent's handlers, which would close the server.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
            try:
                pid = os.fork()
                if pid == 0:
                    self._be_child(sock, mask)
                self._children.add(pid)
            except OSError as exc:
                failure = str(exc)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if failure is None:
            self._guests.let_go(sock)
            sock.close()
        else:
            self._refuse(sock, f"no process can be started for it ({failure})")

    def _be_child(self, sock: socket.socket, mask: Iterable[int]) -> NoReturn:
        """Serve *sock*, and end this process."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            self._forget_parent()
            for number in _ENDING:
                signal.signal(number, self._on_signal)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            self._authenticate_and_serve_client(sock, self._greet(sock))
            self._over.wait(GRACE)  # for who closes it, and may still tell the service
            status = 0
        except KeyboardInterrupt:
            status = 0
        except BaseException:
            self.logger.exception("a child that served a connection failed")
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)

    def _serve_admitted(self, connection: Connection) -> None:
        super()._serve_admitted(connection)
        # A worker may be telling the service, and would not survive this process.
        end = time.monotonic() + GRACE
        while not connection.finished and time.monotonic() < end:
            time.sleep(0.001)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """A child is told to end by SIGTERM, as often as its parent likes.

        SIGINT alone is left to the parent: Ctrl-C goes to all processes of a terminal. Once told,
        the child is not interrupted in what it does at its end, nor if its client has gone.
        """
        self._told = self._told or number == signal.SIGTERM
        if not self._told or self._ending or any(client.closed for client in self.clients):
            return
        (grace,) = _SECONDS.unpack(self._grace)
        io = running_io_thread()
        if grace > 0 and self.clients:
            self._ending = True
            self._over.clear()
            _thread.start_new_thread(self._wind_up, (grace,))
        elif io is None or at_safe_point(frame):
            self._ending = True
            raise KeyboardInterrupt
        else:
            io.interrupt_main_soon()

    def _wind_up(self, grace: float) -> None:
        """In a child: let the calls end, and close; then the thread that serves comes out."""
        try:
            close_with_grace(self.connections, grace, self.logger)
        finally:
            self._over.set()

    def _forget_parent(self) -> None:
        # Locks are made anew: another thread of the parent may have held the old ones.
        self._lock = threading.RLock()
        self._children_lock = threading.Lock()
        self._over = threading.Event()
        self._over.set()  # until _wind_up has begun
        self._children = set()
        self._guests = Guests()
        self._listening.forget()

    def _reap(self) -> None:
        with self._children_lock:
            self._children = {pid for pid in self._children if _runs(pid)}

    def close(self, grace: float = 0) -> tuple[Call, ...]:
        """Stop accepting, and end every child. Closing twice does no harm.

        The calls that run have *grace* seconds to end. Those that are cut are the children's, so
        none is returned.
        """
        with self._children_lock:
            if not self._ended:
                _SECONDS.pack_into(self._grace, 0, grace)
            self._ended = True
        super().close()
        try:
            self._end_children(signal.SIGTERM, grace + GRACE)
        except KeyboardInterrupt:
            self.logger.warning("interrupted once more: calls are cut")
        self._end_children(signal.SIGKILL, GRACE)
        return ()

    def _end_children(self, number: int, seconds: float) -> None:
        """Signal the children until they have ended, or for *seconds* if they do not.

        Python takes no notice of a signal that comes right before a system call blocks; the next
        one ends the call.
        """
        end = time.monotonic() + seconds
        while self.processes and time.monotonic() < end:
            with self._children_lock:
                for pid in self._children:
                    _unless_gone(os.kill, pid, number)
            pause = time.monotonic() + _BETWEEN_SIGNALS
            while self.processes and time.monotonic() < pause:
                time.sleep(0.002)


def _runs(pid: int) -> bool:
    """True while the child *pid* runs; reaps it when it has ended."""
    found: object = _unless_gone(os.waitpid, pid, os.WNOHANG)
    return found == (0, 0)


def _unless_gone(function: Callable[..., Any], pid: int, argument: int) -> Any:
    try:
        return function(pid, argument)
    except (ChildProcessError, ProcessLookupError):  # reaped by somebody else
        return None
