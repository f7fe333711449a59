"""Named pipes, as far as another system than Windows can have them.

Everything but the family of the address is the same: multiprocessing's connections over Unix
sockets stand in for those over named pipes.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest

import netobj
from netobj.blocking import named_pipes
from netobj.blocking.named_pipes import NamedPipeStream
from patience import HANG, wait_until


class EchoService(netobj.Service):
    def exposed_echo(self, value: Any) -> Any:
        return value


def carriers() -> int:
    return sum(thread.name == "netobj named pipe" for thread in threading.enumerate())


@pytest.fixture
def unix(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.name != "nt":
        monkeypatch.setattr(named_pipes, "_FAMILY", "AF_UNIX")


@pytest.fixture
def address(unix: None, tmp_path: Path) -> str:
    return f"netobj-test-{os.getpid()}" if os.name == "nt" else str(tmp_path / "pipe")


def served(address: str) -> threading.Thread:
    """A thread that serves who connects to *address*."""

    def serve() -> None:
        netobj.connect_stream(NamedPipeStream.create_server(address), EchoService).serve_all()

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def connected(address: str) -> NamedPipeStream:
    streams: list[NamedPipeStream] = []

    def try_it() -> bool:
        try:
            streams.append(NamedPipeStream.create_client(address))
        except OSError:  # not made yet
            return False
        return True

    wait_until(try_it)
    return streams[0]


def test_named_pipes_carry_a_connection(address: str) -> None:
    thread = served(address)
    with netobj.connect_stream(connected(address)) as conn:
        assert conn.root.echo(1) == 1
        data = os.urandom(3 * 2**20)
        assert conn.root.echo(data) == data
        assert address in conn.peer_name
        assert conn._config["endpoints"] is None
    thread.join(HANG)
    assert not thread.is_alive()
    wait_until(lambda: carriers() == 0)


def test_both_ends_see_the_end() -> None:
    one, other = Pipe()
    with (
        netobj.connect_stream(NamedPipeStream(one), EchoService) as here,
        netobj.connect_stream(NamedPipeStream(other)) as there,
    ):
        assert there.root.echo(1) == 1
        here.close()
        there.wait_closed()
    wait_until(lambda: carriers() == 0)
    assert one.closed
    assert other.closed


def test_a_peer_that_vanishes_is_an_end() -> None:
    one, other = Pipe()
    with netobj.connect_stream(NamedPipeStream(one), EchoService) as conn:
        other.close()
        conn.wait_closed()
    wait_until(lambda: carriers() == 0)


def test_a_message_that_is_too_long_ends_the_stream() -> None:
    """multiprocessing's pipes have messages: one of another program may announce anything."""
    one, other = Pipe()
    stream = NamedPipeStream(one)
    with suppress(OSError):  # refused as soon as its size is known
        other.send_bytes(b"x" * (named_pipes.RECV_SIZE + 1))
    assert stream.recv() == b""
    stream.close()
    wait_until(lambda: carriers() == 0)
    other.close()


def test_a_name_gets_its_prefix() -> None:
    assert named_pipes._address("bank") == r"\\.\pipe\bank"
    assert named_pipes._address(r"\\.\pipe\bank") == r"\\.\pipe\bank"


@pytest.mark.skipif(os.name == "nt", reason="there are named pipes here")
def test_where_there_are_none() -> None:
    for make in (NamedPipeStream.create_server, NamedPipeStream.create_client):
        with pytest.raises(OSError, match="named pipes are Windows'"):
            make("bank")


def test_nobody_listens(address: str) -> None:
    with pytest.raises(OSError, match=r"."):
        NamedPipeStream.create_client(address)
