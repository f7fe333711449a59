from __future__ import annotations

import logging
import socket

import pytest

from netobj.servers.orders import Order, Orders, Reports, tell


def test_orders_arrive_whole_and_in_order() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        orders = Orders(here)
        assert orders.read() == []
        data = Order(2.5).packed() + Order(0, cut=True).packed()
        tell(there, data[:12])
        assert orders.read() == [Order(2.5)]
        tell(there, data[12:])
        assert orders.read() == [Order(0, cut=True)]
        there.close()
        assert orders.read() is None


def test_nobody_needs_to_listen() -> None:
    here, there = socket.socketpair()
    here.close()
    tell(there, b"x")
    there.close()
    tell(there, b"x")
    tell(None, b"x")


def test_a_reader_that_is_gone_with_bytes_unread() -> None:
    here, there = socket.socketpair()
    with here:
        here.setblocking(False)
        tell(here, b"x")
        there.close()  # so the other end is reset
        assert Orders(here).read() is None


def test_reports_are_logged_line_by_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    reports = Reports(logging.getLogger("test"))
    data = Reports.line(logging.ERROR, "100 % of worker 1") + Reports.line(logging.INFO, "another")
    reports.add(data[:7])
    assert caplog.records == []
    reports.add(data[7:])
    found = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert found == [("ERROR", "100 % of worker 1"), ("INFO", "another")]
