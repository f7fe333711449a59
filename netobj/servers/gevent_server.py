"""A greenlet for each connection."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from netobj.blocking.streams import COOPERATIVE
from netobj.servers.signals import handled
from netobj.servers.threaded import ThreadedServer


class GeventServer(ThreadedServer):
    """Serves each connection in a greenlet; see :class:`netobj.servers.base.Server`.

    Needs gevent (``pip install netobj[gevent]``), and a program that begins with ::

        from gevent import monkey
        monkey.patch_all()

    before it imports netobj. Then every thread of netobj is a greenlet, clients' included, and
    :class:`ThreadedServer` would do the same; this class makes sure of it. A call that computes
    holds all connections up, as any greenlet does; one that waits does not. Raises ImportError
    without gevent, RuntimeError where the modules were not patched in time.
    """

    def __init__(self, service: Any, *args: Any, **kwargs: Any) -> None:
        try:
            self._gevent = import_module("gevent")  # an extra
            monkey = import_module("gevent.monkey")
        except ImportError as exc:
            raise ImportError(
                "GeventServer needs gevent: python -m pip install 'netobj[gevent]'"
            ) from exc
        if not COOPERATIVE or not monkey.is_module_patched("threading"):
            raise RuntimeError(
                "GeventServer: gevent has not patched the standard library before netobj was "
                "imported: let the program begin with `from gevent import monkey; "
                "monkey.patch_all()`, or use ThreadedServer"
            )
        super().__init__(service, *args, **kwargs)

    def start(self) -> None:
        """Accept and serve until :meth:`close`, Ctrl-C or SIGTERM; returns at once if closed."""
        # Python would run its handlers in any greenlet, which may be in the midst of a message,
        # and raise KeyboardInterrupt there; gevent has it raised in this one, where it waits.
        here, kill = self._gevent.getcurrent(), self._gevent.kill
        with (
            self._on(signal.SIGINT, signal.default_int_handler, kill, here, KeyboardInterrupt),
            self._on(signal.SIGTERM, signal.SIG_DFL, self._interrupt),
        ):
            super().start()

    @contextmanager
    def _on(self, number: int, default: Any, act: Callable[..., Any], *args: Any) -> Iterator[None]:
        """In the block, the signal *number* calls *act*, unless the program handles it itself."""
        with handled(number, _not_called, default) as ours:  # and Server takes it as the program's
            watcher = self._gevent.signal_handler(number, act, *args) if ours else None
            try:
                yield
            finally:
                if watcher is not None:
                    watcher.cancel()


def _not_called(number: int, frame: Any) -> None:
    """Python's handler, in whose place the event loop of gevent has put its own."""
