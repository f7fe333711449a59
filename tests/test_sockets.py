"""Addresses of sockets as texts, errors that name them, and Unix sockets."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from netobj.sockets import (
    address_text,
    bind_unix,
    connect_tcp,
    connect_unix,
    keep_alive,
    keepalive_seconds,
    refused,
    unlink,
)


def test_ipv6_addresses_are_bracketed() -> None:
    assert address_text(("::1", 80, 0, 0)) == "[::1]:80"
    assert address_text("") == "a local socket"


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        ("/run/bank", "unix:/run/bank"),
        (b"\0bank", "unix:\0bank"),
        (b"", "a local socket"),
        (None, "a local socket"),
    ],
)
def test_texts_of_addresses(address: Any, text: str) -> None:
    assert address_text(address) == text


def test_an_error_keeps_its_class_and_names_the_place() -> None:
    met = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    error = refused("bank:80", met)
    assert type(error) is ConnectionRefusedError
    assert (error.errno, error.filename) == (errno.ECONNREFUSED, "bank:80")
    assert met.filename is None
    gone = refused("bank:80", socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    assert type(gone) is socket.gaierror
    assert "bank:80" in str(gone)


def test_a_name_without_an_address() -> None:
    assert str(refused("bank:80", None)) == "bank:80 has no address"


def test_other_users_may_not_connect_to_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    before = os.umask(0)
    try:
        with bind_unix(str(path)):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(OSError, match="in use"):
            bind_unix(str(path))
        assert os.umask(0) == 0
    finally:
        os.umask(before)


def test_a_file_is_removed_if_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    bind_unix(str(path)).close()
    unlink(str(path))
    assert not path.exists()
    unlink(str(path))


@pytest.mark.parametrize(
    ("keepalive", "seconds"),
    [(True, 60), (False, None), (None, None), (0, None), (1, 1), (30, 30), (2.6, 3)],
)
def test_seconds_of_keepalive(keepalive: Any, seconds: int | None) -> None:
    assert keepalive_seconds(keepalive) == seconds


@pytest.mark.parametrize("keepalive", [0.9, -1, 32768, float("nan"), float("inf")])
def test_keepalive_out_of_range(keepalive: float) -> None:
    with pytest.raises(ValueError, match="give seconds, from 1 to 32767, or True for 60"):
        keepalive_seconds(keepalive)


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="the system has other names")
def test_keep_alive() -> None:
    with socket.socket() as sock:
        keep_alive(sock, None)
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        keep_alive(sock, 7)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [7, 7, 5]


def test_connect_tcp() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with connect_tcp("localhost", port, keepalive=True) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    with pytest.raises(ConnectionRefusedError, match=f"localhost:{port}"):
        connect_tcp("localhost", port)


def test_connect_unix(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with pytest.raises(FileNotFoundError, match="unix:"):
        connect_unix(path)
    with bind_unix(path) as server:
        server.listen()
        with connect_unix(path) as sock:
            assert sock.getpeername() == path
