"""The tables of the wire: every number that two sides must agree on.

``docs/protocol.rst`` tells the same tables in prose (who may send what, when, and what it
does to the lifetime of an id); a test holds the two and the golden vectors together.

A connection begins with :data:`PREAMBLE` from both sides; after it come frames::

    offset  size  what
    0       4     big-endian: bit 31 set = raw frame, bits 0-30 = length of the body in bytes
    4       n     the body: one msgpack array [kind, ...] or, in a raw frame, bare bytes
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

VERSION: Final = "0.1.0"
"""The version of the package; the protocol's own are in PREAMBLE and MINOR_VERSION."""

PREAMBLE: Final = b"netobj 1\r\n"
"""The first bytes of each side: name, major version, end of line (so that a person reads it)."""
LOGIN_PREAMBLE: Final = b"netobj login 1\r\n"
"""What a server begins with that asks who connects; what follows is in netobj/auth/messages.py."""
PSK_PREAMBLE: Final = b"netobj psk 1\r\n"
"""What each side begins with that has a pre-shared key; the rest is in netobj/auth/sealing.py."""

ONEWAY_FEATURE: Final = "oneway"
"""The feature of a hello whose sender takes requests without an answer."""

SILENT: Final = ", without a word of netobj: perhaps it is something else, or wants TLS"
"""What a side adds that sees the other go before its hello."""

CLOSED_HERE: Final = "the connection was closed on this side"
"""Why a connection has ended that was closed by the program that asks."""

MINOR_VERSION: Final = 0

HEADER_SIZE: Final = 4
RAW_FLAG: Final = 0x8000_0000
LENGTH_MASK: Final = 0x7FFF_FFFF

ROOT_ID: Final = 0
"""The id under which each side knows the other's root; never counted, never released."""


class Kind(IntEnum):
    """The first item of each message. Fields in brackets may be left out at the end."""

    HELLO = 0  # minor, process, session id or None, limits, features, root description
    REQUEST = 1  # seq, chain, op, target, path, args, [kwnames, time left, metadata, kept]
    ASYNC_REQUEST = 2  # the same, with a lane for the chain; always kept
    REPLY = 3  # seq, value
    ERROR = 4  # seq, exception
    RELEASE = 5  # id, count, id, count, ...
    CANCEL = 6  # seq, interrupt
    PING = 7  # token
    PONG = 8  # token
    GOODBYE = 9  # reason, [seq of a call that was not started, ...]
    ACK = 10  # reserved for sessions that outlive their transport
    FORGET = 11  # seq, ...: kept requests whose answers the sender has
    ITEMS = 12  # stream, [item, ...]
    CREDIT = 13  # stream, items that may be sent beyond those granted before
    END = 14  # stream, [exception]: the sender sends no more items
    STOP = 15  # stream: the sender takes no more items
    ONEWAY = 16  # as ASYNC_REQUEST, never answered and never kept; to who says that it knows it
    DONE = 17  # requests without an answer that are over, their bytes (of those with many)
    COMPRESSED = 18  # codec, size, data: another message; to who says that it knows the codec


class Op(IntEnum):
    """What a request asks of its target, after the path has been walked."""

    GET = 0  # the value at the path
    CALL = 1  # the value at the path, called with the arguments
    SET = 2  # args = (name, value): set an attribute of the value at the path
    DELETE = 3  # args = (name,)
    SPECIAL = 4  # args = (index in SPECIALS, operands ...): the type's special method
    DIR = 5  # the names that dir() shows, as the policy sees them
    DOCUMENT = 6  # (docstring, signature), for help and completion
    COPY = 7  # args = (library, ...): the value as a copy, packed where it holds no reference
    BUFFER = 8  # the bytes of an object with a buffer
    FETCH = 9  # args = (count, no more than is ready, [begin]): next items, "exhausted", [iterator]
    INSTANCE_CHECK = 10  # args = (object,): isinstance(object, target)
    SUBCLASS_CHECK = 11  # args = (cls,): issubclass(cls, target)
    PICKLE = 12  # args = (protocol,): the pickled bytes; only with allow_pickle
    PING = 13  # args = (data,): the data, by way of the dispatcher
    DECLARED = 14  # what its author has declared of the value at the path: names


OPEN: Final = "open"
"""The name under which a method opens a two-way stream to itself; meant by a path of steps."""


class Ext(IntEnum):
    """msgpack extension codes of values (0 to 63) and of references (64 to 127)."""

    BIG_INT = 0  # two's complement, big-endian, no more bytes than needed
    COMPLEX = 1  # two big-endian float64
    SURROGATE_STR = 2  # UTF-8 with surrogatepass: a str that strict UTF-8 cannot hold
    SINGLETON = 3  # one byte: 0 Ellipsis, 1 NotImplemented
    SLICE = 4  # [start, stop, step]
    RANGE = 5  # [start, stop, step]
    FROZENSET = 6  # [item, ...]
    NAMED_TUPLE = 7  # [type name, [field, ...], [item, ...]]
    DATE = 8  # [year, month, day]
    TIME = 9  # [hour, minute, second, microsecond, fold, tz]
    DATETIME = 10  # [year, month, day, hour, minute, second, microsecond, fold, tz]
    TIMEDELTA = 11  # [days, seconds, microseconds]
    TIMEZONE = 12  # [offset as TIMEDELTA, name or None]
    ZONE_INFO = 13  # the key, UTF-8
    DECIMAL = 14  # its str, ASCII
    FRACTION = 15  # [numerator, denominator]
    UUID = 16  # 16 bytes
    POSIX_PATH = 17  # its str
    WINDOWS_PATH = 18  # its str
    NUMPY_SCALAR = 19  # [dtype.str, bytes]
    USER = 20  # [registered name, state]
    COPY = 21  # containers by value: in here an array is a list and a map a dict
    TUPLE = 22  # inside COPY: [item, ...]
    SET = 23  # inside COPY: [item, ...]
    BYTEARRAY = 24  # inside COPY: the bytes
    BIG_BYTES = 25  # length: the bytes follow in raw frames
    RAISED = 27  # an exception, as in ERROR
    BIG_STR = 26  # length: the UTF-8 follows in raw frames

    EXPORT = 64  # [id, class id, (description, hidden names)]: the sender's object
    HOME = 65  # id: an object of the receiver's, coming home
    HOME_METHOD = 66  # [id, name]: a bound method of an object of the receiver's
    PROMISE = 67  # seq: what the receiver will answer to a kept request of the sender's
    STREAM = 68  # [number, two ways]: a new stream of the sender's


_BINARY = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or"

SPECIALS: Final[tuple[str, ...]] = tuple(
    f"__{name}__"
    for name in (
        *("repr str format bytes hash bool dir".split()),
        *("lt le eq ne gt ge".split()),
        *("call len length_hint getitem setitem delitem contains missing".split()),
        *("iter next reversed enter exit".split()),
        *("await aiter anext aenter aexit".split()),
        *("int float complex index round trunc floor ceil neg pos abs invert".split()),
        *_BINARY.split(),
        *("r" + name for name in _BINARY.split()),
        *("i" + name for name in _BINARY.split() if name != "divmod"),
        *("fspath copy deepcopy array".split()),
    )
)
"""The closed table of special methods that a proxy's type may carry; the index is the wire's.

Left out on purpose: ``__del__`` (finalizers would wait), ``__get__`` and ``__set_name__`` (a
proxy in a class body is a value), ``__reduce_ex__`` (pickling has a switch of its own) and
``__array_ufunc__`` (numpy would hand local arrays over without being asked).
"""

SPECIAL_INDEX: Final[dict[str, int]] = {name: index for index, name in enumerate(SPECIALS)}

BINARY_SPECIALS: Final = frozenset(f"__{name}__" for name in _BINARY.split())
REFLECTED_SPECIALS: Final = frozenset(f"__r{name}__" for name in _BINARY.split())
IN_PLACE_SPECIALS: Final = frozenset(f"__i{n}__" for n in _BINARY.split() if n != "divmod")
COMPARE_SPECIALS: Final = frozenset("__lt__ __le__ __eq__ __ne__ __gt__ __ge__".split())


class Described(IntEnum):
    """What a class description describes."""

    INSTANCE = 0  # the objects of one class
    CLASS = 1  # one class object
    MODULE = 2  # one module


class Limit(IntEnum):
    """What one side takes from the other: bytes, counts, levels.

    The hello announces the first :data:`ANNOUNCED`, by their place in its array. The names in
    lower case are those of the setting ``limits``.
    """

    FRAME = 0  # bytes of one message frame
    RAW = 1  # bytes of the big values of one message
    NESTING = 2  # extension values inside one another
    ITEMS = 3  # items of one message, those in its tuples included; an extension value is 4
    REQUESTS = 4  # requests in flight, chains excepted
    DEPTH = 5  # calls of one chain inside one another
    INTEGER = 6  # bits of one integer
    KEYS = 7  # entries of one set or dict whose keys are neither str nor bytes
    CLASSES = 8  # classes that one side has described
    NAMES = 9  # names in all these descriptions
    REQUEST_BYTES = 10  # bytes of the requests in flight, above which no other begins
    GREETING = 11  # bytes of one frame before the hello has come
    CHUNK = 12  # items of an iterator that one request fetches
    QUEUED = 13  # bytes that wait to be written, above which nothing new begins
    REFERENCES = 14  # objects here to which the other side holds references


ANNOUNCED: Final = 11
"""How many limits a hello announces; the others concern only who has them."""

DEFAULT_LIMITS: Final[tuple[int, ...]] = (
    16 * 1024 * 1024,
    1024 * 1024 * 1024,
    64,
    250_000,
    1024,
    200,
    1024 * 1024,
    65_536,
    10_000,
    250_000,
    32 * 1024 * 1024,
    64 * 1024,
    1000,
    8 * 1024 * 1024,
    1_000_000,
)

EXT_WEIGHT: Final = 4
"""Items as which an extension value counts."""
BIG_VALUE: Final = 64 * 1024
"""bytes and str from this length on (in bytes, characters) travel as raw frames."""
