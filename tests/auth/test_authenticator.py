from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import netobj
from netobj.auth import TokenAuthenticator, UserAuthenticator, UserLogin, authenticator
from netobj.auth.authenticator import admit, log_in, serving
from netobj.auth.messages import challenge, framed, welcome
from netobj.core.consts import LOGIN_PREAMBLE, PREAMBLE
from netobj.errors import AuthenticationError, ConnectionLost

Pair = tuple[socket.socket, socket.socket]
TOKEN = TokenAuthenticator("correct-horse-battery-staple")


@pytest.fixture
def ends() -> Iterator[Pair]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.fixture
def tcp() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    with one, other:
        yield one, other


def both(ends: Pair, server: Any, client: Any) -> tuple[Any, Any]:
    """What admit() and log_in() return or raise."""
    results: list[Any] = [None, None]

    def run(index: int, function: Callable[..., Any], who: Any) -> None:
        try:
            results[index] = function(ends[index], who)
        except Exception as exc:
            results[index] = exc
            ends[index].close()

    thread = threading.Thread(target=run, args=(0, admit, server))
    thread.start()
    run(1, log_in, client)
    thread.join()
    return results[0], results[1]


def test_who_knows_is_let_in_and_not_a_byte_more_is_read(ends: Pair) -> None:
    assert both(ends, TOKEN, TOKEN) == ("token", None)
    ends[0].sendall(PREAMBLE)
    assert ends[1].recv(100) == PREAMBLE
    assert [sock.gettimeout() for sock in ends] == [None, None]


def test_a_user_over_a_unix_socket(ends: Pair) -> None:
    server = UserAuthenticator(lambda user, password: password == "x")
    assert both(ends, server, UserLogin("tom", "x")) == ("tom", None)


@pytest.mark.parametrize("client", [TokenAuthenticator("x" * 16), TokenAuthenticator("y" * 40)])
def test_who_does_not_know_hears_so_after_the_delay(
    ends: Pair, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    server, error = both(ends, TOKEN, client)
    assert isinstance(server, AuthenticationError)
    assert isinstance(error, AuthenticationError)
    assert str(error) == "the server refused the login: wrong credentials"
    assert len(slept) == 1
    assert 0.0 < slept[0] <= TOKEN.delay


def test_what_goes_wrong_in_a_function_of_the_server_is_not_told(ends: Pair) -> None:
    server = UserAuthenticator(lambda user, password: 1 // 0)
    server.delay = 0.0
    failed, error = both(ends, server, UserLogin("tom", "x"))
    assert isinstance(failed, ZeroDivisionError)
    assert str(error) == "the server refused the login: wrong credentials"


def test_passwords_do_not_travel_in_clear(tcp: Pair) -> None:
    with pytest.raises(AuthenticationError, match="over TLS or a Unix socket only"):
        log_in(tcp[1], UserLogin("tom", "secret"))
    with pytest.raises(AuthenticationError, match="over TLS or a Unix socket only"):
        admit(tcp[0], UserAuthenticator(lambda user, password: True))
    tcp[0].setblocking(False)
    with pytest.raises(BlockingIOError):
        tcp[0].recv(1)


def test_a_server_that_does_not_know_the_token_is_found_out(ends: Pair) -> None:
    ends[0].sendall(challenge(b"T", bytes(32)) + welcome(bytes(32)))
    with pytest.raises(AuthenticationError, match="it is not the server that was meant"):
        log_in(ends[1], TOKEN)


def test_a_server_that_asks_for_no_login(ends: Pair) -> None:
    ends[0].sendall(PREAMBLE)
    with pytest.raises(AuthenticationError, match="asks for no login"):
        log_in(ends[1], TOKEN)


@pytest.mark.parametrize("data", [b"", LOGIN_PREAMBLE[:5], challenge(b"T", bytes(32))])
def test_a_server_that_goes(ends: Pair, data: bytes) -> None:
    ends[0].sendall(data)
    ends[0].shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionLost, match="during the login"):
        log_in(ends[1], TOKEN)


def test_a_server_that_says_nothing(ends: Pair) -> None:
    with pytest.raises(TimeoutError, match=r"did not log this side in within 0.01 s"):
        log_in(ends[1], TOKEN, 0.01)


@pytest.mark.parametrize("data", [b"", b"\0", framed(bytes(65))[:-1]])
def test_a_client_has_so_much_time_in_all(
    ends: Pair, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authenticator, "LOGIN_TIME", 0.05)
    ends[1].sendall(data)
    with pytest.raises(AuthenticationError, match=r"no login came within 0.05 s"):
        admit(ends[0], TOKEN)


def test_time_does_not_begin_anew_with_each_byte(
    ends: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authenticator, "LOGIN_TIME", 0.05)
    over = threading.Event()

    def trickle() -> None:
        ends[1].sendall(b"\x07")
        while not over.wait(0.001):
            ends[1].send(b"\xff")

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        with pytest.raises(AuthenticationError, match="no login came"):
            admit(ends[0], TOKEN)
    finally:
        over.set()
        thread.join()


def test_a_client_that_speaks_netobj_at_once_can_read_why(tcp: Pair) -> None:
    tcp[1].sendall(PREAMBLE + bytes(1000))
    tcp[1].shutdown(socket.SHUT_WR)
    with pytest.raises(AuthenticationError, match="did not log in"):
        admit(tcp[0], TOKEN)
    tcp[0].close()
    assert tcp[1].recv(100).startswith(LOGIN_PREAMBLE)


def test_what_a_server_may_use() -> None:
    def callable_(sock: socket.socket) -> Any:
        return sock, None

    asks = UserAuthenticator(lambda user, password: True)
    assert serving(None, False) is None
    assert serving(callable_, False) is callable_
    assert serving(TOKEN, False) is TOKEN
    assert serving(asks, True) is asks
    with pytest.raises(ValueError, match="over TLS or a Unix socket only"):
        serving(asks, False)
    with pytest.raises(TypeError, match="is for clients, not for servers"):
        serving(UserLogin("tom", "x"), True)
    with pytest.raises(TypeError, match="this is a str"):
        serving("token", True)


def test_it_is_what_rpyc_calls_an_authenticator(ends: Pair) -> None:
    thread = threading.Thread(target=log_in, args=(ends[1], TOKEN))
    thread.start()
    assert TOKEN(ends[0]) == (ends[0], "token")
    thread.join()
    assert netobj.utils.authenticators.AuthenticationError is AuthenticationError
