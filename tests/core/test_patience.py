"""The times that a peer has."""

from __future__ import annotations

import pytest

from crafted import request
from fakewire import Side
from netobj.core.config import Config
from netobj.core.consts import PREAMBLE, Kind
from netobj.errors import ConnectionLost
from played import lone, message, sent


class TestHeartbeat:
    def test_it_pings_after_silence_and_gives_up(self) -> None:
        session = lone(Config(heartbeat_interval=20, heartbeat_timeout=10))
        session.last_heard = 100.0
        assert session.tick(101.0) == 120.0
        assert sent(session) == []
        due = session.tick(120.0)
        assert sent(session) == [[Kind.PING, None]]
        assert due == 130.0
        assert session.tick(125.0) == 130.0
        with pytest.raises(
            ConnectionLost, match="silent for 30 s and did not answer a ping within 10 s"
        ):
            session.tick(130.0)

    def test_whatever_is_heard_counts(self) -> None:
        session = lone(Config(heartbeat_interval=20, heartbeat_timeout=10))
        session.last_heard = 0.0
        session.tick(20.0)
        session.receive_data(message(Kind.PONG, None), 21.0)
        assert session.tick(25.0) == 41.0
        sent(session)
        session.tick(41.0)
        assert sent(session) == [[Kind.PING, None]]

    def test_it_begins_with_the_first_look(self) -> None:
        session = lone(Config(heartbeat_interval=5), greeted=False)
        assert session.tick(50.0) == 55.0

    def test_it_can_be_switched_off_and_ends_with_the_connection(self) -> None:
        assert lone(Config(heartbeat_interval=None)).tick(1e9) is None
        session = lone()
        session.lose("over")
        assert session.tick(1e9) is None


class TestClock:
    def test_the_hello(self) -> None:
        session = Side("lone", object(), Config(), ()).session
        assert session.tick(100.0) == 110.0
        with pytest.raises(ConnectionLost, match="did not say hello within 10 s"):
            session.tick(110.0)

    def test_a_frame(self) -> None:
        session = lone()
        data = request("x" * 1000)
        session.receive_data(data, 100.0)
        assert not session.link.watched
        session.receive_data(data[:50], 100.0)
        session.receive_data(data[50:60], 105.0)
        assert session.link.watched == 1
        assert session.tick(105.0) == 110.0
        with pytest.raises(ConnectionLost, match="began a message"):
            session.tick(110.0)

    def test_a_frame_that_comes_to_its_end(self) -> None:
        session = lone()
        data = request("x" * 1000)
        session.receive_data(data[:50], 100.0)
        session.receive_data(data[50:], 109.0)
        assert session.tick(110.0) == 129.0  # the heartbeat
        session.running.clear()
        session.receive_data(data[:50], 200.0)
        assert session.tick(209.0) == 210.0

    def test_one_frame_after_the_other(self) -> None:
        session = lone()
        data = request("x" * 1000)
        session.receive_data(data[:50], 100.0)
        for number in range(1, 10):
            session.running.clear()
            session.receive_data(data[50:] + data[:50], 100.0 + number)
        assert session.tick(110.0) == 119.0

    def test_a_long_frame_that_goes_on(self) -> None:
        session = lone()
        data = request("x" * 60_000)
        for step in range(3):
            session.receive_data(data[step * 17_000 : (step + 1) * 17_000], 100.0 + 10 * step)
            assert session.tick(100.0 + 10 * step) == 110.0 + 10 * step
        with pytest.raises(ConnectionLost, match="began a message"):
            session.tick(130.0)

    def test_what_is_written(self) -> None:
        session = lone()
        session.last_heard = 100.0
        assert session.tick(100.0, 95.0) == 115.0
        with pytest.raises(ConnectionLost, match="took nothing of what was sent for 20 s"):
            session.tick(115.0, 95.0)

    def test_none_of_it(self) -> None:
        off = dict.fromkeys(("handshake_timeout", "frame_timeout", "write_timeout"))
        config = Config().merge({**off, "heartbeat_interval": None})
        session = Side("lone", object(), config, ()).session
        session.receive_data(PREAMBLE[:3], 0.0)
        assert session.tick(1e9, 0.0) is None
