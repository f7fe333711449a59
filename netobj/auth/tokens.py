"""A secret that both sides know, and that is never sent; and how a child process is told it."""

from __future__ import annotations

import hmac
import os
import secrets
from typing import Any, BinaryIO, Final

from netobj.auth.authenticator import WRONG, Authenticator
from netobj.auth.messages import NONCE_SIZE, PROOF_SIZE
from netobj.errors import AuthenticationError

SHORTEST: Final = 16
"""Bytes of a token at least: who listens in could try all shorter ones at home."""
_LONGEST_LINE: Final = 1024
_CLIENT: Final = b"netobj login 1 client"
_SERVER: Final = b"netobj login 1 server"


def new_token() -> str:
    """A token that nobody can guess: 43 letters, digits, ``-`` and ``_``, of 256 random bits.

    >>> len(new_token())
    43
    """
    return secrets.token_urlsafe(32)


class TokenAuthenticator(Authenticator):
    """Both sides prove to one another that they know *token*; it is for servers and clients.

    Each challenges the other with a random number, of which the other computes the HMAC-SHA256
    with the token. *token*: 16 bytes or ASCII characters at the least, from :func:`new_token`, say,
    since whoever sees one exchange can try out guesses. *name*: the ``credentials`` of connections
    that used it. Raises ValueError for a token that is too short.

    >>> import netobj
    >>> shared = TokenAuthenticator("correct-horse-battery-staple")
    >>> with netobj.ThreadedServer(
    ...         netobj.SlaveService, hostname="localhost", authenticator=shared) as server:
    ...     with netobj.connect("localhost", server.port, authenticator=shared) as conn:
    ...         conn.root.eval("6 * 7")
    42
    """

    method = b"T"
    title = "a token"

    def __init__(self, token: str | bytes, name: str = "token") -> None:
        self._key = token.encode() if isinstance(token, str) else bytes(token)
        self.name = name
        if len(self._key) < SHORTEST:
            raise ValueError(
                f"the token has {len(self._key)} bytes, which can be guessed: it needs {SHORTEST}; "
                "netobj.auth.new_token() makes a good one"
            )

    def __repr__(self) -> str:
        return f"<netobj.auth.TokenAuthenticator {self.name!r}>"

    def judge(self, nonce: bytes, answer: bytes) -> tuple[Any, bytes]:
        theirs, proof = answer[1 : 1 + NONCE_SIZE], answer[1 + NONCE_SIZE :]
        expected = self._proof(_CLIENT, nonce + theirs)
        same = hmac.compare_digest(proof, expected)
        if answer[:1] != self.method or len(answer) != 1 + NONCE_SIZE + PROOF_SIZE or not same:
            raise AuthenticationError(WRONG)
        return self.name, self._proof(_SERVER, nonce + theirs)

    def answer(self, nonce: bytes) -> tuple[bytes, bytes]:
        ours = os.urandom(NONCE_SIZE)
        proof = self._proof(_CLIENT, nonce + ours)
        return self.method + ours + proof, self._proof(_SERVER, nonce + ours)

    def _proof(self, label: bytes, nonces: bytes) -> bytes:
        return hmac.digest(self._key, label + nonces, "sha256")


def send_token(pipe: BinaryIO, token: str) -> None:
    """Tell a child process *token* over its standard input, *pipe*; see :func:`receive_token`.

    Nobody sees it there, as other users would on a command line or in the environment.
    """
    pipe.write(token.encode("ascii") + b"\n")
    pipe.flush()


def receive_token(stream: BinaryIO) -> str:
    """In the child: the token, one line of *stream*, which is ``sys.stdin.buffer`` as a rule.

    Raises AuthenticationError if there is none.

    >>> import io
    >>> pipe = io.BytesIO()
    >>> send_token(pipe, "correct-horse-battery-staple")
    >>> receive_token(io.BytesIO(pipe.getvalue()))
    'correct-horse-battery-staple'
    """
    line = stream.readline(_LONGEST_LINE)
    token = line.strip()
    if not token or not line.endswith(b"\n") or not token.isascii():
        raise AuthenticationError(
            f"no token came: one line of ASCII, {_LONGEST_LINE} bytes at the most, was expected"
        )
    return token.decode("ascii")
