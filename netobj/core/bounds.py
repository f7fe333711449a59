"""What a message may cost whoever unpacks it: memory, and time in which nothing else runs.

The receiver checks before memory is taken: :func:`check_whole` that the bytes are there which
lengths speak of, :class:`Weight` how many values come of them. The sender, who would rather hear of
it in its own call, asks :func:`check_message`, which looks for the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgpack

from netobj.core.consts import EXT_WEIGHT, Ext, Limit
from netobj.errors import LimitExceeded, ProtocolError

SMALL: Final = 512
"""Bytes of what is unpacked without a look ahead: lengths that lie can take little of it."""
MOST_COPIED: Final = 16 * 1024 * 1024
"""Bytes in the payloads of extension values inside one another, at a time: each level is a copy."""
_FIELDS: Final = 16  # of the message itself
MOST_ALIKE: Final = 32
"""Entries of one container that may share their hash with others: each is compared with each."""
FLAT: Final = frozenset(
    (Ext.BIG_INT, Ext.COMPLEX, Ext.SURROGATE_STR, Ext.SINGLETON, Ext.ZONE_INFO, Ext.DECIMAL)
    + (Ext.UUID, Ext.POSIX_PATH, Ext.WINDOWS_PATH, Ext.BYTEARRAY, Ext.BIG_BYTES, Ext.BIG_STR)
    + (Ext.HOME, Ext.PROMISE)
)
"""Extension values whose payload is no msgpack."""
_SLOW: Final = frozenset(
    (Ext.POSIX_PATH, Ext.WINDOWS_PATH, Ext.ZONE_INFO, Ext.FRACTION, Ext.NUMPY_SCALAR)
)
"""Extension values that take twice the time of others, and more for each _SLOW_BYTES of them."""
_SLOW_BYTES: Final = 12
_CLASS_WEIGHT: Final = 60
_METHODS: Final = 3  # their place in a description
_MEMBERS: Final = (Ext.FROZENSET, Ext.SET)
_TEXTS: Final = frozenset((str, bytes))


def unchecked(limits: Sequence[int]) -> int:
    """The bytes of a message which breaks none of *limits*, whatever is in it.

    The smallest extension value has 3 bytes.
    """
    items = limits[Limit.ITEMS] * 3 // EXT_WEIGHT
    return min(limits[Limit.FRAME], items, limits[Limit.INTEGER] // 8, limits[Limit.KEYS])


def check_whole(data: bytes) -> None:
    """Raise ValueError, or another error of unpacking, unless *data* begins with a whole value.

    Makes none of the objects, so an array that announces more than there is takes no memory.
    """
    unpacker = msgpack.Unpacker(max_buffer_size=len(data))
    unpacker.feed(data)
    try:
        unpacker.skip()
    except msgpack.OutOfData:
        raise ValueError("it ends before what it announces") from None


class Weight:
    """Counts the items of one message while it is unpacked; see EXT_WEIGHT.

    *room*: bytes in the payloads of extension values that are unpacked at a time.
    """

    def __init__(self, most: int, room: int = MOST_COPIED) -> None:
        self._most = most
        self._left = most + _FIELDS
        self._room = room

    def count(self, array: Any) -> Any:
        """*array*, for msgpack's hooks. Raises ProtocolError."""
        self._left -= len(array)
        if self._left < 0 or len(array) > self._most:
            self._refuse()
        return array

    def enter(self, code: int, data: bytes) -> None:
        """The extension value with the payload *data* is to be unpacked, until :meth:`leave`."""
        self._left -= EXT_WEIGHT - 1  # its place in the array around it counts, too
        if code in _SLOW:
            self._left -= EXT_WEIGHT + len(data) // _SLOW_BYTES
        self._room -= len(data)
        if self._left < 0:
            self._refuse()
        if self._room < 0:
            raise ProtocolError("the message is nested too deeply for its size")

    def describe(self, description: Any) -> None:
        """A class is described, for which another one is made."""
        self._left -= _CLASS_WEIGHT
        if type(description) is tuple and len(description) > _METHODS:
            if type(description[_METHODS]) is tuple:
                self.count(description[_METHODS])

    def leave(self, data: bytes) -> None:
        """It is unpacked."""
        self._room += len(data)

    def _refuse(self) -> None:
        raise ProtocolError(f"the message has more than {self._most} items")


def check_message(packed: bytes, limits: Sequence[int]) -> None:
    """Raise LimitExceeded where the message *packed* breaks the *limits* of who receives it."""
    try:
        _Look(limits).into(packed)
    except ProtocolError as exc:
        raise LimitExceeded(f"{exc}: the peer refuses it") from None


class _Look:
    def __init__(self, limits: Sequence[int]) -> None:
        self._limits = limits
        self._weight = Weight(limits[Limit.ITEMS])

    def into(self, packed: bytes) -> Any:
        return msgpack.unpackb(
            packed,
            raw=True,
            use_list=False,
            ext_hook=self._ext,
            list_hook=self._weight.count,
            object_pairs_hook=self._pairs,
            strict_map_key=False,
        )

    def _ext(self, code: int, payload: bytes) -> None:
        self._weight.enter(code, payload)
        if code == Ext.BIG_INT:
            check_integer(payload, self._limits[Limit.INTEGER])
        elif code not in FLAT:
            items = self.into(payload)
            if code == Ext.EXPORT and len(items) > 2 and items[2] is not None:
                self._weight.describe(items[2])
            if code in _MEMBERS:
                check_keys(items, self._limits[Limit.KEYS])
        self._weight.leave(payload)

    def _pairs(self, pairs: list[tuple[Any, Any]]) -> None:
        self._weight.count(pairs)
        self._weight.count(pairs)
        check_keys([key for key, _ in pairs], self._limits[Limit.KEYS])


def nests_deeper(array: tuple[Any, ...], most: int) -> bool:
    """Whether tuples are inside one another more than *most* levels deep.

    >>> nests_deeper((1, (2, (3,))), 3), nests_deeper((1, (2, (3,))), 2)
    (False, True)
    """
    level = [array]
    for _ in range(most):
        level = [
            item
            for each in level
            if tuple in map(type, each)  # at the speed of C, for those that are long
            for item in each
            if type(item) is tuple
        ]
        if not level:
            return False
    return True


def check_nesting(array: tuple[Any, ...], most: int) -> None:
    """Raise ProtocolError where :func:`nests_deeper`."""
    if nests_deeper(array, most):
        raise ProtocolError(f"tuples are inside one another more than {most} levels deep")


def check_integer(payload: bytes, most: int) -> None:
    """Raise ProtocolError for an integer in *payload* that may have more than *most* bits."""
    if 8 * (len(payload) - 1) > most:
        raise ProtocolError(f"an integer has more than {most} bits")


def check_keys(keys: Collection[Any], most: int) -> None:
    """Raise ProtocolError for too many *keys*: those but str and bytes, whose hash can be chosen.

    >>> check_keys([1, 2, "a"], 1)
    Traceback (most recent call last):
      ...
    netobj.errors.ProtocolError: a set or dict has 2 keys that are no str or bytes; 1 are the most
    """
    if len(keys) > most and not _TEXTS.issuperset(map(type, keys)):
        count = sum(type(key) not in _TEXTS for key in keys)
        if count > most:
            raise ProtocolError(
                f"a set or dict has {count} keys that are no str or bytes; {most} are the most"
            )


def check_hashes(keys: Collection[Any]) -> None:
    """Raise ProtocolError where so many *keys* share a hash that a table of them takes long."""
    if len(keys) > MOST_ALIKE and not _TEXTS.issuperset(map(type, keys)):
        if len(keys) - len(set(map(hash, keys))) > MOST_ALIKE:
            raise ProtocolError("many keys of a set or dict share one hash")
