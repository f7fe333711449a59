"""Chains of calls on event loops: a call, and the calls made while it is served.

A task knows its chain by a context variable. A worker thread that waits in a chain is listed
here, so that what the peer calls meanwhile in that chain runs in that very thread.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from netobj.aio.outcome import Outcome
    from netobj.aio.threads import ThreadWaiter

serving: Final[ContextVar[int | None]] = ContextVar("netobj_chain", default=None)
"""The chain that the task or thread belongs to."""

outermost: Final[dict[int, Outcome]] = {}
"""Of each chain in which tasks of this process wait, the call that has waited longest. Entries
come and go in single dict operations."""

waiting: Final[dict[int, list[ThreadWaiter]]] = {}
"""The worker threads that wait in a chain, innermost last. Looked at by loops, without the lock."""

_lock = threading.Lock()  # protects the coming and going of the lists in `waiting`


def enter(chain: int, waiter: ThreadWaiter) -> None:
    """A thread waits in *chain* from here on."""
    with _lock:
        waiting.setdefault(chain, []).append(waiter)


def leave(chain: int, waiter: ThreadWaiter) -> None:
    """It waits no longer."""
    with _lock:
        stack = waiting[chain]
        stack.remove(waiter)
        if not stack:
            del waiting[chain]


def find_waiter(chain: int, link: Any, seq: int, same_process: bool) -> ThreadWaiter | None:
    """The innermost thread that waits in *chain* and is not the one that asks.

    The asker is a waiter of this process too when both ends are here (*same_process*). It waits
    for this very request, so its outer calls cannot run it either. Nor does a thread that waits for
    a task here run what that task asks.
    """
    asking = None
    for waiter in reversed(waiting.get(chain, ())):
        other = same_process and waiter.link is not link
        if other and (waiter.seq == seq or waiter.of_task):
            asking = waiter.thread
        elif waiter.thread != asking and not waiter.done:
            return waiter
    return None
