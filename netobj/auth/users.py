"""Users and their passwords, which travel over TLS or a Unix socket only."""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from netobj.auth.authenticator import LOGIN_TIME, WRONG, Authenticator
from netobj.auth.messages import LONGEST
from netobj.auth.tokens import TokenAuthenticator
from netobj.errors import AuthenticationError
from netobj.urls import Target, Way

_LENGTH: Final = struct.Struct(">H")
_SALT_SIZE: Final = 16
_HASH_SIZE: Final = 32
_COST, _BLOCK, _LANES = 2**14, 8, 1  # 16 MiB and some 50 ms: RFC 7914's advice for logins
_SCHEME: Final = "scrypt"

_at_once: Final = threading.BoundedSemaphore(4)
"""How many hashes are computed at a time, since each takes 16 MiB."""


def hash_password(password: str) -> str:
    """What a server keeps of a password: salted, and slow to try guesses on (scrypt).

    >>> kept = hash_password("open sesame")
    >>> is_password("open sesame", kept), is_password("open says me", kept)
    (True, False)
    """
    salt = os.urandom(_SALT_SIZE)
    return "$".join((_SCHEME, salt.hex(), _scrypt(password, salt).hex()))


def is_password(password: str, kept: str) -> bool:
    """Whether *kept* was made of *password*, by :func:`hash_password`.

    Raises AuthenticationError if that cannot be found out, since too many ask at once.
    """
    salt, digest = _parts(kept)
    return hmac.compare_digest(_scrypt(password, salt), digest)


def _parts(kept: str) -> tuple[bytes, bytes]:
    scheme, _, rest = kept.partition("$")
    salt, _, digest = rest.partition("$")
    if scheme != _SCHEME or len(digest) != 2 * _HASH_SIZE:
        raise ValueError("not what netobj.auth.hash_password() returned")
    return bytes.fromhex(salt), bytes.fromhex(digest)


def _scrypt(password: str, salt: bytes) -> bytes:
    if not _at_once.acquire(timeout=LOGIN_TIME):
        raise AuthenticationError("too many users log in at once")
    try:
        return hashlib.scrypt(
            password.encode(), salt=salt, n=_COST, r=_BLOCK, p=_LANES, dklen=_HASH_SIZE
        )
    finally:
        _at_once.release()


class UserAuthenticator(Authenticator):
    """On a server: asks for a user and password, over TLS or a Unix socket only.

    *users*: a mapping of names to what :func:`hash_password` gave; or a function of name and
    password, which returns True, or the ``credentials`` of the connection, or something false. By
    default the credentials are the user's name. Raises ValueError for a mapping to anything else.

    >>> import netobj
    >>> ask = UserAuthenticator({"tom": hash_password("open sesame")})
    >>> ask
    <netobj.auth.UserAuthenticator>
    """

    method = b"P"
    title = "a user and password"
    private_only = True
    slow = True

    def __init__(self, users: Mapping[str, str] | Callable[[str, str], Any]) -> None:
        if isinstance(users, Mapping):
            for name in users:
                _check_kept(name, users[name])
            self._check: Callable[[str, str], Any] = _Kept(users)
        elif callable(users):
            self._check = users
        else:
            raise TypeError("users: a mapping of names to hashes, or a function (name, password)")

    def __repr__(self) -> str:
        return "<netobj.auth.UserAuthenticator>"

    def judge(self, nonce: bytes, answer: bytes) -> tuple[Any, bytes]:
        user, password = _split(answer)
        found = self._check(user, password)
        if found is None or found is False:
            raise AuthenticationError(f"{WRONG} for user {user[:64]!r}")
        return (user if found is True else found), b""


class _Kept:
    """Checks against hashes; for an unknown user one is computed as well, which takes as long."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = users
        self._nobody = hash_password(os.urandom(_SALT_SIZE).hex())

    def __call__(self, user: str, password: str) -> bool:
        kept = self._users.get(user)
        same = is_password(password, self._nobody if kept is None else kept)
        return same and kept is not None


def _check_kept(name: str, kept: str) -> None:
    try:
        _parts(kept)
    except (ValueError, AttributeError):
        raise ValueError(
            f"the password of user {name!r} is kept as it is, or otherwise: keep what "
            "netobj.auth.hash_password(password) returns"
        ) from None


def _split(answer: bytes) -> tuple[str, str]:
    try:
        (length,) = _LENGTH.unpack_from(answer, 1)
        user, password = answer[3 : 3 + length], answer[3 + length :]
        if answer[:1] != UserAuthenticator.method or len(user) != length:
            raise ValueError
        return user.decode(), password.decode()
    except (struct.error, ValueError):
        raise AuthenticationError("a login that is no user and password") from None


class UserLogin(Authenticator):
    """On a client: logs in as *user*, over TLS or a Unix socket only.

    The server proves who it is by its certificate. Raises ValueError if both together are longer
    than some 2000 bytes.

    >>> UserLogin("tom", "open sesame")
    <netobj.auth.UserLogin 'tom'>
    """

    method = UserAuthenticator.method
    title = UserAuthenticator.title
    private_only = True

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        name = user.encode()
        self._answer = self.method + _LENGTH.pack(len(name)) + name + password.encode()
        if len(self._answer) > LONGEST:
            raise ValueError(f"user and password together are longer than {LONGEST - 3} bytes")

    def __repr__(self) -> str:
        return f"<netobj.auth.UserLogin {self.user!r}>"

    def answer(self, nonce: bytes) -> tuple[bytes, bytes]:
        return self._answer, b""


def login_for(target: Target, authenticator: Any) -> Any:
    """How a client logs in with what a URL says, or by the *authenticator* that came beside it.

    As a user, or with a token where there is none; with SSH the user is SSH's. Raises ValueError if
    both say something.

    >>> from netobj.urls import parse_url
    >>> login_for(parse_url("netobjs://tom:open-sesame@bank"), None)
    <netobj.auth.UserLogin 'tom'>
    >>> login_for(parse_url("netobj://:correct-horse-battery-staple@bank"), None)
    <netobj.auth.TokenAuthenticator 'token'>
    """
    login: Authenticator | None = None
    if target.user and target.way is not Way.SSH:
        login = UserLogin(target.user, target.password)
    elif target.password:
        login = TokenAuthenticator(target.password)
    if login is not None and authenticator is not None:
        raise ValueError("the address has a login, and there is an authenticator: give one of them")
    return login or authenticator
