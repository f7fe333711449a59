"""The wire that fails, with which other tests are made."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from faulty import Fault, FaultyWire
from patience import HANG, wait_until

SOME = bytes(range(256)) * 40


class Ends:
    """Both ends of a connection through a wire."""

    def __init__(self, questions: Fault, answers: Fault) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.wire = FaultyWire(self.listener.getsockname()[1], questions, answers)
        self.client = socket.create_connection(("127.0.0.1", self.wire.port))
        self.server, _ = self.listener.accept()
        for sock in (self.client, self.server):
            sock.settimeout(HANG)

    def close(self) -> None:
        for one in (self.client, self.server, self.wire, self.listener):
            one.close()


@pytest.fixture
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    ends = Ends(*request.param)
    yield ends
    ends.close()


def with_faults(questions: Fault, answers: Fault = Fault()) -> pytest.MarkDecorator:  # noqa: B008
    return pytest.mark.parametrize("ends", [(questions, answers)], indirect=True)


def all_of(sock: socket.socket, size: int = len(SOME)) -> bytes:
    data = b""
    while len(data) < size and (more := sock.recv(65536)):
        data += more
    return data


@with_faults(Fault())
def test_without_faults_all_comes_through(ends: Ends) -> None:
    ends.client.sendall(SOME)
    assert all_of(ends.server) == SOME
    ends.server.sendall(SOME[::-1])
    assert all_of(ends.client) == SOME[::-1]
    wait_until(lambda: ends.wire.passed == {"questions": len(SOME), "answers": len(SOME)})
    ends.client.shutdown(socket.SHUT_WR)
    assert ends.server.recv(1) == b""
    ends.server.sendall(b"still")  # half of it is open
    assert ends.client.recv(10) == b"still"


@with_faults(Fault(at=1000), Fault(at=10))
def test_it_cuts_at_a_byte(ends: Ends) -> None:
    ends.server.sendall(b"123456789")
    assert ends.client.recv(10) == b"123456789"
    ends.client.sendall(SOME)
    assert all_of(ends.server) == SOME[:1000]
    assert ends.client.recv(1) == b""


@with_faults(Fault(at=0))
def test_even_before_the_first(ends: Ends) -> None:
    assert ends.server.recv(1) == ends.client.recv(1) == b""


@with_faults(Fault(), Fault(at=5, how="reset"))
def test_it_resets(ends: Ends) -> None:
    ends.server.sendall(SOME)
    with pytest.raises(ConnectionResetError):
        all_of(ends.client)
    with pytest.raises(ConnectionResetError):
        ends.server.recv(1)


@with_faults(Fault(at=5, how="dead"))
def test_it_dies_in_silence(ends: Ends) -> None:
    ends.client.sendall(SOME)
    assert all_of(ends.server, 5) == SOME[:5]
    ends.server.sendall(SOME)
    for sock in (ends.client, ends.server):
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)


@with_faults(Fault(delay=0.1), Fault(throttle=100_000))
def test_it_takes_its_time(ends: Ends) -> None:
    begin = time.monotonic()
    ends.client.sendall(b"slow")
    assert ends.server.recv(10) == b"slow"
    assert time.monotonic() - begin >= 0.1
    begin = time.monotonic()
    ends.server.sendall(SOME)
    assert all_of(ends.client) == SOME
    assert time.monotonic() - begin >= len(SOME) / 100_000


@pytest.mark.parametrize("what", ["cut", "reset", "die"])
@with_faults(Fault())
def test_all_of_it_at_any_time(ends: Ends, what: str) -> None:
    ends.client.sendall(b"before")
    assert ends.server.recv(10) == b"before"
    getattr(ends.wire, what)()
    for sock in (ends.client, ends.server):
        sock.settimeout(0.05 if what == "die" else HANG)
        try:
            assert sock.recv(1) == b""
            end = "cut"
        except ConnectionResetError:
            end = "reset"
        except TimeoutError:
            end = "die"
        assert end == what


def test_who_is_not_there_is_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with FaultyWire(port) as wire, socket.create_connection(("127.0.0.1", wire.port)) as client:
        client.settimeout(HANG)
        assert client.recv(1) == b""
