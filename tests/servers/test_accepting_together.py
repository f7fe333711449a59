from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from netobj.servers.accepting_together import SharedListening
from netobj.servers.listening import shutdown
from patience import HANG

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no poll")


class Room:
    def try_take(self) -> bool:
        return True

    def give(self) -> None:
        pass

    def may_leave(self) -> bool:
        return False


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def listening(sock: socket.socket) -> SharedListening:
    def refuse(sock: socket.socket, reason: str) -> None:
        raise AssertionError(reason)

    return SharedListening(sock, Room(), refuse, logging.getLogger("test"))


def test_who_comes_is_accepted(listener: socket.socket) -> None:
    shared = listening(listener.dup())
    assert shared.address() == listener.getsockname()
    with socket.create_connection(listener.getsockname()) as client:
        accepted = shared.accept()
        assert accepted is not None
        assert accepted[1] == client.getsockname()
        accepted[0].close()
    shared.close()


def test_who_comes_may_be_anothers(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = listening(listener.dup())
    with socket.create_connection(listener.getsockname()):

        def my_turn(sock: socket.socket) -> bool:
            listener.accept()[0].close()  # the other is quicker
            return True

        monkeypatch.setattr(shared, "_my_turn", my_turn)
        assert shared.accept() is None
    shared.close()


@pytest.mark.parametrize("end", [SharedListening.close, SharedListening.interrupt])
def test_a_thread_that_waits_comes_out(listener: socket.socket, end: Any) -> None:
    shared = listening(listener.dup())
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(shared.accept()))
    thread.start()
    end(shared)
    thread.join(HANG)
    assert found == [None]
    shared.close()
    with socket.create_connection(listener.getsockname()):  # the others go on
        listener.accept()[0].close()


def test_a_socket_that_was_shut_down_is_waited_out(listener: socket.socket) -> None:
    shared = listening(listener.dup())
    shutdown(listener)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(shared.accept()))
    thread.start()
    shared.close()
    thread.join(HANG)
    assert found == [None]
