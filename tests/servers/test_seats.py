from __future__ import annotations

import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")

if sys.platform != "win32":
    from netobj.servers.seats import Seats, SharedRoom
    from netobj.servers.shared_slots import SharedTable


def test_who_sits_where() -> None:
    seats = Seats(3)
    assert seats.processes == ()
    seats.take(0, 10)
    seats.take(2, 12)
    assert seats.processes == (10, 12)
    assert seats.accepting == (True, False, True)
    seats.leave(2)
    assert seats.accepting == (True, False, False)
    assert seats.processes == (10, 12)
    seats.clear(2)
    assert seats.processes == (10,)


def test_the_one_with_the_fewest_clients_is_the_next() -> None:
    seats, table = Seats(2), SharedTable(2)
    rooms = [SharedRoom(seats, table, seat, 3, even=True) for seat in (0, 1)]
    seats.take(0, 10)
    assert rooms[0].try_take()
    assert not rooms[0].may_leave()  # nobody sits there
    seats.take(1, 11)
    assert rooms[0].may_leave()
    assert not rooms[1].may_leave()
    table.mine = 1
    assert rooms[1].try_take()
    assert not rooms[0].may_leave()
    assert rooms[1].try_take()
    assert rooms[1].may_leave()
    assert not rooms[0].try_take()  # three in all
    rooms[1].give()
    assert rooms[1].try_take()
    seats.leave(0)
    assert not rooms[1].may_leave()
    table.close()


def test_where_each_has_a_socket_of_its_own_nobody_can_leave_a_client_to_another() -> None:
    seats, table = Seats(2), SharedTable(2)
    for seat in (0, 1):
        seats.take(seat, 10 + seat)
    room = SharedRoom(seats, table, 0, 3, even=False)
    assert room.try_take()
    assert not room.may_leave()
    table.close()
