"""What a pre-shared key does to a connection: a handshake, then records. No I/O.

Both sides speak at once. Numbers are big-endian:

===========  ==================================================================================
hello        ``netobj psk 1\\r\\n`` (14), ``C`` or ``S`` for client or server (1), a salt (32), a
             public key of X25519 (32), both new for each connection
confirm      what only who has the key can compute from both hellos (32)
record       length of what is in it (4), from 1 to 65536; a tag of that (16); then what is in it,
             encrypted, and its tag (16)
===========  ==================================================================================

Nothing is sent behind a hello before the other's has come, nor behind a confirm before the other's
was right. Then come records.

The secrets are HKDF-SHA256's: the input is the pre-shared key followed by the secret of X25519, the
salt is the client's salt followed by the server's. From it come, for each direction, with SHA-256
of both hellos in the label, the confirm and a secret; and from each secret the key and the first
nonce of AES-256-GCM (labels ``netobj psk 1 key`` and ``nonce``). Each record takes two nonces: the
first one, exclusive-or a number that counts from 0 on. With the one the length is authenticated, as
what is associated with an empty text, before anything is done about it; with the other the contents
are encrypted, with which the length is associated once more. After 2**20 records the next secret
comes from the one before (label ``next``), and the numbers begin anew.
"""

from __future__ import annotations

import hmac
import os
import struct
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from netobj.auth.messages import NoLogin, Reading
from netobj.auth.sealed import RECORD
from netobj.core.consts import LOGIN_PREAMBLE, PREAMBLE, PSK_PREAMBLE
from netobj.errors import AuthenticationError, ProtocolError

SALT: Final = 32
CONFIRM: Final = 32
TAG: Final = 16
RENEW_AFTER: Final = 2**20
"""Records under one key. Of GCM's blocks these are 2**32, far below what would tell anything."""

_LENGTH: Final = struct.Struct(">I")
_HEADER: Final = _LENGTH.size + TAG
_FULL: Final = _HEADER + RECORD + TAG
_MUCH: Final = 4 * _FULL + _HEADER
"""Room for records behind one that is full: who sends such ones has much to say."""
_LABEL: Final = b"netobj psk 1 "
_CLIENT: Final = b"C"
_SERVER: Final = b"S"
_NAMES: Final = {_CLIENT: "client", _SERVER: "server"}
_TLS: Final = (b"\x16\x03", b"\x15\x03")  # a handshake, an alert

Data = bytes | bytearray | memoryview


def _extract(salt: bytes, secret: bytes) -> bytes:
    return hmac.digest(salt, secret, "sha256")


def _expand(secret: bytes, label: bytes, length: int = 32) -> bytes:
    """HKDF's second half (RFC 5869), for what one block suffices for."""
    return hmac.digest(secret, _LABEL + label + b"\x01", "sha256")[:length]


class Handshake:
    """One side's half of it, for one connection; *server*: which side.

    Send ``hello``, read :meth:`read_hello`, whose result is to be sent; read :meth:`read_confirm`;
    then there are ``sealer`` and ``opener``. Whatever is wrong is an AuthenticationError.
    """

    def __init__(self, key: bytes, server: bool) -> None:
        self._key = key
        self._role, self._other = (_SERVER, _CLIENT) if server else (_CLIENT, _SERVER)
        self._private = X25519PrivateKey.generate()
        public = self._private.public_key().public_bytes_raw()
        self.hello: bytes = PSK_PREAMBLE + self._role + os.urandom(SALT) + public
        self._expected = b""
        self.sealer: Sealer
        self.opener: Opener

    def read_hello(self) -> Reading:
        """Reads the other side's hello; returns the confirm."""
        start = yield len(PREAMBLE)
        if not PSK_PREAMBLE.startswith(start):
            raise _no_hello(start, _NAMES[self._other])
        start += yield len(PSK_PREAMBLE) - len(start)
        if start != PSK_PREAMBLE:
            raise _no_hello(start, _NAMES[self._other])
        role = yield 1
        if role != self._other:
            raise AuthenticationError(f"the other side is no {_NAMES[self._other]}")
        return self._derive(start + role + (yield SALT + 32))

    def read_confirm(self) -> Reading:
        """Reads the other side's confirm, and gives it back."""
        confirm = yield CONFIRM
        if not hmac.compare_digest(confirm, self._expected):
            raise AuthenticationError(
                f"the {_NAMES[self._other]} does not know the pre-shared key of this side: it has "
                "another one, or says what somebody said before"
            )
        return confirm

    def _derive(self, theirs: bytes) -> bytes:
        client, server = self.hello, theirs
        if self._role == _SERVER:
            client, server = server, client
        salts = b"".join(hello[-SALT - 32 : -32] for hello in (client, server))
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(theirs[-32:]))
        except ValueError:  # a point that gives away the result
            raise AuthenticationError("the other side's hello has no good public key") from None
        secret = _extract(salts, self._key + shared)
        said = sha256(client + server).digest()
        self._expected = _expand(secret, self._other + b" confirm " + said)
        self.sealer = Sealer(_expand(secret, self._role + b" secret " + said))
        self.opener = Opener(_expand(secret, self._other + b" secret " + said))
        return _expand(secret, self._role + b" confirm " + said)


def _no_hello(start: bytes, side: str) -> AuthenticationError:
    if start == PREAMBLE:
        return NoLogin(
            f"the {side} speaks netobj without encryption: give it psk=, too, or do without it here"
        )
    if LOGIN_PREAMBLE.startswith(start):
        return AuthenticationError(f"the {side} asks for a login, and has no pre-shared key (psk=)")
    if start.startswith(_TLS):
        return AuthenticationError(
            f"the {side} speaks TLS (ssl_context=), this side has a pre-shared key (psk=)"
        )
    return AuthenticationError(f"the {side} does not speak netobj: it said {start!r}")


class _Half:
    """The keys of one direction, and the numbers of its records."""

    __slots__ = ("_cipher", "_first", "_number", "_secret")

    def __init__(self, secret: bytes) -> None:
        self._begin(secret)

    def _begin(self, secret: bytes) -> None:
        self._secret = secret
        self._cipher = AESGCM(_expand(secret, b"key"))
        self._first = int.from_bytes(_expand(secret, b"nonce", 12), "big")
        self._number = 0

    def _nonce(self) -> bytes:
        """The next one. It is used up by having been asked for, whatever comes of it."""
        if self._number == 2 * RENEW_AFTER:
            self._begin(_expand(self._secret, b"next"))
        number = self._number
        self._number = number + 1
        return (self._first ^ number).to_bytes(12, "big")


class Sealer(_Half):
    """Makes records; one thread at a time."""

    __slots__ = ()

    def seal(self, data: Data) -> tuple[bytes, bytes]:
        """A record of *data*, from 1 to 65536 bytes, in two pieces."""
        size = len(data)
        if not 0 < size <= RECORD:
            raise ValueError(f"a record carries 1 to {RECORD} bytes, and not {size}")
        length = _LENGTH.pack(size)
        tag = self._cipher.encrypt(self._nonce(), b"", length)
        return length + tag, self._cipher.encrypt(self._nonce(), data, length)


class Opener(_Half):
    """Takes records apart, however they arrive; one thread at a time.

    What is wrong with one is a ProtocolError, and so is all that comes after it.
    """

    __slots__ = ("_buffer", "_length", "_wrong", "amid")

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self._buffer = bytearray()  # the record that has begun, and a little room for the next
        self.amid = 0  # bytes of a record that has begun, and not ended
        self._length = b""  # of the record that has begun, once that is known
        self._wrong = False

    def open(self, data: Data) -> list[bytes]:
        """What is in the records that *data* ends or contains; nothing of *data* is kept."""
        if not self.amid and type(data) is bytes and self._is_one(data):
            return [self._decrypt(data[_HEADER:], data[: _LENGTH.size])]  # as most often
        opened: list[bytes] = []
        view = memoryview(data)
        while (space := self.space()) is not None and len(view):
            count = min(len(space), len(view))
            space[:count] = view[:count]
            opened += self.filled(count)
            view = view[count:]
        return opened + self._open(view, False) if len(view) else opened

    def _is_one(self, data: bytes) -> bool:
        """Whether *data* is one whole record, whose length is right then."""
        size = len(data) - _HEADER - TAG
        if not 0 < size <= RECORD or self._wrong or _LENGTH.unpack_from(data)[0] != size:
            return False
        self._decrypt(data[_LENGTH.size : _HEADER], data[: _LENGTH.size])
        return True

    def space(self) -> memoryview | None:
        """Where more of the record that has begun is to be put; None if none has."""
        return memoryview(self._buffer)[self.amid :] if self.amid else None

    def filled(self, count: int) -> list[bytes]:
        """As :meth:`open`, of *count* bytes that were put into :meth:`space`."""
        count += self.amid
        self.amid = 0
        return self._open(memoryview(self._buffer)[:count], True)

    def _open(self, view: memoryview, ours: bool) -> list[bytes]:
        opened: list[bytes] = []
        if self._wrong:
            raise ProtocolError("a record came after one that was wrong")
        while (have := len(view)) >= (size := self._size(view)):
            opened.append(self._decrypt(view[_HEADER:size], self._length))
            self._length = b""
            view = view[size:]
            ours = False  # it is no longer the beginning of the buffer
            if not len(view):
                self._buffer = bytearray()  # who waits, perhaps for hours, needs none
                return opened
        room = size + _HEADER if size < _FULL else _MUCH
        if not (ours and len(self._buffer) >= room):
            begun = bytes(view)
            if len(self._buffer) < room:
                self._buffer = bytearray(room)
            self._buffer[:have] = begun
        self.amid = have
        return opened

    def _size(self, view: memoryview) -> int:
        """How many bytes the record has that *view* begins with, as far as that is known."""
        if not self._length:
            if len(view) < _HEADER:
                return _HEADER
            self._length = bytes(view[: _LENGTH.size])
            self._decrypt(view[_LENGTH.size : _HEADER], self._length)
        (size,) = _LENGTH.unpack(self._length)
        if not 0 < size <= RECORD:
            self._wrong = True
            raise ProtocolError(f"a record of {size} bytes was announced; it has 1 to {RECORD}")
        return int(_HEADER + size + TAG)

    def _decrypt(self, data: Data, length: bytes) -> bytes:
        try:
            return self._cipher.decrypt(self._nonce(), data, length)
        except InvalidTag:
            self._wrong = True
            raise ProtocolError(
                "a record was changed on its way, repeated, left out or put in another place"
            ) from None
