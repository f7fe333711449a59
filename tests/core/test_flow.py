"""One stream from one side: credit, the window, and who is told of a change."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netobj.core.flow import FIRST_CREDIT, MOST_BYTES, MOST_CREDIT, Flow


def receiving() -> Flow:
    return Flow(None, -1, sends=False, receives=True)


def sending() -> Flow:
    return Flow(None, 1, sends=True, receives=False)


def bring(flow: Flow, count: int, size: int = 8) -> None:
    """*count* items have come, of *size* bytes each."""
    flow.arrived(count, count * size)
    flow.chunks.append((tuple(range(count)), False))


def keep_up(flow: Flow, size: int = 8) -> int:
    """All that may come has come, and has been used up; returns the credit granted for it."""
    count = flow.allowed - flow.received
    bring(flow, count, size)
    flow.chunks.clear()
    return flow.used(count)


class TestSending:
    def test_there_is_some_credit_to_begin_with(self) -> None:
        flow = sending()
        flow.sent = FIRST_CREDIT - 1
        assert flow.may_send()
        flow.sent += 1
        assert not flow.may_send()
        flow.granted += 1
        assert flow.may_send()

    @pytest.mark.parametrize(
        ("name", "value"), [("refused", True), ("sent_end", True), ("lost", "gone")]
    )
    def test_who_may_never_send_again_need_not_wait(self, name: str, value: object) -> None:
        flow = sending()
        flow.sent = FIRST_CREDIT
        setattr(flow, name, value)
        assert flow.may_send()


class TestReceiving:
    def test_what_there_is_to_take(self) -> None:
        flow = receiving()
        assert not flow.may_take()
        bring(flow, 1)
        assert flow.may_take()

    @pytest.mark.parametrize(
        ("name", "value"), [("ended", True), ("stopped", True), ("lost", "gone")]
    )
    def test_who_will_never_get_anything_need_not_wait(self, name: str, value: object) -> None:
        flow = receiving()
        setattr(flow, name, value)
        assert flow.may_take()

    def test_small_uses_are_gathered(self) -> None:
        flow = receiving()
        bring(flow, FIRST_CREDIT)
        assert flow.used(FIRST_CREDIT // 2 - 1) == 0
        assert flow.used(1) > 0

    def test_the_window_grows_while_the_consumer_keeps_up(self) -> None:
        flow = receiving()
        grants = [keep_up(flow) for _ in range(12)]
        assert grants[:4] == [32, 64, 128, 256]
        assert grants[-1] == flow.window == MOST_CREDIT

    def test_it_does_not_while_items_wait(self) -> None:
        flow = receiving()
        for _ in range(10):
            bring(flow, flow.allowed - flow.received)
            assert flow.chunks
            flow.used(FIRST_CREDIT)
        assert flow.window == FIRST_CREDIT

    def test_large_items_keep_it_small(self) -> None:
        flow = receiving()
        for _ in range(12):
            keep_up(flow, size=MOST_BYTES // 100)
        assert flow.window == 100

    def test_the_largest_still_come_two_at_a_time(self) -> None:
        flow = receiving()
        for _ in range(12):
            keep_up(flow, size=10 * MOST_BYTES)
        assert flow.window == 2
        assert flow.allowed - flow.consumed == 2

    def test_it_shrinks_at_once_when_items_become_large(self) -> None:
        """Also for a consumer that does not keep up: it is the one who needs it."""
        flow = receiving()
        for _ in range(12):
            keep_up(flow)
        assert flow.window == MOST_CREDIT
        bring(flow, MOST_CREDIT, size=MOST_BYTES)
        assert flow.used(MOST_CREDIT) <= 2
        assert flow.window == 2

    def test_and_grows_again_when_they_become_small(self) -> None:
        flow = receiving()
        keep_up(flow, size=MOST_BYTES)
        for _ in range(200):
            keep_up(flow)
        assert flow.window == MOST_CREDIT

    @pytest.mark.parametrize("name", ["ended", "stopped"])
    def test_no_credit_for_what_will_not_come(self, name: str) -> None:
        flow = receiving()
        bring(flow, FIRST_CREDIT)
        setattr(flow, name, True)
        assert flow.used(FIRST_CREDIT) == 0

    @given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40), st.integers(0, 10**6))))
    def test_a_consumer_that_has_used_everything_up_never_starves(
        self, steps: list[tuple[int, int, int]]
    ) -> None:
        """Whatever came and was used before: there is credit for at least one item more."""
        flow = receiving()
        for come, use, size in steps:
            count = min(come, flow.allowed - flow.received)
            if count:
                flow.arrived(count, count * size)
            flow.used(min(use, flow.received - flow.consumed))
            assert flow.consumed <= flow.received <= flow.allowed
            assert flow.allowed - flow.consumed <= MOST_CREDIT
        flow.used(flow.received - flow.consumed)
        assert flow.allowed > flow.received


class TestSubscribers:
    def test_each_is_called_once(self) -> None:
        flow = sending()
        called: list[int] = []
        flow.subscribe(lambda: called.append(1))
        flow.subscribe(lambda: called.append(2))
        flow.notify()
        flow.notify()
        assert sorted(called) == [1, 2]

    def test_who_subscribes_again_meanwhile_waits_for_the_next_change(self) -> None:
        """Else a thread that was woken in vain would keep the reader busy."""
        flow = sending()
        called: list[int] = []

        def callback() -> None:
            called.append(1)
            flow.subscribe(callback)

        flow.subscribe(callback)
        flow.notify()
        assert called == [1]
        flow.notify()
        assert called == [1, 1]

    def test_who_is_not_interested_any_more(self) -> None:
        flow = sending()
        called: list[int] = []

        def callback() -> None:
            called.append(1)

        flow.subscribe(callback)
        flow.unsubscribe(callback)
        flow.unsubscribe(callback)
        flow.notify()
        assert called == []

    def test_one_that_goes_while_all_are_told(self) -> None:
        class Emptied(list[Callable[[], object]]):
            def __len__(self) -> int:
                return 1

        flow = sending()
        flow._subscribers = Emptied()
        flow.notify()


def test_when_it_is_over() -> None:
    flow = Flow(None, 1, sends=True, receives=True)
    assert not flow.over
    flow.sent_end = True
    assert not flow.over
    flow.ended = True
    assert flow.over


def test_of_a_one_way_stream_there_is_one_half() -> None:
    assert sending().ended
    assert receiving().sent_end
