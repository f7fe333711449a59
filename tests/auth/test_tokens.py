from __future__ import annotations

import io
import subprocess
import sys

import pytest

from netobj import auth
from netobj.auth import TokenAuthenticator
from netobj.errors import AuthenticationError

NONCE = bytes(32)


def test_both_sides_prove_that_they_know_the_token() -> None:
    server = TokenAuthenticator("correct-horse-battery-staple", name="staple")
    client = TokenAuthenticator(b"correct-horse-battery-staple")
    answer, expected = client.answer(NONCE)
    assert server.judge(NONCE, answer) == ("staple", expected)
    assert client.answer(NONCE)[0] != answer  # each has a number of its own


def test_the_token_is_not_in_what_is_sent() -> None:
    token = "correct-horse-battery-staple"
    answer, proof = TokenAuthenticator(token).answer(NONCE)
    assert token.encode() not in answer + proof


def test_what_is_not_a_proof() -> None:
    server = TokenAuthenticator("correct-horse-battery-staple")
    answer, proof = server.answer(NONCE)
    wrong = [
        TokenAuthenticator("correct-horse-battery-stable").answer(NONCE)[0],
        answer[:-1],
        answer + b"x",
        answer[:33] + proof,  # the server's own proof, sent back
        b"P" + answer[1:],
        b"T",
        b"",
    ]
    for attempt in wrong:
        with pytest.raises(AuthenticationError, match="wrong credentials"):
            server.judge(NONCE, attempt)
    with pytest.raises(AuthenticationError):  # said before, to another challenge
        server.judge(b"x" * 32, answer)


def test_golden_proofs() -> None:
    """What another implementation has to compute."""
    shared = TokenAuthenticator("correct-horse-battery-staple")
    nonces = bytes(32) + bytes(range(32))
    assert shared._proof(b"netobj login 1 client", nonces).hex() == (
        "65762b3a585b8a33a9a09a3a28f8870b8f41d9c35477750962d0bb5482aa9acc"
    )
    assert shared._proof(b"netobj login 1 server", nonces).hex() == (
        "dea0f2298bb6e5f8073abc17ee2abda5556f90f9b55f2a40b9820caa6abd9c3e"
    )


@pytest.mark.parametrize("token", ["", "short", b"x" * 15])
def test_a_token_that_can_be_guessed(token: str | bytes) -> None:
    with pytest.raises(ValueError, match="can be guessed") as info:
        TokenAuthenticator(token)
    if token:
        assert str(token) not in str(info.value)


def test_new_tokens_differ_and_are_long_enough() -> None:
    one, other = auth.new_token(), auth.new_token()
    assert one != other
    TokenAuthenticator(one)


def test_a_repr_does_not_show_the_token() -> None:
    assert repr(TokenAuthenticator("correct-horse-battery-staple")) == (
        "<netobj.auth.TokenAuthenticator 'token'>"
    )


def test_a_child_process_takes_a_token_over_its_standard_input() -> None:
    code = (
        "import sys; from netobj.auth import receive_token; "
        "print(receive_token(sys.stdin.buffer), sys.stdin.read(), sep='|')"
    )
    token = auth.new_token()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        auth.send_token(child.stdin, token)
        out, _ = child.communicate(b"more", timeout=60)
    assert out.decode().strip() == f"{token}|more"


@pytest.mark.parametrize("data", [b"", b"\n", b"no end of line", b"x" * 2000 + b"\n", b"\xff\n"])
def test_no_token_came(data: bytes) -> None:
    with pytest.raises(AuthenticationError, match="no token came"):
        auth.receive_token(io.BytesIO(data))
