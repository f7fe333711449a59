"""The body of a message as one line for people, straight from its bytes.

Nothing of it is built but numbers and short texts, and no more of it is looked at than is shown:
msgpack itself skips the rest. So reading a peer's message runs no code of anybody's, and takes
little memory and time, whatever is in it; what came compressed is undone if it is not long. The
numbers and fields are those of :mod:`netobj.core.consts`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgpack

from netobj.core.compressing import undone
from netobj.core.config import Compression
from netobj.core.consts import SPECIALS, Ext, Kind, Op

_MOST_ITEMS: Final = 8  # of one array that are shown
_MOST_LEVELS: Final = 4
_MOST_VALUES: Final = 100  # of one message
_MOST_TEXT: Final = 60  # characters, or bytes, of one value
_MOST_NAMES: Final = 64  # of arguments by keyword
_MOST_UNDONE: Final = 1024 * 1024  # bytes of a compressed message that is looked into


def readable(body: bytes, width: int = 200, values: bool = True) -> str:
    """One line, of at most about *width* characters; *values* false: only types and sizes of them.

    >>> readable(msgpack.packb([1, 7, 3, 1, 0, "add", [1, "two"]]))
    "REQUEST 7 CALL root.add(1, 'two')"
    >>> readable(msgpack.packb([3, 7, "secret"]), values=False)
    'REPLY 7: <str of 7 bytes>'
    """
    try:
        line = _Message(body, values).line()
    except Exception as exc:  # what a peer sends may be anything
        line = f"unreadable ({type(exc).__name__})"
    return one_line(line, width)


def one_line(text: str, width: int) -> str:
    """*text*, escaped if something in it is not printable, and cut.

    >>> one_line("bye" + chr(10) + "bye", 5)
    'bye\\\\n...'
    """
    if not text.isprintable():
        text = text.encode("unicode_escape", "backslashreplace").decode("ascii")
    return text if len(text) <= width else f"{text[:width]}..."


class _Message:
    def __init__(self, body: bytes, values: bool, inner: bool = False) -> None:
        self._inner = inner  # it came compressed
        self.fields = _parts(body)
        self._count = _length(body)
        self._values = values
        self._left = _MOST_VALUES

    def line(self) -> str:
        number = _plain(self.fields[0])
        try:
            kind = Kind(number)
        except ValueError:
            return f"a message of the unknown kind {number!r}"
        tell = _TOLD.get(kind, _Message._numbers)
        return f"{kind.name} {tell(self)}".rstrip()

    def _hello(self) -> str:
        _, minor, _process, _session, _limits, _features, description = self.fields[:7]
        _kind, module, name, *_ = _parts(description)
        return f"minor version {_plain(minor)}, the root is a {_plain(module)}.{_plain(name)}"

    def _request(self) -> str:
        _, seq, chain, op, target, path, args, *extras = self.fields
        names = [_plain(name) for name in _parts(extras[0])[:_MOST_NAMES]] if extras else []
        shown = self._arguments(args, names)
        what = _enum(Op, _plain(op))
        if what == "SPECIAL":
            number, *operands = _parts(args, _MOST_ITEMS)
            shown = ", ".join([SPECIALS[_plain(number)], *map(self._value, operands)])
        if shown or what == "CALL":
            shown = f"({shown})"
        place = f"{self._target(target)}{self._path(path)}"
        where = f" in lane {_plain(chain)}" if _plain(self.fields[0]) == Kind.ASYNC_REQUEST else ""
        return f"{_plain(seq)}{where} {what} {place}{shown}{self._more(extras)}"

    def _target(self, target: bytes) -> str:
        if _is_array(target):
            return self._value(_parts(target)[0])
        number = _plain(target)
        return "root" if number == 0 else f"object {number}"

    def _path(self, path: bytes) -> str:
        if path == _NIL:
            return ""
        if not _is_array(path):
            return f".{_cut(_plain(path), 100)}"
        steps = [
            f"[{self._value(_parts(step)[0])}]"
            if _is_array(step)
            else f".{_cut(_plain(step), 100)}"
            for step in _parts(path, _MOST_ITEMS)
        ]
        return "".join([*steps, *_rest(_length(path))])

    def _arguments(self, args: bytes, names: list[Any]) -> str:
        count = _length(args)
        shown = [self._value(arg) for arg in _parts(args, _MOST_ITEMS)]
        positional = count - len(names)
        texts = [
            text if index < positional else f"{names[index - positional]}={text}"
            for index, text in enumerate(shown)
        ]
        return ", ".join([*texts, *_rest(count)])

    def _more(self, extras: list[bytes]) -> str:
        told = []
        if len(extras) > 1 and _plain(extras[1]) is not None:
            told.append(f"{_plain(extras[1]):.3f} s left")
        if len(extras) > 2 and extras[2] != _NIL:
            told.append(f"metadata {self._value(extras[2])}")
        if len(extras) > 3 and _plain(extras[3]):
            told.append("kept")
        return f" [{', '.join(told)}]" if told else ""

    def _reply(self) -> str:
        return f"{_plain(self.fields[1])}: {self._value(self.fields[2])}"

    def _error(self) -> str:
        return f"{_plain(self.fields[1])}: {self._exception(self.fields[2])}"

    def _release(self) -> str:
        numbers = [_plain(field) for field in self.fields[1 : 1 + 2 * _MOST_ITEMS]]
        pairs = [f"object {i} x {n}" for i, n in zip(numbers[::2], numbers[1::2], strict=True)]
        return ", ".join([*pairs, *_rest(self._count // 2)])

    def _numbers(self) -> str:
        shown = [self._value(field) for field in self.fields[1 : 1 + _MOST_ITEMS]]
        return ", ".join([*shown, *_rest(self._count - 1)])

    def _goodbye(self) -> str:
        reason = _cut(_plain(self.fields[1]), 200)
        started = len(self.fields) > 2 and _length(self.fields[2])
        return reason + (f" [{started} calls not started]" if started else "")

    def _items(self) -> str:
        _, stream, items = self.fields
        return f"of stream {_plain(stream)}: {self._value(items)}"

    def _credit(self) -> str:
        return f"of {_plain(self.fields[2])} for stream {_plain(self.fields[1])}"

    def _end(self) -> str:
        error = f": {self._value(self.fields[2])}" if len(self.fields) > 2 else ""
        return f"of stream {_plain(self.fields[1])}{error}"

    def _stop(self) -> str:
        return f"stream {_plain(self.fields[1])}"

    def _compressed(self) -> str:
        codec, size, data = map(_plain, self.fields[1:])
        told = f"{codec}, {len(data)} of {size} bytes"
        if self._inner or size > _MOST_UNDONE:
            return told
        inner = undone(Compression(codec), size, data)
        return f"{told}: {_Message(inner, self._values, inner=True).line()}"

    # --- values ----------------------------------------------------------------------------------

    def _value(self, data: bytes, copied: bool = False, level: int = 0) -> str:
        self._left -= 1
        if level >= _MOST_LEVELS or self._left < 0:
            return "..."
        first = data[0]
        if _is_array(data):
            texts = [self._value(part, copied, level + 1) for part in _parts(data, _MOST_ITEMS)]
            texts += _rest(_length(data))
            comma = "," if len(texts) == 1 and not copied else ""
            inside = ", ".join(texts) + comma
            return f"[{inside}]" if copied else f"({inside})"
        if 0x80 <= first <= 0x8F or first in (0xDE, 0xDF):
            return self._map(data, level)
        if _is_ext(first):
            return self._ext(data, copied, level)
        return self._scalar(data)

    def _map(self, data: bytes, level: int) -> str:
        count = _length(data)
        texts = [self._value(part, True, level + 1) for part in _parts(data, 2 * _MOST_ITEMS)]
        pairs = [f"{key}: {value}" for key, value in zip(texts[::2], texts[1::2], strict=True)]
        return "{" + ", ".join([*pairs, *_rest(count)]) + "}"

    def _scalar(self, data: bytes) -> str:
        first = data[0]
        text = 0xA0 <= first <= 0xBF or 0xD9 <= first <= 0xDB
        if not self._values and (text or first in (0xC4, 0xC5, 0xC6)):
            return f"<{'str' if text else 'bytes'} of {len(data)} bytes>"
        if not self._values and first not in (0xC0, 0xC2, 0xC3):
            return "<number>"
        if not text and first not in (0xC4, 0xC5, 0xC6):
            return repr(_plain(data))
        header = _header(first)
        cut = data[header : header + _MOST_TEXT]
        shown = repr(cut.decode("utf-8", "replace") if text else cut)
        more = len(data) - header - len(cut)
        return f"{shown}... {more} bytes more" if more else shown

    def _ext(self, data: bytes, copied: bool, level: int) -> str:
        code, payload = _payload(data)
        try:
            ext = Ext(code)
        except ValueError:
            return f"<extension value {code} of {len(payload)} bytes>"
        if not self._values and ext not in _REFERENCES:
            return f"<{ext.name.lower()} of {len(payload)} bytes>"
        if ext is Ext.COPY:
            return self._value(payload, True, level)
        if ext is Ext.TUPLE:
            return self._value(payload, False, level)
        if ext in (Ext.RAISED, Ext.EXPORT, Ext.STREAM, Ext.HOME_METHOD):
            return _PACKED[ext](self, payload)
        flat = _FLAT.get(ext)
        if flat is not None:
            return flat(payload)
        return f"{ext.name.lower()}{self._value(payload, copied, level + 1)}"

    def _exception(self, table: bytes) -> str:
        node = _parts(_parts(table)[-1])
        module, name, text = _plain(node[2]), _plain(node[3]), node[9]
        full = name if module == "builtins" else f"{module}.{name}"
        return f"{_cut(full, 200)}: {self._value(text)}"

    def _reference(self, payload: bytes) -> str:
        number, class_id, *described = _parts(payload)
        name = ""
        if described and _is_array(described[0]):
            module, qualname = _parts(described[0])[1:3]
            name = f", which is {_cut(f'{_plain(module)}.{_plain(qualname)}', 100)}"
        return f"<my object {_plain(number)} of class {_plain(class_id)}{name}>"

    def _stream(self, payload: bytes) -> str:
        number, two_ways = map(_plain, _parts(payload))
        return f"<my {'two-way ' if two_ways else ''}stream {number}>"

    def _home_method(self, payload: bytes) -> str:
        number, name = map(_plain, _parts(payload))
        return f"<your object {number}>.{_cut(name, 100)}"


_TOLD: Final[dict[Kind, Callable[[_Message], str]]] = {
    Kind.HELLO: _Message._hello,
    Kind.REQUEST: _Message._request,
    Kind.ASYNC_REQUEST: _Message._request,
    Kind.REPLY: _Message._reply,
    Kind.ERROR: _Message._error,
    Kind.RELEASE: _Message._release,
    Kind.GOODBYE: _Message._goodbye,
    Kind.ITEMS: _Message._items,
    Kind.CREDIT: _Message._credit,
    Kind.END: _Message._end,
    Kind.STOP: _Message._stop,
    Kind.COMPRESSED: _Message._compressed,
}
_PACKED: Final[dict[Ext, Callable[[_Message, bytes], str]]] = {
    Ext.RAISED: _Message._exception,
    Ext.EXPORT: _Message._reference,
    Ext.STREAM: _Message._stream,
    Ext.HOME_METHOD: _Message._home_method,
}


def _number(payload: bytes) -> int:
    return int.from_bytes(payload, "big")


def _big_int(payload: bytes) -> str:
    if len(payload) > _MOST_TEXT // 2:  # its digits would take long
        return f"<int of {8 * len(payload)} bits>"
    return str(int.from_bytes(payload, "big", signed=True))


def _text(payload: bytes) -> str:
    return repr(_cut(payload[: 4 * _MOST_TEXT].decode("utf-8", "replace"), _MOST_TEXT))


_FLAT: Final[dict[Ext, Callable[[bytes], str]]] = {
    Ext.BIG_INT: _big_int,
    Ext.COMPLEX: lambda payload: repr(complex(*struct.unpack(">dd", payload))),
    Ext.SURROGATE_STR: _text,
    Ext.SINGLETON: lambda payload: ("Ellipsis", "NotImplemented")[payload[0]],
    Ext.ZONE_INFO: lambda payload: f"zone_info({_text(payload)})",
    Ext.DECIMAL: lambda payload: f"decimal({_text(payload)})",
    Ext.UUID: lambda payload: f"uuid({payload[:16].hex()})",
    Ext.POSIX_PATH: lambda payload: f"path({_text(payload)})",
    Ext.WINDOWS_PATH: lambda payload: f"path({_text(payload)})",
    Ext.BYTEARRAY: lambda payload: f"<bytearray of {len(payload)} bytes>",
    Ext.BIG_BYTES: lambda payload: f"<bytes, {_number(payload)} of them follow>",
    Ext.BIG_STR: lambda payload: f"<str, {_number(payload)} bytes of it follow>",
    Ext.HOME: lambda payload: f"<your object {_number(payload)}>",
    Ext.PROMISE: lambda payload: f"<your answer to {_number(payload)}>",
}
_REFERENCES: Final = frozenset(
    (Ext.EXPORT, Ext.HOME, Ext.HOME_METHOD, Ext.PROMISE, Ext.STREAM, Ext.BIG_BYTES, Ext.BIG_STR)
)


# --- bytes --------------------------------------------------------------------------------------


_NIL: Final = b"\xc0"
_HEADERS: Final = {0xD9: 2, 0xDA: 3, 0xDB: 5, 0xC4: 2, 0xC5: 3, 0xC6: 5}


def _header(first: int) -> int:
    """Bytes in front of the contents of a str or of bytes."""
    return _HEADERS.get(first, 1)


def _is_array(data: bytes) -> bool:
    return 0x90 <= data[0] <= 0x9F or data[0] in (0xDC, 0xDD)


def _is_ext(first: int) -> bool:
    return 0xC7 <= first <= 0xC9 or 0xD4 <= first <= 0xD8


def _reader(data: bytes) -> tuple[msgpack.Unpacker, int]:
    """An unpacker behind the header of the array or map *data*, and how many values follow."""
    unpacker = msgpack.Unpacker(max_buffer_size=max(1, len(data)))
    unpacker.feed(data)
    if _is_array(data):
        return unpacker, unpacker.read_array_header()
    return unpacker, 2 * unpacker.read_map_header()


def _length(data: bytes) -> int:
    """The number of items of an array, or of entries of a map."""
    count = _reader(data)[1]
    return count if _is_array(data) else count // 2


def _parts(data: bytes, most: int = 256) -> list[bytes]:
    """The items of an array, or the keys and values of a map, as bytes; *most* of them."""
    return list(_cut_out(data, most))


def _cut_out(data: bytes, most: int) -> Iterator[bytes]:
    unpacker, count = _reader(data)
    start = unpacker.tell()
    for _ in range(min(count, most)):
        unpacker.skip()
        end = unpacker.tell()
        yield data[start:end]
        start = end


def _payload(data: bytes) -> tuple[int, bytes]:
    """The code and the payload of an extension value."""
    found: list[tuple[int, bytes]] = []
    msgpack.unpackb(data, ext_hook=lambda code, payload: found.append((code, payload)))
    return found[0]


def _plain(data: bytes) -> Any:
    """A number, a text, a truth value or None; anything else is told by its size."""
    if _is_array(data) or _is_ext(data[0]) or data[0] in (0xDE, 0xDF) or 0x80 <= data[0] <= 0x8F:
        return f"<{len(data)} bytes>"
    return msgpack.unpackb(data, unicode_errors="replace")


def _enum(table: Any, number: Any) -> str:
    try:
        return str(table(number).name)
    except ValueError:
        return f"operation {number!r}"


def _cut(text: Any, most: int) -> str:
    text = str(text)
    return text if len(text) <= most else f"{text[:most]}..."


def _rest(count: int) -> list[str]:
    return [f"... {count} in all"] if count > _MOST_ITEMS else []
