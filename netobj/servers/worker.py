"""A worker of a prefork server: a process that runs a server of its own until it is told to end."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, NoReturn

from netobj.servers.base import Server
from netobj.servers.orders import END_PATIENCE, Order, Orders
from netobj.taking_turns import Room

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
"""What ends a server; in its processes nothing else may be done about them."""


def run_worker(
    server: Server,
    listener: socket.socket,
    room: Room,
    control: socket.socket,
    leaves: Callable[[], object],
) -> NoReturn:
    """Serve with *server* until *control* says otherwise, or ends; then end this process.

    For the child of a fork, with its signals still blocked. *leaves* is called when it begins to
    end.
    """
    status = 1
    try:
        told, telling = socket.socketpair()
        for sock in (told, telling, control):
            sock.setblocking(False)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in SIGNALS:
            signal.signal(number, _noted)
        signal.set_wakeup_fd(telling.fileno(), warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        server.accept_from(listener, room)
        watch = _Watch(server, control, told, leaves)
        threading.Thread(target=watch.run, name="netobj orders", daemon=True).start()
        server.start()
        status = 0
    except BaseException:
        server.logger.exception("a worker of the server failed")
    finally:
        leave(status)


def leave(status: int) -> NoReturn:
    """End this process, which was forked: what its parent wants done at its end is the parent's."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    finally:
        os._exit(status)


def _noted(_number: int, _frame: object) -> None:
    """The interpreter has written the signal's number where it is read."""


class _Watch:
    """A worker's thread that hears what is wanted of it, while the main thread serves."""

    def __init__(
        self,
        server: Server,
        control: socket.socket,
        signals: socket.socket,
        leaves: Callable[[], object],
    ) -> None:
        self._leaves = leaves
        self._server = server
        self._control = control
        self._orders = Orders(control)
        self._signals = signals
        self._poller = select.poll()
        self._poller.register(control, select.POLLIN)
        self._poller.register(signals, select.POLLIN)

    def run(self) -> None:
        while True:
            for descriptor, _ in self._poller.poll():
                if descriptor == self._signals.fileno():
                    # SIGINT goes to all processes of a terminal: the program itself sees to it.
                    if signal.SIGTERM in self._signals.recv(4096):
                        self._obey(Order(self._server.grace))
                    continue
                orders = self._orders.read()
                if orders is None:  # the master has ended
                    self._leave(self._close, 0.0)
                for order in orders:
                    self._obey(order)

    def _obey(self, order: Order) -> None:
        self._leaves()
        if order.cut:
            self._leave(self._server.cut)
        else:
            threading.Thread(target=self._close, args=(order.grace,), daemon=True).start()

    def _close(self, grace: float) -> None:
        self._server.close(grace)  # then the main thread comes out

    def _leave(self, end: Callable[..., object], *args: Any) -> NoReturn:
        """Do what ends the connections, for a moment; then end, whatever runs."""
        thread = threading.Thread(target=end, args=args, daemon=True)
        thread.start()
        thread.join(END_PATIENCE)
        leave(1)
