"""Calls that run on a thread of the host program's choosing."""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Protocol


class Executor(Protocol):
    """Where calls may run: a ``concurrent.futures.Executor``, or a :class:`Pump`."""

    def submit(self, function: Callable[..., object], /, *args: Any) -> Any:
        """Call *function* with *args* soon. Raises RuntimeError when that is over."""


class Pump:
    """An executor for hosts that insist on one thread: what waits runs when that thread pumps.

    Give it to a server as ``executor=``, and call ``server.pump()`` from the host's loop, a timer
    for example. Several servers may share one.

    >>> import netobj
    >>> class Scene(netobj.Service):
    ...     def exposed_thread(self):
    ...         import threading
    ...         return threading.current_thread() is threading.main_thread()
    >>> with netobj.ThreadedServer(Scene, hostname="localhost", executor=Pump()) as server:
    ...     with netobj.connect("localhost", server.port) as conn:
    ...         result = netobj.async_(conn.root.thread)()
    ...         while not result.ready:
    ...             _ = server.pump(timeout=1)
    ...         result.value
    True
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]] = SimpleQueue()

    def submit(self, function: Callable[..., object], /, *args: Any) -> None:
        """Have *function* called with *args* by the next :meth:`pump`."""
        self._jobs.put((function, args))

    def pump(self, timeout: float | None = 0) -> int:
        """Run what waits, in this thread; returns how many jobs that were.

        If nothing waits, waits at most *timeout* seconds for something (None: for ever).
        """
        end = None if timeout is None else time.monotonic() + timeout
        ran = 0
        # Not what comes meanwhile: a host's loop has other things to do.
        for _ in range(max(1, self._jobs.qsize())):
            left = None if end is None else max(0.0, end - time.monotonic())
            try:
                function, args = self._jobs.get(block=not ran, timeout=left)
            except Empty:
                break
            function(*args)
            ran += 1
        return ran
