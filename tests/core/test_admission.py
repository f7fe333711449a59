"""The state of one limit: who is inside and who waits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from netobj.core.admission import Admission, Counter, Verdict


class Who:
    """One that enters; equal to every other, so that only identity can tell them apart."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


def test_those_who_wait_are_let_in_in_their_order() -> None:
    limit: Admission[str] = Admission(Counter(2), 3)
    verdicts = [limit.enter(name) for name in "abcdef"]
    assert verdicts == [Verdict.INSIDE] * 2 + [Verdict.WAITS] * 3 + [Verdict.FULL]
    assert [limit.leave() for _ in range(3)] == [["c"], ["d"], ["e"]]
    assert (limit.inside, limit.waiting, limit.idle) == (2, 0, False)
    assert [limit.leave(), limit.leave()] == [[], []]
    assert limit.idle


def test_who_comes_does_not_overtake_those_who_wait_for_a_slot_that_another_process_gave() -> None:
    slots = Counter(1)
    limit: Admission[str] = Admission(slots, 1)
    assert slots.try_take()  # by another process
    assert limit.enter("a") is Verdict.WAITS
    slots.give()
    assert limit.enter("b") is Verdict.FULL
    assert limit.retry() == ["a"]
    assert limit.inside == 1


@pytest.mark.parametrize("limit", [0, 1])
def test_no_more_are_taken_than_there_are(limit: int) -> None:
    slots = Counter(limit)
    assert [slots.try_take() for _ in range(3)] == [True] * limit + [False] * (3 - limit)


class Machine(RuleBasedStateMachine):
    """Against lists: slots that several share, so that they come and go behind its back."""

    def __init__(self) -> None:
        super().__init__()
        self.inside: list[Who] = []
        self.waiting: list[Who] = []
        self.elsewhere = 0
        self.size, self.room = 3, 2
        self.slots = Counter(self.size)
        self.limit: Admission[Who] = Admission(self.slots, self.room)

    def _named(self, named: list[Who]) -> None:
        for who in named:
            assert who is self.waiting.pop(0)
            self.inside.append(who)

    @rule()
    def enter(self) -> None:
        who = Who()
        free = self.size - len(self.inside) - self.elsewhere
        verdict = self.limit.enter(who)
        if free and not self.waiting:
            assert verdict is Verdict.INSIDE
            self.inside.append(who)
        elif len(self.waiting) < self.room:
            assert verdict is Verdict.WAITS
            self.waiting.append(who)
        else:
            assert verdict is Verdict.FULL

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        del self.inside[data.draw(st.integers(0, len(self.inside) - 1))]
        self._named(self.limit.leave())

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraw(self, data: Any) -> None:
        who = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        assert self.limit.withdraw(who) == []

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def withdraw_late(self, data: Any) -> None:
        who = self.inside.pop(data.draw(st.integers(0, len(self.inside) - 1)))
        self._named(self.limit.withdraw(who))

    @rule()
    def take_elsewhere(self) -> None:
        if self.slots.try_take():
            self.elsewhere += 1

    @precondition(lambda self: self.elsewhere)
    @rule()
    def give_elsewhere(self) -> None:
        self.elsewhere -= 1
        self.slots.give()

    @rule()
    def retry(self) -> None:
        self._named(self.limit.retry())
        free = self.size - len(self.inside) - self.elsewhere
        assert not (free and self.waiting)

    @invariant()
    def counts_agree(self) -> None:
        assert self.limit.inside == len(self.inside) <= self.size
        assert self.limit.waiting == len(self.waiting) <= self.room
        assert self.slots.free == self.size - len(self.inside) - self.elsewhere
        assert self.limit.idle == (not self.inside and not self.waiting)


TestMachine = Machine.TestCase
