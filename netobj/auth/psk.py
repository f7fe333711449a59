"""A key that both sides have, in place of TLS: what it is, where it is kept, who may have it.

What is done with it is in :mod:`netobj.auth.sealing`, which needs ``cryptography`` and so is loaded
when the first key is made.
"""

from __future__ import annotations

import os
import secrets
import stat
from importlib import import_module
from typing import Any, Final

SHORTEST: Final = 32
"""Bytes of a key at least."""
_LONGEST: Final = 1024
_FEWEST_VALUES: Final = 16  # of its bytes; 32 random ones have fewer once in 10**11 keys
_STRANGERS: Final = stat.S_IRWXG | stat.S_IRWXO


class PreSharedKey:
    """Encrypts connections with *key*, which both sides have: the argument ``psk=``.

    *key*: 32 random bytes at the least, from :func:`new_key` or :func:`read_key`. Raises TypeError
    and ValueError for a passphrase, which can be guessed, ImportError without ``cryptography``
    (``pip install 'netobj[psk]'``).

    >>> import netobj
    >>> psk = PreSharedKey(new_key())
    >>> psk
    <netobj.auth.PreSharedKey>
    >>> with netobj.ThreadedServer(netobj.SlaveService, hostname="localhost", psk=psk) as server:
    ...     with netobj.connect("localhost", server.port, psk=psk) as conn:
    ...         conn.root.eval("6 * 7")
    42
    """

    def __init__(self, key: bytes) -> None:
        self._key = _checked(key)
        try:
            self._sealing = import_module("netobj.auth.sealing")  # needs what few have installed
        except ImportError as exc:
            raise ImportError(
                "a pre-shared key needs cryptography: python -m pip install 'netobj[psk]'"
            ) from exc

    def __repr__(self) -> str:
        return "<netobj.auth.PreSharedKey>"

    def handshake(self, server: bool) -> Any:
        """A :class:`netobj.auth.sealing.Handshake` of one connection."""
        return self._sealing.Handshake(self._key, server)


def new_key() -> bytes:
    """A key: 32 bytes, which nobody can guess. ``new_key().hex()`` is how a file has it.

    >>> len(new_key())
    32
    """
    return secrets.token_bytes(SHORTEST)


def read_key(path: str | os.PathLike[str]) -> bytes:
    """The key in the file *path*: one line of 64 hexadecimal digits or more.

    Raises OSError, and ValueError for a file of which it may be known to others: it belongs to
    this user, and nobody else may read it (``chmod 600``).
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        found = os.fstat(file.fileno())  # of what was opened, whatever the name means by now
        line = file.read(_LONGEST + 1)
    if hasattr(os, "getuid") and (found.st_mode & _STRANGERS or found.st_uid != os.getuid()):
        raise ValueError(
            f"{name} is not this user's alone, so others may know the key: make a new key, in a "
            "file of your own with the mode 600"
        )
    try:
        if len(line) > _LONGEST:
            raise ValueError
        key = bytes.fromhex(line.decode("ascii").strip())
    except ValueError:  # its text may have some of the key
        key = b""
    if len(key) < SHORTEST:
        raise ValueError(
            f"{name} has no key: that is a line of {2 * SHORTEST} hexadecimal digits or more, as "
            "netobj.auth.new_key().hex() makes it"
        )
    return key


def protecting(psk: Any, ssl_context: object = None) -> Any:
    """*psk*, if it may be the argument of that name.

    Raises TypeError for what is no :class:`PreSharedKey`, ValueError if there is TLS as well.
    """
    if psk is not None and not isinstance(psk, PreSharedKey):
        raise TypeError(
            "psk is a netobj.auth.PreSharedKey(key), by which both sides know one another; this is "
            f"of the type {type(psk).__name__}"
        )
    if psk is not None and ssl_context is not None:
        raise ValueError("psk and TLS both encrypt: give one of them")
    return psk


_NEW: Final = "netobj.auth.new_key() makes one, netobj.auth.read_key(path) reads it from a file"


def _checked(key: Any) -> bytes:
    if isinstance(key, str):
        raise TypeError(f"a pre-shared key is bytes, no text, which can be guessed: {_NEW}")
    if not isinstance(key, bytes | bytearray | memoryview):
        raise TypeError(f"a pre-shared key is bytes, and no {type(key).__name__}: {_NEW}")
    found = bytes(key)
    if len(found) < SHORTEST:
        raise ValueError(
            f"the pre-shared key has {len(found)} bytes, which can be guessed: it needs "
            f"{SHORTEST}; {_NEW}"
        )
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in found):
        raise ValueError(
            "the pre-shared key is text: a passphrase can be guessed, and what is written in "
            f"hexadecimal digits is to be read first (bytes.fromhex); {_NEW}"
        )
    if len(set(found)) < _FEWEST_VALUES:
        raise ValueError(f"the pre-shared key is not random: {_NEW}")
    return found
