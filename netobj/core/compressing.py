"""Bodies of messages, compressed and undone: codecs of the standard library, within bounds.

What a peer sends is undone only as far as it says itself, and that was compared with this side's
limits before: a few bytes that would become very many cost no more than a message of that size.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from netobj.core.config import Compression
from netobj.errors import ProtocolError

WORTH: Final = 1024
"""Bytes of a message above which it is compressed, where both sides agree to."""

MOST_DATA: Final = 1024 * 1024
"""Bytes that are undone at once: also those of which nothing comes are work."""

_LEVEL: Final = 1  # of zlib and bz2: messages are small, and somebody waits for them
_LZMA2: Final = 0x21
_DICTIONARY: Final = 1024 * 1024
_FILTERS: Final = [{"id": _LZMA2, "preset": _LEVEL, "dict_size": _DICTIONARY}]


class _Codec(NamedTuple):
    module: str
    most: int  # bytes that are compressed at once, or come of it: there is a time to be kept
    compress: Callable[[Any, bytes], bytes]
    undoing: Callable[[Any], Any]  # an object that undoes one body
    error: Callable[[Any], type[Exception]]  # what it raises for what is none


_CODECS: Final = {
    Compression.ZLIB: _Codec(
        "zlib",
        16 * 1024 * 1024,
        lambda zlib, body: zlib.compress(body, _LEVEL),
        lambda zlib: zlib.decompressobj(),
        lambda zlib: zlib.error,
    ),
    Compression.BZ2: _Codec(
        "bz2",
        1024 * 1024,
        lambda bz2, body: bz2.compress(body, _LEVEL),
        lambda bz2: bz2.BZ2Decompressor(),
        lambda bz2: OSError,
    ),
    Compression.LZMA: _Codec(
        "lzma",
        1024 * 1024,
        lambda lzma, body: lzma.compress(body, lzma.FORMAT_RAW, filters=_FILTERS),
        lambda lzma: lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS),
        lambda lzma: lzma.LZMAError,
    ),
}


@cache
def codecs() -> tuple[str, ...]:
    """The names of the codecs that this Python has, as a hello says them.

    >>> "zlib" in codecs()
    True
    """
    parts = {"zlib": "zlib", "bz2": "_bz2", "lzma": "_lzma"}
    return tuple(one.value for one in Compression if find_spec(parts[one.value]) is not None)


@cache
def offered(features: tuple[str, ...]) -> tuple[str, ...]:
    """The codecs among the *features* of this side; one tuple for all its connections."""
    return tuple(name for name in codecs() if name in features)


def compressed(codec: Compression, body: bytes) -> bytes | None:
    """*body* compressed; None where that makes it no shorter, or leaves it too long to be undone.

    >>> len(compressed(Compression.ZLIB, bytes(2000))) < 100
    True
    """
    name, most, compress, *_ = _CODECS[codec]
    if len(body) > most:
        return None
    data = compress(import_module(name), body)
    return data if len(data) < len(body) and len(data) <= MOST_DATA else None


def undone(codec: Compression, size: int, data: bytes) -> bytes:
    """The *size* bytes that *data* was made of. Takes memory for no more than these.

    Raises ProtocolError if it was not made of exactly as many, or is longer than they are.

    >>> undone(Compression.ZLIB, 2000, compressed(Compression.ZLIB, bytes(2000))) == bytes(2000)
    True
    """
    name, most, _, undoing, error = _CODECS[codec]
    if not len(data) < size <= most or len(data) > MOST_DATA:
        raise ProtocolError(
            f"a message that came compressed is longer so, or has more than the {most} bytes, or "
            f"{MOST_DATA} when compressed, that {name} may have"
        )
    module = import_module(name)
    machine = undoing(module)
    try:
        body: bytes = machine.decompress(data, size)
        if not machine.eof:  # its end may have to be read yet, where no byte more is wanted
            body += machine.decompress(getattr(machine, "unconsumed_tail", b""), 1)
    except (OSError, EOFError, ValueError, error(module)) as exc:
        raise ProtocolError(f"what was sent as compressed cannot be undone: {exc}") from exc
    if len(body) != size or not machine.eof or machine.unused_data:
        raise ProtocolError(f"a compressed message is not the {size} bytes that it announces")
    return body
