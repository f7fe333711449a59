"""The process's one event loop, in a thread of its own: ``async def`` methods run there."""

from __future__ import annotations

import builtins
import sys
import threading
import warnings
from contextvars import Context
from typing import TYPE_CHECKING, Final

from netobj.blocking.streams import COOPERATIVE

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

_current: AbstractEventLoop | None = None
_thread: threading.Thread | None = None  # the loop's
_start_lock = threading.Lock()  # protects the making of the one loop; nothing waits in it
_warned = COOPERATIVE  # then the loop is in a greenlet of its own, which nobody else stops


def event_loop() -> AbstractEventLoop:
    """The process's event loop, started when it is first asked for; never waits for it."""
    global _current
    if _current is None:
        with _start_lock:
            if _current is None:
                _current = _start()
    return _current


def loop_thread() -> int | None:
    """The number of the loop's thread, if there is one."""
    return None if _thread is None else _thread.ident


def _start() -> AbstractEventLoop:
    global _thread
    import asyncio  # slow to import, and of no use to programs without ``async def``

    # Not in the context of the call that needs it first, which the loop would keep for ever.
    loop = Context().run(asyncio.new_event_loop)
    _thread = threading.Thread(target=loop.run_forever, name="netobj loop", daemon=True)
    _thread.start()
    return loop


def after_fork_in_child() -> None:
    """A child has no loop until it needs one."""
    global _current, _thread, _start_lock
    _current = _thread = None
    _start_lock = threading.Lock()  # another thread of the parent may have held it


def warn_on_loop() -> None:
    """Warn, once in the process, if the calling thread runs an event loop.

    A call that waits stops the loop. Under IPython nothing is said: its cells run on a loop.
    """
    global _warned
    if _warned:
        return
    # Another thread may be in the midst of importing it: then no loop runs in this one.
    running = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
    if running is None or running() is None:
        return
    _warned = True
    if not hasattr(builtins, "get_ipython"):
        warnings.warn(_WARNING, RuntimeWarning, stacklevel=4)


_WARNING: Final = (
    "a blocking netobj proxy was used on the thread of a running event loop, which stands still "
    "until the answer comes: use a connection of netobj.aio there, or await netobj.async_(...)"
)
