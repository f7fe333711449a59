"""Operators whose results may be much larger than what they are given: bounded for a peer.

``[0] * 10**9`` is a message of a few bytes. Where a peer may not do everything anyway, such an
operation of a builtin type is refused before it begins. What a class of the user's makes of an
operator is its own affair.
"""

from __future__ import annotations

import re
from array import array
from collections import UserList, UserString, deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from netobj.core.lookup import mro_of
from netobj.errors import LimitExceeded

MOST_BYTES: Final = 16 * 1024 * 1024
"""Of a repeated sequence."""
MOST_BITS: Final = 2**16
"""Of an integer that is a power, or was shifted."""
MOST_BITS_OF_MODULUS: Final = 2048
WIDEST: Final = 99_999
"""Characters for which a format asks."""

_NUMBER: Final = re.compile(r"\d+")
_WIDE: Final = re.compile(r"%[^a-zA-Z%]*?(\*|\d{6})")
_SIZES: Final[dict[type, int]] = {
    list: 8,
    tuple: 8,
    deque: 8,
    UserList: 8,
    str: 4,
    UserString: 4,
    bytes: 1,
    bytearray: 1,
    array: 8,
}


def check_growth(obj: object, name: str, operands: tuple[Any, ...]) -> None:
    """Raise LimitExceeded where the special method *name* of *obj* would make something huge.

    >>> check_growth([0], "__mul__", (10,))
    >>> check_growth([0], "__mul__", (10**9,))
    Traceback (most recent call last):
    netobj.errors.LimitExceeded: the result of __mul__ would have 8000000000 bytes: a peer may ask \
for 16777216
    """
    check = _CHECKS.get(name)
    if check is not None and operands:
        check(obj, name, operands)


def _is_a(obj: object, *kinds: type) -> bool:
    """As ``isinstance``, of what *obj* is, not of what it says to be."""
    return any(base is kind for base in mro_of(type(obj)) for kind in kinds)


def _repeated(obj: Any, name: str, operands: tuple[Any, ...]) -> None:
    count = operands[0]
    if not _is_a(count, int):
        return
    for kind, size in _SIZES.items():
        if _is_a(obj, kind):
            size *= len(obj) * int(count)
            if size > MOST_BYTES:
                raise _too_much(name, f"{size} bytes: a peer may ask for {MOST_BYTES}")


def _shifted(obj: Any, name: str, operands: tuple[Any, ...]) -> None:
    if not (_is_a(obj, int) and _is_a(operands[0], int)):
        return
    value, count = int(obj), int(operands[0])
    if name == "__rlshift__":
        value, count = count, value
    _check_bits(name, value.bit_length() + count)


def _powered(obj: Any, name: str, operands: tuple[Any, ...]) -> None:
    base, exponent = (operands[0], obj) if name == "__rpow__" else (obj, operands[0])
    if not _is_a(exponent, int):
        return
    if len(operands) > 1 and operands[1] is not None:
        if any(_is_a(n, int) and n.bit_length() > MOST_BITS_OF_MODULUS for n in (obj, *operands)):
            raise _too_much(name, f"parts of more than {MOST_BITS_OF_MODULUS} bits")
    elif _is_a(base, int):
        _check_bits(name, int(base).bit_length() * abs(int(exponent)))
    elif _is_a(base, Fraction):
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        _check_bits(name, bits * abs(int(exponent)))


def _check_bits(name: str, bits: int) -> None:
    if bits > MOST_BITS:
        raise _too_much(name, f"{bits} bits: a peer may ask for {MOST_BITS}")


def _rounded(obj: Any, name: str, operands: tuple[Any, ...]) -> None:
    if _is_a(obj, int, Fraction) and _is_a(operands[0], int) and abs(operands[0]) > WIDEST // 10:
        raise _too_much(name, "that many digits")


def _formatted(obj: Any, name: str, operands: tuple[Any, ...]) -> None:
    spec = operands[0]
    if type(spec) is str and any(len(n) > len(str(WIDEST)) for n in _NUMBER.findall(spec)):
        raise _too_much(name, f"more than {WIDEST} characters")


def _filled_in(obj: Any, name: str, operands: tuple[Any, ...]) -> None:
    text = operands[0] if name == "__rmod__" else obj
    if _is_a(text, bytes, bytearray):
        text = bytes(text).decode("latin-1")
    elif not _is_a(text, str, UserString):
        return
    if _WIDE.search(str(text)):
        raise _too_much(name, f"more than {WIDEST} characters")


def _too_much(name: str, what: str) -> LimitExceeded:
    return LimitExceeded(f"the result of {name} would have {what}")


_CHECKS: Final[dict[str, Callable[[Any, str, tuple[Any, ...]], None]]] = {
    **dict.fromkeys(("__mul__", "__rmul__", "__imul__"), _repeated),
    **dict.fromkeys(("__lshift__", "__rlshift__", "__ilshift__"), _shifted),
    **dict.fromkeys(("__pow__", "__rpow__", "__ipow__"), _powered),
    **dict.fromkeys(("__mod__", "__rmod__", "__imod__"), _filled_in),
    "__format__": _formatted,
    "__round__": _rounded,
}
