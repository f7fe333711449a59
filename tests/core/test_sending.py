"""What is queued: within the limits of the peer, and whole or not at all."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from fakewire import FakeWire, bodies, fields
from netobj.core.consts import BIG_VALUE, Kind, Limit
from netobj.core.describe import NOTHING
from netobj.core.handle import Handle, HandleRef, ImportedClass
from netobj.core.session import Session
from netobj.errors import LimitExceeded
from played import Root, ask, lone, sent, small, with_limits


def fill_with_dead(session: Session, count: int) -> None:
    imported = ImportedClass(NOTHING)
    handles = [Handle(None, number, imported) for number in range(1, count + 1)]
    refs = [HandleRef(handle, session.boxing.dead.append) for handle in handles]
    session.boxing.imports.update({ref.id: ref for ref in refs})


@pytest.mark.parametrize("limits", [{"FRAME": 1024}, {"ITEMS": 64}])
def test_releases_keep_to_the_peers_limits(limits: dict[str, int]) -> None:
    session = with_limits(**limits)
    fill_with_dead(session, 1000)
    assert session.flush_releases()
    found = [body for data in session.out for body in bodies(bytes(data))]
    assert max(map(len, found)) <= session.peer_limits[Limit.FRAME]
    assert max(len(fields(body)) for body in found) <= session.peer_limits[Limit.ITEMS]
    assert sum(len(fields(body)) - 1 for body in found) == 2000


def test_a_message_that_is_refused_takes_no_releases_with_it() -> None:
    session = with_limits(RAW=BIG_VALUE)
    fill_with_dead(session, 1)
    with pytest.raises(LimitExceeded):
        ask(session, bytes(BIG_VALUE + 1))
    assert session.flush_releases()
    assert sent(session) == [[Kind.RELEASE, 1, 1]]


def test_nothing_is_queued_where_another_thread_took_the_releases() -> None:
    class Emptied(deque[Any]):
        looks = 2

        def __bool__(self) -> bool:  # there was something, a moment ago
            self.looks -= 1
            return self.looks >= 0

    session = lone()
    session.boxing.dead = Emptied()
    assert not session.flush_releases()
    assert not session.out
    session.boxing.dead = Emptied()
    ask(session)
    assert [fields[0] for fields in sent(session)] == [Kind.REQUEST]


def test_a_message_above_the_peers_limit_is_not_sent() -> None:
    wire = FakeWire(Root(), Root(), right_config=small(FRAME=2000))
    assert wire.left.root.echo("x" * 1900)
    with pytest.raises(LimitExceeded, match="the peer accepts 2000"):
        wire.left.root.echo("x" * 2100)
    assert wire.left.session.pending == {}
    assert wire.left.root.echo(1) == 1


def test_the_last_room_is_one_requests() -> None:
    session = FakeWire(None, None).left.session
    most = session.peer_limits[Limit.REQUEST_BYTES]
    for seq in (1, 2, 3):
        session.pending[seq] = object()
    assert session.take_room(1, most - 1)
    assert session.take_room(2, 10)  # one that is larger than the rest may be the last
    assert not session.take_room(3, 1)
    assert session.heavy == {1: most - 1, 2: 10}
    del session.pending[1]
    assert session.take_room(3, 1)


def test_bytes_in_flight_are_those_of_requests_without_an_answer() -> None:
    session = lone()
    session.heavy.update({1: 100, 2: 50})
    session.pending[2] = object()
    assert (session.bytes_in_flight(), session.heavy) == (50, {2: 50})
    assert session.has_room()
    session.heavy[2] = session.peer_limits[Limit.REQUEST_BYTES]
    assert not session.has_room()
    session.heavy.clear()
    session.most_pending = 1
    assert not session.has_room()
