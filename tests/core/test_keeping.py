"""What keeps exceptions until nobody can bring them home any more."""

from __future__ import annotations

import pickle

from netobj.core.keeping import Keeper, Left


class FakeSession:
    def __init__(self) -> None:
        self.gone: list[int] = []

    def let_go(self, keep: list[int]) -> None:
        self.gone += keep


def test_each_exception_gets_a_number_of_its_own() -> None:
    left = Left()
    exc = ValueError()
    one, two = left.add(exc), left.add(exc)
    assert left == {one: exc, two: exc}
    del left[one]
    assert left.add(exc) not in (one, two)


def test_what_was_kept_for_a_call_is_let_go_once() -> None:
    keeper, session = Keeper(), FakeSession()
    assert keeper.kept_exceptions is None
    keeper.keep_for(session).append(5)
    keeper.keep_for(session)
    keeper.let_go()
    keeper.let_go()
    assert (session.gone, keeper.kept_exceptions) == ([5], None)


def test_a_call_that_nothing_was_kept_for() -> None:
    keeper = Keeper()
    keeper.let_go()
    assert vars(keeper) == {"kept_exceptions": None}


def test_it_is_pickled_without_what_it_keeps() -> None:
    left = Left()
    left.add(ValueError())
    assert pickle.loads(pickle.dumps(left)) == {}
