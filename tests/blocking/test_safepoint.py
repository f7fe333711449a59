from __future__ import annotations

import sys
from types import FrameType

from netobj.blocking.connection import Connection
from netobj.blocking.safepoint import at_safe_point, call_user, safe_point
from netobj.blocking.waiting import Waiter
from netobj.core.values import Deferred, complete


def innermost() -> FrameType:
    return sys._getframe(1)


def test_user_code_is_safe() -> None:
    assert at_safe_point(innermost())
    assert at_safe_point(None)


def test_code_of_ours_that_runs_a_function_is_not_safe() -> None:
    # complete() stands for all of the core: what it calls is in the midst of something.
    assert complete(Deferred(lambda: at_safe_point(innermost()), ())) is False


def test_what_runs_user_code_makes_it_safe_again() -> None:
    def user() -> bool:
        return at_safe_point(innermost())

    assert complete(Deferred(call_user, (user,))) is True


def test_waiting_is_marked_safe() -> None:
    marked = safe_point(lambda: at_safe_point(innermost()))
    assert complete(Deferred(marked, ())) is True


def test_a_thread_that_reads_a_message_is_not_at_a_safe_point(pair) -> None:  # type: ignore[no-untyped-def]
    here: Connection
    here, _there = pair()
    seen: list[bool] = []

    class Probe(Waiter):
        __slots__ = ()

        def complete(self, ok: bool, answer: object, deferred: bool) -> None:
            seen.append(at_safe_point(innermost()))
            super().complete(ok, answer, deferred)

    probe = Probe(here)
    here.session.request(probe, 13, None, None, (1,), None, 1)
    here.flush()
    here.wait_for(probe, None)
    # This frame is the test's own, and so safe by itself; those above it are not.
    assert seen == [False]
