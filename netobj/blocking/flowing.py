"""Streams of a connection: waiting for items or credit, and what becomes of them at its end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import Context
from typing import Any

from netobj.blocking.reader import Reader
from netobj.blocking.tasks import TaskRun
from netobj.blocking.waiting import Waiter
from netobj.calls import scope, time_for_stream
from netobj.core.flow import Flow
from netobj.core.session import Session


class Flowing(Reader):
    """The part of a connection that streams need; see :class:`netobj.core.ends.StreamLink`."""

    session: Session

    def wait_until(self, ready: Callable[[], bool], flow: Flow) -> None:
        """Wait in this thread until *ready*, which changes of *flow* may bring about.

        Raises AsyncResultTimeout when a ``netobj.deadline`` of this thread passes first.
        """
        deadline = scope.get().deadline
        while not ready():
            waiter = Waiter(self)
            changed = waiter.finish
            flow.subscribe(changed)
            try:
                if not ready():  # else it may have changed before anybody was told of us
                    self.wait_for(waiter, deadline)
            finally:
                flow.unsubscribe(changed)
            if deadline is not None and not ready():
                time_for_stream()  # raises, if there is none left

    async def wait_until_async(self, ready: Callable[[], bool], flow: Flow) -> None:
        """The same on an event loop, the process's or one of the user's."""
        loop = sys.modules["asyncio"].get_running_loop()
        while not ready():
            left = time_for_stream()
            future = loop.create_future()
            # In no context of ours: a loop keeps that of a cancelled timer until its time.
            timer = (
                None if left is None else loop.call_later(left, _settle, future, context=Context())
            )

            def changed() -> None:
                try:
                    loop.call_soon_threadsafe(_settle, future)  # noqa: B023
                except RuntimeError:  # the loop has ended, and who waited with it
                    pass

            flow.subscribe(changed)
            try:
                if not ready():
                    await future
            finally:
                flow.unsubscribe(changed)
                if timer is not None:
                    timer.cancel()

    def flowed(self, flow: Flow) -> None:
        """Something has come for *flow*; called by whoever reads."""
        flow.notify()
        if flow.refused and flow.request is not None and type(flow.request.run) is TaskRun:
            flow.request.run.refuse()

    def lose_flows(self, reason: str) -> None:
        """The connection has ended: so has all that runs for its other side."""
        for request in list(self.session.running.values()):
            request.cancelled = True
            if type(request.run) is TaskRun:
                request.run.cancel()
        for flow in self.session.flows.lose(reason):
            flow.notify()
            if flow.request is not None and type(flow.request.run) is TaskRun:
                flow.request.run.cancel()


def _settle(future: Any) -> None:
    if not future.done():
        future.set_result(None)
