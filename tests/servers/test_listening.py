"""Binding, accepting, and what happens when the system has nothing left."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from crowding import check_who_is_served, few_descriptors

import netobj
from netobj.servers import listening
from patience import HANG


class EchoService(netobj.Service):
    def exposed_echo(self, value: Any) -> Any:
        return value


def test_nothing_is_bound_before_it_is_needed() -> None:
    server = netobj.ThreadedServer(EchoService)
    assert server._listener is None
    server.close()


def test_a_unix_socket_is_for_this_user_alone_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    before = os.umask(0)
    try:
        with netobj.ThreadedServer(EchoService, socket_path=str(path)) as server:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert (server.host, server.port) == (str(path), 0)
            with netobj.unix_connect(str(path)) as conn:
                assert conn.root.echo(1) == 1
        assert not path.exists()
        assert os.umask(0) == 0  # binding has put it back
    finally:
        os.umask(before)


def test_binding_errors_come_out_of_with(tmp_path: Path) -> None:
    with (
        netobj.ThreadedServer(EchoService, hostname="localhost") as server,
        pytest.raises(OSError, match="in use"),
        netobj.ThreadedServer(EchoService, hostname="localhost", port=server.port),
    ):
        pass
    with pytest.raises(FileNotFoundError):
        netobj.ThreadedServer(EchoService, socket_path=str(tmp_path / "no" / "dir")).fileno()


def test_accepting_goes_on_when_the_system_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listening, "ACCEPT_PAUSE", 0.001)
    server = netobj.ThreadedServer(EchoService, hostname="localhost")
    listener = server.listener

    class Failing:
        left = 3

        def accept(self) -> Any:
            if Failing.left:
                Failing.left -= 1
                raise OSError(errno.ENOBUFS, "No buffer space available")
            return listener.accept()

        def __getattr__(self, name: str) -> Any:
            return getattr(listener, name)

    server._listener = Failing()  # type: ignore[assignment]
    with server, netobj.connect("localhost", server.port) as conn:
        assert conn.root.echo(1) == 1
    assert "No buffer space" in caplog.text


def test_who_comes_when_there_are_descriptors_againis_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listening, "ACCEPT_PAUSE", 0.001)
    server = netobj.ThreadedServer(EchoService, hostname="localhost")
    listener = server.listener

    class Full:
        """As a process without a descriptor: accept() fails before anybody has come."""

        left = 3

        def accept(self) -> Any:
            Full.left -= 1
            if Full.left % 2 == 0:
                raise OSError(errno.EMFILE, "Too many open files")
            return listener.accept()

        def __getattr__(self, name: str) -> Any:
            return getattr(listener, name)

    server._listener = Full()  # type: ignore[assignment]
    with server:
        for _ in range(2):
            with netobj.connect("localhost", server.port) as conn:
                assert conn.root.echo(1) == 1
    assert "Too many open files" in caplog.text
    assert "refused" not in caplog.text


@pytest.mark.parametrize("kind", ["ThreadedServer", "ThreadPoolServer", "AsyncServer"])
def test_without_a_descriptor_the_newcomer_is_told_and_others_are_served(
    kind: str, tmp_path: Path
) -> None:
    with few_descriptors(kind, tmp_path / "log") as port:
        check_who_is_served(port)


@pytest.mark.parametrize("kind", [netobj.ThreadedServer, netobj.AsyncServer])
def test_other_errors_of_accept_end_the_server(kind: Any) -> None:
    server = kind(EchoService, hostname="localhost")
    listener = server.listener

    class Broken:
        def accept(self) -> Any:
            raise OSError(errno.EINVAL, "broken")

        def __getattr__(self, name: str) -> Any:
            return getattr(listener, name)

    server._listener = Broken()
    with (
        socket.create_connection(("localhost", server.port)),
        pytest.raises(OSError, match="broken"),
    ):
        server.start()
    assert listener.fileno() == -1


def make(path: Path) -> tuple[listening.Listening, list[str]]:
    """A Unix socket that listens at *path*, and whom it refuses why."""
    reasons: list[str] = []

    def refuse(sock: socket.socket, reason: str) -> None:
        reasons.append(reason)
        sock.close()

    log = logging.getLogger(__name__)
    bind = partial(listening.listen_at_path, str(path), 5)
    return listening.Listening(bind, refuse, log, str(path)), reasons


def test_who_comes_is_accepted_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    door, reasons = make(path)
    assert door.sock is None
    assert door.bound() is door.bound() is door.sock
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        accepted = door.accept()
        assert accepted is not None
        accepted[0].close()
    door.close()
    door.close()
    assert not path.exists()
    assert reasons == []
    with pytest.raises(OSError, match="closed"):
        door.bound()
    with pytest.raises(OSError, match="closed"):
        door.accept()


@pytest.mark.parametrize("end", ["close", "interrupt"])
def test_who_waits_for_somebody_is_let_out(tmp_path: Path, end: str) -> None:
    door, _ = make(tmp_path / "socket")
    door.bound()
    errors: list[OSError] = []

    def wait() -> None:
        with pytest.raises(OSError) as info:  # noqa: PT011
            door.accept()
        errors.append(info.value)

    thread = threading.Thread(target=wait)
    thread.start()
    getattr(door, end)()
    thread.join(HANG)
    assert len(errors) == 1
    door.close()


def test_stopped_it_is_not_bound_anew(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    door, _ = make(path)
    door.stop()  # not bound yet
    sock = door.bound()
    door.stop()
    assert door.bound() is sock
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(str(path))
    door.close()


def test_in_a_child_of_a_fork_the_parent_goes_on_listening(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    door, _ = make(path)
    kept = door.bound().dup()  # as the parent has it
    with kept:
        door._lock.acquire()
        door.forget()
        assert door.closed
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert path.exists()


@pytest.mark.parametrize(
    ("hostname", "ipv6", "expected"),
    [
        (None, False, (socket.AF_INET, "0.0.0.0")),
        (None, True, (socket.AF_INET6, "::")),
        ("::1", False, (socket.AF_INET6, "::1")),
        ("127.0.0.1", False, (socket.AF_INET, "127.0.0.1")),
    ],
)
def test_the_address_for_the_arguments(
    hostname: str | None, ipv6: bool, expected: tuple[int, str]
) -> None:
    family, address = listening.find_address(hostname, 7, ipv6)
    assert (family, address[0], address[1]) == (*expected, 7)
