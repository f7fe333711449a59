"""What a server has ready for those whom it cannot serve."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

import netobj
from netobj import refusing
from netobj.core.config import Config
from netobj.greetings import greeting
from netobj.refusing import Spare, close_quietly, full, refuse


def test_the_peer_learns_why() -> None:
    here, there = socket.socketpair()
    refuse(here, full(3), greeting(Config(), netobj.VoidService))
    assert here.fileno() == -1
    with netobj.connect_stream(netobj.SocketStream(there)) as conn:
        with pytest.raises(netobj.ConnectionLost) as info:
            conn.ping()
        text = "the server refuses the connection: it has 3 connections, and takes no more"
        assert text in str(info.value)


def test_one_is_no_plural() -> None:
    assert full(1) == "it has 1 connection, and takes no more"


def test_who_expects_something_else_first_is_told_nothing() -> None:
    here, there = socket.socketpair()
    with there:
        refuse(here, "no", None)
        assert there.recv(1) == b""


def test_a_peer_that_is_gone() -> None:
    here, there = socket.socketpair()
    there.close()
    refuse(here, "no", b"hello")
    assert here.fileno() == -1


def test_closing_raises_nothing() -> None:
    class Broken:
        def close(self) -> None:
            raise ConnectionResetError

    close_quietly(Broken())  # type: ignore[arg-type]


# --- the spare descriptor -----------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


@pytest.fixture
def spare() -> Iterator[Spare]:
    spare = Spare()
    assert spare.renew()
    yield spare
    spare.close()


def no_descriptor(*_: object) -> int:
    raise OSError(errno.EMFILE, "Too many open files")


def test_without_one_the_newcomer_is_not_welcome(
    spare: Spare, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_connection(listener.getsockname()) as client:
        with monkeypatch.context() as full:
            full.setattr(refusing.os, "open", no_descriptor)
            newcomer = spare.accept(listener)
            assert newcomer is not None
            assert not newcomer.welcome
            assert not spare.renew()
        newcomer.sock.close()
        assert client.recv(1) == b""
    assert spare.renew()


def test_who_comes_when_there_is_one_again_is_welcome(
    spare: Spare, listener: socket.socket
) -> None:
    with socket.create_connection(listener.getsockname()) as client:
        newcomer = spare.accept(listener)
        assert newcomer is not None
        with newcomer.sock:
            assert newcomer.welcome
            assert newcomer.address == client.getsockname()


def test_nobody_has_come(spare: Spare, listener: socket.socket) -> None:
    assert spare.accept(listener) is None
    with socket.create_connection(listener.getsockname()):  # it is there again
        newcomer = spare.accept(listener)
        assert newcomer is not None
        newcomer.sock.close()


def test_without_a_spare_there_is_one_for_the_next(listener: socket.socket) -> None:
    spare = Spare()
    with socket.create_connection(listener.getsockname()):
        assert spare.accept(listener) is None
        newcomer = spare.accept(listener)
        assert newcomer is not None
        newcomer.sock.close()
    spare.close()


def test_closing_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    spare = Spare()
    open_it = os.open

    def open_and_close(*args: Any) -> int:
        opened.append(open_it(*args))
        if len(opened) == 2:  # another thread closes it in the midst
            spare.close()
        return opened[-1]

    monkeypatch.setattr(refusing.os, "open", open_and_close)
    assert spare.renew()
    assert spare.renew()
    assert len(opened) == 1
    spare._give_up()
    assert not spare.renew()
    assert not spare.renew()
    spare.close()
    assert len(opened) == 2
    for number in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)
