from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from netobj.deployed import secret
from netobj.errors import AuthenticationError, ConnectionLost
from patience import HANG


def meet(
    server: Callable[[socket.socket], Any], client: Callable[[socket.socket], Any]
) -> tuple[Any, Any]:
    """What both return or raise over a pair of sockets; who is done closes its end."""
    outcomes: list[Any] = [None, None]

    def run(side: int, act: Callable[[socket.socket], Any], sock: socket.socket) -> None:
        with sock:
            try:
                outcomes[side] = act(sock)
            except Exception as exc:
                outcomes[side] = exc

    pair = socket.socketpair()
    threads = [
        threading.Thread(target=run, args=(side, act, sock))
        for side, (act, sock) in enumerate(zip((server, client), pair, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
        assert not thread.is_alive()
    return outcomes[0], outcomes[1]


def answer_with(token: bytes) -> Callable[[socket.socket], Any]:
    return lambda sock: (secret.answer(sock, token), sock.gettimeout())


def test_both_know_the_token() -> None:
    admitted, (nothing, timeout) = meet(secret.asking(b"token"), answer_with(b"token"))
    assert isinstance(admitted[0], socket.socket)
    assert (admitted[1], nothing, timeout) == (None, None, None)


def test_the_client_does_not() -> None:
    server, client = meet(secret.asking(b"token"), answer_with(b"another"))
    assert isinstance(server, AuthenticationError)
    assert isinstance(client, AuthenticationError)
    assert "refused" in str(client)


def test_the_server_does_not() -> None:
    def pretend(sock: socket.socket) -> None:
        sock.sendall(bytes(32))
        assert sock.recv(4096)
        sock.sendall(bytes(32))
        sock.recv(1)

    _, client = meet(pretend, answer_with(b"token"))
    assert isinstance(client, AuthenticationError)
    assert "it is not the one meant" in str(client)


def test_the_servers_own_proof_does_not_pass_for_a_clients() -> None:
    def reflect(sock: socket.socket) -> bytes:
        nonce = sock.recv(32)
        sock.sendall(nonce + secret._proof(b"token", b"server", nonce + nonce))
        return sock.recv(32)

    server, answered = meet(secret.asking(b"token"), reflect)
    assert isinstance(server, AuthenticationError)
    assert answered == b""


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n\r\n", bytes(63)])
def test_a_stranger(sent: bytes) -> None:
    def speak(sock: socket.socket) -> None:
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(4096)

    server, _ = meet(secret.asking(b"token"), speak)
    assert isinstance(server, AuthenticationError)


def test_who_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret, "LOGIN_TIME", 0.05)
    server, _ = meet(secret.asking(b"token"), lambda sock: sock.recv(32) and sock.recv(1))
    assert isinstance(server, AuthenticationError)


def test_a_server_that_is_gone() -> None:
    _, client = meet(lambda sock: None, answer_with(b"token"))
    assert isinstance(client, ConnectionLost | OSError)
