from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from netobj import taking_turns
from netobj.taking_turns import Turn

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no poll")


class Rooms:
    """What another process has is said by the test."""

    def __init__(self) -> None:
        self.other_has_fewer = False

    def try_take(self) -> bool:
        raise AssertionError("a turn takes no place")

    give = try_take

    def may_leave(self) -> bool:
        return self.other_has_fewer


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("netobj.taking_turns.time.monotonic", lambda: now[0])
    return now


def test_who_has_the_fewest_accepts_at_once(listener: socket.socket) -> None:
    turn = Turn(Rooms(), listener)
    with socket.create_connection(listener.getsockname()):
        assert turn.pause() == 0


def test_another_leaves_a_newcomer_to_it_for_a_moment(
    listener: socket.socket, clock: list[float]
) -> None:
    room = Rooms()
    room.other_has_fewer = True
    turn = Turn(room, listener)
    with socket.create_connection(listener.getsockname()):
        assert turn.pause() == taking_turns.LOOK
        assert turn.pause() == taking_turns.LOOK
        clock[0] += taking_turns.PATIENCE
        assert turn.pause() == 0
        assert turn.pause() == taking_turns.LOOK  # the next one


def test_each_newcomer_has_its_own_moment(listener: socket.socket, clock: list[float]) -> None:
    room = Rooms()
    room.other_has_fewer = True
    turn = Turn(room, listener)
    with socket.create_connection(listener.getsockname()):
        assert turn.pause() > 0
        listener.accept()[0].close()  # by the other process
    assert turn.pause() == 0
    clock[0] += taking_turns.PATIENCE
    with socket.create_connection(listener.getsockname()):
        assert turn.pause() > 0
        room.other_has_fewer = False
        assert turn.pause() == 0
