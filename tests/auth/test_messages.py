from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netobj.auth import messages
from netobj.auth.messages import (
    LONGEST,
    NoLogin,
    Reading,
    challenge,
    framed,
    read_answer,
    read_challenge,
    read_verdict,
    refusal,
    welcome,
)
from netobj.core.consts import LOGIN_PREAMBLE, PREAMBLE
from netobj.errors import AuthenticationError

NONCE = bytes(range(32))
TOKEN_ANSWER = b"T" + bytes(64)


def feed(reading: Reading, data: bytes) -> tuple[bytes, bytes]:
    """What *reading* returns, and what it left of *data*."""
    count = next(reading)
    while True:
        assert 0 < count <= LONGEST
        if len(data) < count:
            raise EOFError
        piece, data = data[:count], data[count:]
        try:
            count = reading.send(piece)
        except StopIteration as end:
            return end.value, data


def test_the_bytes_of_each_message() -> None:
    assert challenge(b"T", NONCE) == b"netobj login 1\r\nT" + NONCE
    assert framed(TOKEN_ANSWER) == b"\0\x41T" + bytes(64)
    assert welcome(bytes(32)) == b"\0\x21+" + bytes(32)
    assert refusal("wrong credentials") == b"\0\x12-wrong credentials"


def test_what_is_written_is_read_and_what_follows_is_left() -> None:
    rest = PREAMBLE + b"and more"
    assert feed(read_challenge(b"T", "a token"), challenge(b"T", NONCE) + rest) == (NONCE, rest)
    assert feed(read_answer(), framed(TOKEN_ANSWER) + rest) == (TOKEN_ANSWER, rest)
    assert feed(read_verdict(), welcome(b"proof") + rest) == (b"proof", rest)
    with pytest.raises(AuthenticationError, match="the server refused the login: because"):
        feed(read_verdict(), refusal("because"))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (PREAMBLE + b"...", "the server asks for no login"),
        (b"HTTP/1.1 400 Bad Request", "does not know netobj's login: it said b'HTTP/1.1 400 Bad'"),
        (challenge(b"P", NONCE), "asks for a user and password, this side has a token"),
        (challenge(b"?", NONCE), r"asks for method b'\?', this side has a token"),
    ],
)
def test_challenges_that_a_client_cannot_meet(data: bytes, text: str) -> None:
    with pytest.raises(AuthenticationError, match=text):
        feed(read_challenge(b"T", "a token"), data)


def test_a_client_that_speaks_netobj_at_once() -> None:
    with pytest.raises(NoLogin, match="did not log in"):
        feed(read_answer(), PREAMBLE)


@pytest.mark.parametrize("reading", [read_answer, read_verdict])
@pytest.mark.parametrize("header", [b"\0\0", b"\xff\xff", (LONGEST + 1).to_bytes(2, "big")])
def test_sizes_are_refused_before_anything_is_read(reading: object, header: bytes) -> None:
    with pytest.raises(AuthenticationError, match="allowed are 1 to 2048"):
        feed(reading(), header)  # type: ignore[operator]


def test_a_refusal_is_short_and_has_no_control_characters() -> None:
    with pytest.raises(AuthenticationError) as info:
        feed(read_verdict(), refusal("\x1b[31m\n" + "x" * 1000))
    assert "\x1b" not in str(info.value)
    assert "\n" not in str(info.value)
    assert len(str(info.value)) < 400
    with pytest.raises(AuthenticationError, match=r"neither \+ nor -"):
        feed(read_verdict(), framed(b"?"))


def test_nothing_longer_is_sent() -> None:
    with pytest.raises(ValueError, match="2048 are the most"):
        framed(bytes(LONGEST + 1))


@given(st.binary(max_size=200))
def test_whatever_comes_there_are_only_documented_errors(data: bytes) -> None:
    for reading in (read_challenge(b"T", "a token"), read_answer(), read_verdict()):
        try:
            feed(reading, data)
        except (AuthenticationError, EOFError):
            pass


def test_the_table_in_the_docstring_says_the_sizes() -> None:
    text = messages.__doc__ or ""
    assert f"({len(LOGIN_PREAMBLE)})" in text
    assert set(re.findall(r"\((\d+)\)", text)) == {"16", "1", "32", "2"}
    page = Path(__file__).parents[2] / "docs" / "protocol.rst"
    assert "netobj login 1\\r\\n" in page.read_text(encoding="utf-8")
