"""What all authenticators are, and the exchange over a socket that blocks."""

from __future__ import annotations

import hmac
import os
import socket
import ssl
import time
from contextlib import suppress
from typing import Any, ClassVar, Final, TypeVar

from netobj.auth.messages import (
    LONGEST,
    NONCE_SIZE,
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
from netobj.auth.sealed import SealedSocket
from netobj.core.config import Config
from netobj.errors import AuthenticationError, ConnectionLost

LOGIN_TIME: Final = Config().handshake_timeout or 10.0
"""Seconds that a client has to log in, unless its socket has a timeout, which then is that."""
FOREVER: Final = 1e6
"""Seconds that stand for no limit."""
VERDICT_TIME: Final = 30.0
"""Seconds that a client waits for a server in the midst of its login."""
WRONG: Final = "wrong credentials"
"""All that a client hears, whatever was wrong with them."""
REFUSALS: Final = (AuthenticationError, ConnectionLost, ConnectionError, TimeoutError)
"""What a server logs in one line when a login comes to nothing; all else is somebody's bug."""
_UNREAD: Final = 64 * 1024


class Authenticator:
    """Base of :class:`TokenAuthenticator`, :class:`UserAuthenticator` and :class:`UserLogin`.

    On a server it is also what RPyC calls an authenticator: socket -> (socket, credentials).
    *delay*: the seconds that who is refused waits for it, from the moment that the answer came;
    so it does not tell what was wrong, and guessing takes its time.
    """

    method: ClassVar[bytes]
    title: ClassVar[str]
    private_only: ClassVar[bool] = False  # what is sent may be seen by nobody else
    slow: ClassVar[bool] = False  # judge() may take long
    delay: float = 1.0

    def judge(self, nonce: bytes, answer: bytes) -> tuple[Any, bytes]:
        """On a server: (credentials, what proves to the client that the server knows, too).

        Raises AuthenticationError for wrong ones.
        """
        raise TypeError(f"{type(self).__name__} is for clients, not for servers")

    def answer(self, nonce: bytes) -> tuple[bytes, bytes]:
        """On a client: (what it sends, what proves that the server knows, too)."""
        raise TypeError(f"{type(self).__name__} is for servers, not for clients")

    def __call__(self, sock: socket.socket) -> tuple[socket.socket, Any]:
        return sock, admit(sock, self)


_Kind = TypeVar("_Kind")


def serving(authenticator: _Kind, private: bool) -> _Kind:
    """*authenticator*, if a server may use it; *private*: it has TLS, a pre-shared key, or a Unix
    socket.

    Raises TypeError, or ValueError if passwords would travel so that others see them.
    """
    if isinstance(authenticator, Authenticator):
        if type(authenticator).judge is Authenticator.judge:
            authenticator.judge(b"", b"")  # raises
        if authenticator.private_only and not private:
            raise ValueError(
                f"a server asks for {authenticator.title} over TLS or a Unix socket only, where "
                "nobody else sees it: give ssl_context=, psk= or a socket's path, or use a token"
            )
    elif authenticator is not None and not callable(authenticator):
        raise TypeError(
            "an authenticator is one of netobj.auth's, or a callable: socket -> (socket, "
            f"credentials); this is a {type(authenticator).__name__}"
        )
    return authenticator


def is_private(sock: Any) -> bool:
    """Whether nobody else can see what passes through *sock*, without being this user or root."""
    encrypted = isinstance(sock, ssl.SSLSocket | SealedSocket)
    return encrypted or sock.family == getattr(socket, "AF_UNIX", None)


def check_private(authenticator: Authenticator, private: bool) -> None:
    """Raises AuthenticationError if what *authenticator* sends needs more than this connection."""
    if authenticator.private_only and not private:
        raise AuthenticationError(
            f"{authenticator.title} is sent over TLS or a Unix socket only, where nobody else sees "
            "it: this connection is neither"
        )


def proven(sent: bytes, expected: bytes) -> None:
    """Raises AuthenticationError if *sent* by the server is not the proof that was *expected*."""
    if not hmac.compare_digest(sent, expected):
        raise AuthenticationError(
            "the server let this side in, but could not prove that it knows the token itself: it "
            "is not the server that was meant"
        )


def admit(sock: socket.socket, authenticator: Authenticator) -> Any:
    """The server's half, over a socket that blocks; returns the credentials.

    Raises AuthenticationError, after having told the client, or OSError.
    """
    limit = sock.gettimeout() or LOGIN_TIME
    deadline = time.monotonic() + limit
    check_private(authenticator, is_private(sock))
    nonce = os.urandom(NONCE_SIZE)
    try:
        say(sock, challenge(authenticator.method, nonce), deadline)
        answer = hear(sock, read_answer(), deadline)
    except NoLogin:
        discard(sock, deadline)
        raise
    except TimeoutError:
        raise AuthenticationError(f"no login came within {limit:g} s") from None
    came = time.monotonic()
    try:
        credentials, proof = authenticator.judge(nonce, answer)
    except Exception:
        time.sleep(max(0.0, came + authenticator.delay - time.monotonic()))
        with suppress(OSError):
            say(sock, refusal(WRONG), time.monotonic() + limit)
        raise
    say(sock, welcome(proof), time.monotonic() + limit)
    sock.settimeout(None)
    return credentials


def log_in(sock: socket.socket, authenticator: Authenticator, limit: float = VERDICT_TIME) -> None:
    """The client's half, over a socket that blocks.

    Raises AuthenticationError, ConnectionLost, or TimeoutError if the server does not go on.
    """
    check_private(authenticator, is_private(sock))
    deadline = time.monotonic() + limit
    try:
        nonce = hear(sock, read_challenge(authenticator.method, authenticator.title), deadline)
        answer, proof = authenticator.answer(nonce)
        say(sock, framed(answer), deadline)
        proven(hear(sock, read_verdict(), deadline), proof)
    except TimeoutError:
        raise TimeoutError(f"the server did not log this side in within {limit:g} s") from None
    sock.settimeout(None)


def say(sock: Any, data: bytes, deadline: float) -> None:
    """Send *data* through *sock*, which blocks. Raises OSError."""
    sock.settimeout(max(0.001, deadline - time.monotonic()))
    sock.sendall(data)


def hear(sock: Any, reading: Reading, deadline: float) -> bytes:
    """Feed *reading*, with not a byte more than it asks for: what follows is netobj's.

    Raises what it does, TimeoutError, ConnectionLost, OSError.
    """
    count = next(reading)
    while True:
        data = _receive(sock, count, deadline)
        try:
            count = reading.send(data)
        except StopIteration as end:
            return bytes(end.value)


def _receive(sock: Any, count: int, deadline: float) -> bytes:
    data = bytearray()
    while len(data) < count:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)
        piece = sock.recv(min(count - len(data), LONGEST))
        if not piece:
            raise ConnectionLost(LEFT)
        data += piece
    return bytes(data)


LEFT: Final = "the other side closed the connection during the login (it may want TLS)"


def discard(sock: Any, deadline: float) -> None:
    """Read on for a moment: to close with bytes unread would take the challenge from the client,
    which is to see it, and goes then."""
    try:
        for _ in range(_UNREAD // LONGEST):
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            if not sock.recv(LONGEST):
                return
    except OSError:
        pass
