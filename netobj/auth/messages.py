"""What is said before netobj's own protocol begins, where a server asks who connects. No I/O.

Three messages, of bytes and big-endian numbers. The server speaks first:

==========  ===============================================================================
challenge   ``netobj login 1\\r\\n`` (16), the method (1), the server's nonce (32)
answer      length (2), then the method (1) and what belongs to it:

            ``T``: the client's nonce (32), HMAC-SHA256 of the token over the label
            ``netobj login 1 client``, the server's nonce and the client's (32);
            ``P``: length of the user's name (2), the name, the password, both in UTF-8
verdict     length (2), then ``+`` and, for ``T``, the same HMAC with the label
            ``netobj login 1 server`` (32); or ``-`` and a sentence in UTF-8
==========  ===============================================================================

The client reads the verdict before it says anything of netobj's, and the server says nothing of
netobj's before a good verdict.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from typing import Final, NoReturn

from netobj.core.consts import LOGIN_PREAMBLE, PREAMBLE
from netobj.errors import AuthenticationError

NONCE_SIZE: Final = 32
PROOF_SIZE: Final = 32
LONGEST: Final = 2048
"""Bytes of an answer or verdict at most."""

_LENGTH: Final = struct.Struct(">H")
_WELCOME: Final = b"+"
_REFUSED: Final = b"-"

Reading = Generator[int, bytes, bytes]
"""Yields how many bytes it needs next, is sent them, and returns what they meant."""


def challenge(method: bytes, nonce: bytes) -> bytes:
    """The server's first message."""
    return LOGIN_PREAMBLE + method + nonce


def framed(body: bytes) -> bytes:
    """An answer or verdict, as it is sent. Raises ValueError if it is longer than can be."""
    if len(body) > LONGEST:
        raise ValueError(f"a login of {len(body)} bytes; {LONGEST} are the most that is sent")
    return _LENGTH.pack(len(body)) + body


def welcome(proof: bytes) -> bytes:
    """The verdict for who is let in."""
    return framed(_WELCOME + proof)


def refusal(text: str) -> bytes:
    """The verdict for who is not."""
    return framed(_REFUSED + text.encode())


def read_challenge(method: bytes, title: str) -> Reading:
    """Reads the server's nonce. Raises AuthenticationError if it does not ask for *title*."""
    start = yield len(PREAMBLE)
    if start == PREAMBLE:
        raise AuthenticationError(
            f"the server asks for no login, and so does not prove who it is: give it {title}, too, "
            "or connect without an authenticator"
        )
    start += yield len(LOGIN_PREAMBLE) - len(start)
    if start != LOGIN_PREAMBLE:
        raise AuthenticationError(f"the server does not know netobj's login: it said {start!r}")
    asked = yield 1
    if asked != method:
        kind = {b"T": "a token", b"P": "a user and password"}.get(asked, f"method {asked!r}")
        raise AuthenticationError(f"the server asks for {kind}, this side has {title}")
    return (yield NONCE_SIZE)


def read_answer() -> Reading:
    """Reads the client's answer. Raises AuthenticationError for what cannot be one."""
    header = yield _LENGTH.size
    if PREAMBLE.startswith(header):
        raise NoLogin("the client did not log in: it speaks netobj at once")
    return (yield _checked(header))


def read_verdict() -> Reading:
    """Reads what proves that the server knows, too. Raises AuthenticationError if it refused."""
    body = yield _checked((yield _LENGTH.size))
    if body[:1] == _WELCOME:
        return body[1:]
    if body[:1] != _REFUSED:
        _malformed("it begins with neither + nor -")
    text = body[1:257].decode("utf-8", "replace")
    raise AuthenticationError(
        "the server refused the login: " + "".join(c if c.isprintable() else "?" for c in text)
    )


def _checked(header: bytes) -> int:
    (length,) = _LENGTH.unpack(header)
    if not 0 < length <= LONGEST:
        _malformed(f"it announces {length} bytes, allowed are 1 to {LONGEST}")
    return int(length)


def _malformed(why: str) -> NoReturn:
    raise AuthenticationError(f"a message of the login is malformed: {why}")


class NoLogin(AuthenticationError):
    """The other side does not know that it has to log in, or to encrypt."""
