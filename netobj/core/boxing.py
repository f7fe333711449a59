"""What this side exports, what it imports, and the counts; objects <-> wire values.

The life of an export: the first time that an object is sent it gets the next id of its
connection and a count of one; each further time adds one. The receiver has one
:class:`Handle` for the id and adds up how often it came. When the handle dies, its count is
released in one message. Only when all that was sent has been released is the entry dropped,
so a release that crosses a new sending of the same object takes away only what the receiver
had. Ids are never used twice.

Threads. Boxing runs in any thread, unboxing only in the one that reads the connection at the
time. The guard (a re-entrant lock that the front-end hands in) protects the export table with
its counts and the import table. It is held for a few table operations, never while packing,
waiting or running user code. It must be re-entrant because a finalizer or signal handler may
box in the midst of them; each step leaves the tables true. What a message describes counts as
described only when the message has been queued (:meth:`Outgoing.commit`); until then each
message that mentions the class carries the description again, which does no harm.
"""

from __future__ import annotations

import builtins
import weakref
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, Final

import msgpack

from netobj.core import values
from netobj.core.access import Policy
from netobj.core.bounds import MOST_COPIED, SMALL, Weight, check_nesting, unchecked
from netobj.core.consts import BIG_VALUE, DEFAULT_LIMITS, ROOT_ID, Ext, Limit
from netobj.core.describe import Description, describe_class, describe_object, hidden_names
from netobj.core.flow import Flow
from netobj.core.handle import (
    Handle,
    HandleRef,
    ImportedClass,
    RemoteMethod,
    RemoteObject,
    RemoteResult,
)
from netobj.core.promises import Answer, Promise
from netobj.core.registered import USER_TYPES, is_kept, is_plain_named_tuple, named_tuple
from netobj.core.values import SCALARS
from netobj.errors import LimitExceeded, NotEncodable, ProtocolError

MAX_NUMBER: Final = 2**63
_CONTAINERS: Final = frozenset(values.CONTAINERS)
_EXPORT: Final = int(Ext.EXPORT)
_BIG_INT: Final = int(Ext.BIG_INT)
_HOME: Final = int(Ext.HOME)
_MAX_NAMED_TUPLES: Final = 1000
_LEVELS_OF_MESSAGES: Final = 6
"""Tuples around the values in a message, at the most: around those of an exception."""
_make_ext: Final = tuple.__new__  # past the checks of ExtType's own, for what is known to be right


_BUILTINS: Final = vars(builtins)
_NOTHING_YET: Final[frozenset[int]] = frozenset()


class ByValue:
    """Marks a container that travels as a copy (see :func:`netobj.core.values.pack_copy`).

    Not *deep*: the containers in it stay references.
    """

    __slots__ = ("deep", "value")

    def __init__(self, value: object, deep: bool = True) -> None:
        self.value = value
        self.deep = deep


class Contents:
    """Marks memory (a view of single bytes) that travels as ``bytes``, read when it is written."""

    __slots__ = ("view",)

    def __init__(self, view: memoryview) -> None:
        self.view = view


class Raised:
    """Marks an exception that travels as one, not as a reference to an object."""

    __slots__ = ("dumped",)

    def __init__(self, dumped: tuple[Any, ...]) -> None:
        self.dumped = dumped


class Export:
    """One object that the peer may name: the object, its id, how often it was sent."""

    __slots__ = ("count", "id", "obj")

    def __init__(self, obj: object, number: int) -> None:
        self.obj = obj
        self.id = number
        self.count = 0


class Outgoing:
    """One message on its way out: what it exports and describes, the big values behind it."""

    __slots__ = (
        "_boxing",
        "_depth",
        "described",
        "exported",
        "home",
        "kinds",
        "pinned",
        "pipes",
        "raw",
    )

    def __init__(self, boxing: Boxing, pipes: bool = False) -> None:
        self._boxing = boxing
        self._depth = 0
        self.pipes = pipes  # it is a request, which may name answers that are not there yet
        self.raw: list[bytes | memoryview] = []
        self.described: dict[int, int] = {}  # classes, and how many names each has
        self.exported: list[Export] = []
        self.kinds: dict[type, int] = {}  # of named tuples, and what making each costs the peer
        self.home: list[Handle] = []  # alive until the message is queued, in front of its release
        self.pinned: list[Any] = []  # named in the message, so not to be forgotten before it

    def box(self, value: Any) -> Any:
        """*value* as msgpack takes it; exports what goes by reference."""
        return self._boxing.box(value, self)

    def add_kind(self, kind: Any) -> None:
        """Named tuples of the class *kind* are in the message. Raises LimitExceeded."""
        self.kinds[kind] = _NEW_CLASS + len(kind._fields)
        if sum(self.kinds.values()) > MOST_MADE:
            raise LimitExceeded("a message cannot have so many kinds of named tuples")

    def nest(self, encode: Callable[[Any, values.Box], Any], value: Any) -> Any:
        """*value*, which may hold others, by *encode*; LimitExceeded where they nest too deeply."""
        if self._depth >= self._boxing.peer_nesting:
            raise LimitExceeded(
                f"values are nested more than {self._depth} levels deep, which the peer refuses"
            )
        self._depth += 1
        boxed = encode(value, self.box)
        self._depth -= 1
        return boxed

    def box_within(self, value: Any, levels: int) -> Any:
        """As :meth:`box`, of what is inside *levels* more extension values."""
        self._depth += levels
        boxed = self.box(value)
        self._depth -= levels
        return boxed

    @property
    def levels_left(self) -> int:
        """How many values may still be inside one another."""
        return self._boxing.peer_nesting - self._depth

    def commit(self) -> None:
        """The message is queued: what it described is known to the peer from here on."""
        if self.described:  # if others do so, too, at worst a class is described once more
            self._boxing.described |= frozenset(self.described)
            self._boxing._names_described += sum(self.described.values())
        if self.pinned:
            self._boxing.unpin(self.pinned)

    def roll_back(self) -> None:
        """The message will not be sent: its exports never happened."""
        self._boxing.take_back(self.exported)
        if self.pinned:
            self._boxing.unpin(self.pinned)


class Boxing:
    """The export and import tables of one side of a connection.

    *link* is the front-end's connection, which handles carry; *make_proxy* makes the proxy for
    a handle; *policy* decides how classes are described; *load_raised* builds an exception from
    its dumped form; *accept_stream* makes what stands for a stream that the peer announces.
    """

    # An object with more than 30 attributes of its own is slower at each of them (CPython's
    # SHARED_KEYS_MAX_SIZE): what many connections do without is in the class.
    _weight: Weight | None = None  # of the message being unboxed, if it is large
    _made = 0  # classes of named tuples for the message being unboxed
    _names_learnt = 0
    _names_described = 0

    def __init__(
        self,
        *,
        link: object,
        root: object,
        policy: Policy,
        make_proxy: Callable[[Handle], object],
        load_raised: Callable[[object], BaseException],
        accept_stream: Callable[[Any, Any], object],
        guard: AbstractContextManager[object],
        limits: tuple[int, ...],
    ) -> None:
        self.link = link
        self.root = root
        self.policy = policy
        self.make_proxy = make_proxy
        self.load_raised = load_raised
        self._accept_stream = accept_stream
        self.peer_has_numpy = False
        self.peer_nesting = 0
        self.set_peer_limits(DEFAULT_LIMITS)
        self.described = _NOTHING_YET
        self.exports: dict[int, Export] = {}
        self.imports: dict[int, HandleRef] = {}
        # What the peer is to be told of in front of the next message, in any order. Finalizers
        # append, whoever sends takes: references that died, kept requests whose answers are there
        # (by number), streams that nobody here has any more. An empty deque has 600 bytes.
        self.dead: list[HandleRef | int | Flow] = []
        self.answers: dict[int, Answer] = {}  # of the peer's kept requests
        self.awaited: list[Answer] = []  # by the message being unboxed
        self.big: list[values.BigValue] = []  # of the message being unboxed
        self.deferred = False  # the message being unboxed needs values.complete()
        self._limits = limits
        self._most_items = limits[Limit.ITEMS]
        self._most_levels = limits[Limit.NESTING] + _LEVELS_OF_MESSAGES
        self._guard = guard
        self._by_identity: dict[int, Export] = {}
        self._last_id = ROOT_ID
        # By id: of classes as what their objects are, and of classes and modules as themselves.
        self._classes: dict[int, tuple[weakref.ref[Any], int, Description]] = {}
        self._described: dict[int, tuple[weakref.ref[Any], int, Description]] = {}
        self._last_class = 1  # as if the root's class, which the hello describes, had been 1
        self._imported_classes: dict[int, ImportedClass] = {}
        self._named_tuples: set[type] = set()  # kept for the next ones of the same names
        self._depth = 0

    @property
    def guard(self) -> AbstractContextManager[object]:
        """The connection's guard."""
        return self._guard

    def set_peer_limits(self, limits: tuple[int, ...]) -> None:
        """What the peer accepts."""
        # Around the deepest values that can hold others there is a COPY or a RAISED, and inside
        # of them a datetime with a timezone with a timedelta.
        self.peer_nesting = limits[Limit.NESTING] - 5
        self._peer_limits = limits

    # --- out -----------------------------------------------------------------------------

    def box(self, value: Any, out: Outgoing) -> Any:
        """*value* as values.pack() takes it: a scalar, a list (meaning a tuple), an ExtType."""
        kind = type(value)
        if kind in SCALARS:
            return value
        if kind is str or kind is bytes:
            return value if len(value) < BIG_VALUE else self._box_big(value, out)
        if kind is tuple:
            if SCALARS.issuperset(map(type, value)):
                return value
            return out.nest(self._box_tuple, value)
        if kind in _CONTAINERS:
            return self.export(value, out)
        encoder = values.ENCODERS.get(kind)
        if encoder is not None:
            return encoder(value, out.box) if kind is not slice else out.nest(encoder, value)
        if issubclass(kind, RemoteObject):
            return self._box_remote(value, out)
        return self._box_object(value, kind, out)

    @staticmethod
    def _box_tuple(value: tuple[Any, ...], box: values.Box) -> list[Any]:
        return [box(item) for item in value]

    def _box_big(self, value: str | bytes, out: Outgoing) -> msgpack.ExtType:
        code = Ext.BIG_BYTES
        if isinstance(value, str):
            code = Ext.BIG_STR
            value = value.encode("utf-8", "surrogatepass")
        return self._box_raw(code, value, out)

    def _box_raw(self, code: Ext, data: bytes | memoryview, out: Outgoing) -> msgpack.ExtType:
        out.raw.append(data)
        return msgpack.ExtType(code, len(data).to_bytes(8, "big"))

    def _box_remote(self, value: RemoteObject, out: Outgoing) -> Any:
        if isinstance(value, RemoteMethod) and value.____target__ is not None:
            return out.box(value.____target__)  # it was fetched; see netref
        if isinstance(value, RemoteResult):
            return out.box(value.____promise__)
        handle = value.____handle__
        if handle.link is not self.link:
            return self.export(value, out)
        out.home.append(handle)
        number = handle.id
        if isinstance(value, RemoteMethod):
            return msgpack.ExtType(Ext.HOME_METHOD, values.pack([number, value.____name__]))
        return msgpack.ExtType(Ext.HOME, number.to_bytes(8, "big"))

    def _box_object(self, value: Any, kind: type, out: Outgoing) -> Any:
        if kind is ByValue:
            return self._box_copy(value, out)
        if kind is frozenset and values.is_hashable(value):
            return out.nest(values.encode_frozenset, value)
        if kind in USER_TYPES:
            return out.nest(values.encode_registered, value)
        if issubclass(kind, tuple) and is_plain_named_tuple(kind):
            if kind not in out.kinds:
                out.add_kind(kind)
            return out.nest(values.encode_named_tuple, value)
        if out.pipes and issubclass(kind, Promise) and value.link is self.link:
            return self._box_promise(value, out)
        if kind is Flow:
            items = [value.number, not value.ended]
            return msgpack.ExtType(Ext.STREAM, values.pack(items))
        if kind is Contents:
            return self._box_raw(Ext.BIG_BYTES, value.view, out)
        if kind is Raised:
            return msgpack.ExtType(Ext.RAISED, values.pack(out.box(value.dumped)))
        if self.peer_has_numpy and is_numpy_scalar(kind) and values.is_plain_numpy_scalar(value):
            return values.encode_numpy_scalar(value, out.box)
        return self.export(value, out)

    def _box_promise(self, promise: Any, out: Outgoing) -> Any:
        with self._guard:
            pending = not promise.done
            if pending:
                promise.pins += 1
                out.pinned.append(promise)
        if not pending:
            return out.box(promise.result())
        return msgpack.ExtType(Ext.PROMISE, promise.seq.to_bytes(8, "big"))

    def unpin(self, promises: list[Any]) -> None:
        """A message that names *promises* is queued, or will never be."""
        with self._guard:
            for promise in promises:
                promise.pins -= 1
        for promise in promises:
            if promise.done:
                self.settled(promise)

    def settled(self, promise: Any) -> None:
        """*promise* is done: the peer may forget the answer, if nothing under way names it."""
        with self._guard:
            if promise.pins or promise.forgotten:
                return
            promise.forgotten = True
        self.dead.append(promise.seq)

    def forget(self, seq: Any) -> Answer:
        """The peer has the answer to its kept request *seq*. Raises ProtocolError.

        What is returned is to be dropped as what :meth:`release` returns.
        """
        answer = self.answers.pop(seq, None) if type(seq) is int else None
        if answer is None:
            raise ProtocolError("the peer forgot an answer that was not kept for it")
        return answer

    def _box_copy(self, marked: ByValue, out: Outgoing) -> Any:
        value: Any = marked.value
        kind = type(value)
        if kind not in values.CONTAINERS:
            return self.box(value, out)
        if not marked.deep:
            if kind is dict:
                value = {key: self._shallow(item, out) for key, item in value.items()}
            elif kind is list:
                value = [self._shallow(item, out) for item in value]
        return msgpack.ExtType(Ext.COPY, values.pack_copy(value, out.box_within, out.levels_left))

    def _shallow(self, item: Any, out: Outgoing) -> Any:
        if type(item) is tuple:
            return tuple([self._shallow(part, out) for part in item])
        return self.export(item, out) if type(item) in values.CONTAINERS else item

    def export(self, obj: object, out: Outgoing) -> msgpack.ExtType:
        """A reference to *obj*, counted once more."""
        class_id, description = self.class_of(obj)
        if obj is _BUILTINS and not self.policy.opens_all:  # what eval() puts into its globals
            raise NotEncodable("the dictionary of all builtins is not handed out to peers")
        with self._guard:
            export = self._by_identity.get(id(obj))
            if export is None:
                if len(self.exports) >= self._limits[Limit.REFERENCES]:
                    raise LimitExceeded(
                        f"the peer holds references to {len(self.exports)} objects here, which is "
                        "the most: see the limit 'references'"
                    )
                self._last_id += 1
                export = Export(obj, self._last_id)
                self.exports[export.id] = self._by_identity[id(obj)] = export
            export.count += 1
        out.exported.append(export)
        items: list[Any] = [export.id, class_id]
        if class_id not in self.described and class_id not in out.described:
            self._check_described(out, description)
            out.described[class_id] = description.names
            items.append(description.to_wire())
        hidden = hidden_names(obj, description, self.policy.exposed_prefix)
        if hidden:
            items += [None] * (3 - len(items)) + [hidden]
        return _make_ext(msgpack.ExtType, (_EXPORT, values.pack(items)))

    def _check_described(self, out: Outgoing, description: Description) -> None:
        classes, names = self._peer_limits[Limit.CLASSES], self._peer_limits[Limit.NAMES]
        known = self._names_described + sum(out.described.values())
        if len(self.described) + len(out.described) >= classes or known + description.names > names:
            raise LimitExceeded(
                f"the peer has been told of {len(self.described)} classes with {known} names on "
                f"this connection, and remembers {classes} with {names} at most: see its limits"
            )

    def class_of(self, obj: object) -> tuple[int, Description]:
        """The number and the description of what *obj* is described by."""
        subject: Any = type(obj)
        table = self._classes
        known = table.get(id(subject))
        if known is not None and known[0]() is subject:  # as most often
            return known[1], known[2]
        if issubclass(subject, (type, ModuleType)):
            subject, table = obj, self._described
            known = table.get(id(subject))
            if known is not None and known[0]() is subject:
                return known[1], known[2]
        description = self.describe(obj)
        with self._guard:
            self._last_class += 1
            number = self._last_class
        table[id(subject)] = (weakref.ref(subject), number, description)
        return number, description

    def describe(self, obj: object) -> Description:
        """How *obj* is described."""
        if issubclass(type(obj), (type, ModuleType)):
            return describe_object(obj, self.policy)  # type: ignore[arg-type]
        return describe_class(type(obj), self.policy)

    def release(self, released: Iterable[tuple[int, int]]) -> list[object]:
        """Take counts away; returns the objects that the peer holds no longer.

        The caller drops them outside of every lock, since their finalizers may run. Raises
        ProtocolError for an id that was never given or a count that was not there.
        """
        dropped: list[object] = []
        with self._guard:
            for number, count in released:
                export = self.exports.get(number)
                if export is None or not 0 < count <= export.count:
                    held = "nothing" if export is None else f"{export.count}"
                    raise ProtocolError(
                        f"the peer released {count} of the reference {number}, of which it "
                        f"holds {held}"
                    )
                export.count -= count
                if not export.count:
                    dropped.append(self._drop(export))
        return dropped

    def take_back(self, exported: list[Export]) -> None:
        """Undo one count of each of *exported*, which the peer never saw."""
        dropped: list[object] = []
        with self._guard:
            for export in exported:
                if self.exports.get(export.id) is export:  # else the connection has ended
                    export.count -= 1
                    if not export.count:
                        dropped.append(self._drop(export))

    def _drop(self, export: Export) -> object:
        del self.exports[export.id]
        del self._by_identity[id(export.obj)]
        return export.obj

    def discard(self) -> list[object]:
        """Empty the tables, at the end; returns what was in them, to be dropped unlocked."""
        with self._guard:
            dropped: list[object] = [export.obj for export in self.exports.values()]
            dropped += self.answers.values()
            self.exports.clear()
            self._by_identity.clear()
            self.imports.clear()
            self.answers.clear()
            dropped += self.awaited  # of the last message, as no other follows
            self.awaited = []
        return dropped

    def take_dead(self, most: int) -> tuple[list[int], list[int], list[Flow]]:
        """What the peer is to be told of, at most *most* of it: see :attr:`dead`.

        Releases (id, count, id, count ...), numbers of requests, streams.
        """
        flat: list[int] = []
        answered: list[int] = []
        flows: list[Flow] = []
        imports = self.imports
        with self._guard:
            while self.dead and most:
                most -= 1
                try:
                    dead = self.dead.pop()
                except IndexError:  # the connection has ended just now
                    break
                kind = type(dead)
                if kind is HandleRef:
                    number = dead.id  # type: ignore[union-attr]
                    if imports.get(number) is dead:
                        del imports[number]
                    flat += (number, dead.count)  # type: ignore[union-attr]
                elif kind is int:
                    answered.append(dead)  # type: ignore[arg-type]
                else:
                    flows.append(dead)  # type: ignore[arg-type]
        return flat, answered, flows

    # --- in ------------------------------------------------------------------------------

    def unbox(self, body: bytes) -> tuple[Any, ...]:
        """The message in *body*; every effect on the tables has then happened.

        :attr:`big` holds the big values whose bytes follow, :attr:`deferred` says whether
        values.complete() must run. Raises ProtocolError.
        """
        self._depth = 0
        if self.deferred:  # else what is reset here was not touched
            self.big = []
            self.awaited = []
            self.deferred = False
        if len(body) > SMALL:
            message: Any = self._unpack_large(body)
        else:
            try:
                message = msgpack.unpackb(
                    body,
                    use_list=False,
                    ext_hook=self._ext,
                    object_pairs_hook=values.refuse_map,
                    strict_map_key=False,
                    max_array_len=SMALL,
                    max_map_len=0,
                )
            except values.UNPACKING as exc:
                raise values.malformed(exc) from exc
        if type(message) is not tuple or not message:
            raise ProtocolError("a message is an array that begins with its kind")
        if len(body) > self._most_levels:  # else it has fewer, since each takes a byte
            check_nesting(message, self._most_levels)
        return message

    def _unpack_large(self, body: bytes) -> Any:
        if self._made:
            self._made = 0
        if len(body) <= unchecked(self._limits):
            return self._unpack_plain(body)
        self._weight = Weight(self._most_items)
        try:
            return self._unpack_plain(body)
        finally:
            self._weight = None

    def _ext_weighed(self, code: int, data: bytes) -> Any:
        assert self._weight is not None
        self._weight.enter(code, data)
        value = self._ext(code, data)
        self._weight.leave(data)
        return value

    def _ext_in_copy_weighed(self, code: int, data: bytes) -> Any:
        assert self._weight is not None
        self._weight.enter(code, data)
        value = self._ext_in_copy(code, data)
        self._weight.leave(data)
        return value

    def _ext(self, code: int, data: bytes) -> Any:
        if code == _EXPORT:
            return self.make_proxy(self._import(data))
        if code == _HOME:
            return self.home(_number(data))
        leaf = values.LEAVES.get(code)
        if leaf is not None:
            return leaf(data, self._unpack_inner)
        if code == _BIG_INT:
            return values.decode_integer(data, self._limits[Limit.INTEGER])
        return self._nested(code, data, self._unpack_inner)

    def _ext_in_copy(self, code: int, data: bytes) -> Any:
        if code in values.COPIED_CODES:
            return self._nested(code, data, self._unpack_copied)
        return self._ext(code, data)

    def _unpack_plain(self, data: bytes) -> Any:
        weight = self._weight
        if weight is None:
            return values.unpack_message(data, self._ext, self._most_items)
        return values.unpack_message(data, self._ext_weighed, self._most_items, weight.count)

    def _unpack_inner(self, data: bytes) -> Any:
        """As :meth:`_unpack_plain`, of what is in an extension value."""
        value = self._unpack_plain(data)
        if len(data) > self._most_levels and type(value) is tuple:
            check_nesting(value, self._most_levels)
        return value

    def _unpack_copied(self, data: bytes) -> Any:
        weight = self._weight
        most = (self._most_items, self._limits[Limit.KEYS])
        if weight is None:
            return values.unpack_copy(data, self._ext_in_copy, *most)
        return values.unpack_copy(data, self._ext_in_copy_weighed, *most, weight.count)

    def unpack_blob(self, blob: bytes) -> Any:
        """A copy that travelled as bytes; it holds no references. Raises ProtocolError."""
        most_keys = len(blob)  # it was asked for, and runs where it is waited for
        weight = Weight(MOST_IN_COPY, MOST_COPIED + 4 * len(blob))
        hook = _blob_hook(self._limits[Limit.NESTING], self._limits[Limit.INTEGER], weight)
        return values.unpack_copy(blob, hook, len(blob), most_keys, weight.count)

    def _nested(self, code: int, data: bytes, unpack: values.Unpack) -> Any:
        self._depth += 1
        if self._depth > self._limits[Limit.NESTING]:
            raise ProtocolError("the message is nested too deeply")
        value = self._decode(code, data, unpack)
        self._depth -= 1
        if type(value) is values.Deferred:
            self.deferred = True
        return value

    def _decode(self, code: int, data: bytes, unpack: values.Unpack) -> Any:
        decoder = values.DECODERS.get(code)
        if decoder is not None:
            return decoder(data, unpack)
        if code in values.HASHING:
            return values.build_members(code, unpack(data), self._limits[Limit.KEYS])
        special = _DECODERS.get(code)
        if special is None:
            raise ProtocolError(f"the extension code {code} is not one of the protocol's")
        return special(self, data)

    def _decode_named_tuple(self, data: bytes) -> Any:
        name, fields, items = self._unpack_inner(data)
        if not is_kept(name, fields):
            self._made += _NEW_CLASS + len(fields)
            if self._made > MOST_MADE:
                raise ProtocolError("a message has too many kinds of named tuples")
        value = named_tuple(name, fields, items)
        if len(self._named_tuples) < _MAX_NAMED_TUPLES:
            self._named_tuples.add(type(value))
        return value

    def _decode_copy(self, data: bytes) -> Any:
        return self._unpack_copied(data)

    def _decode_big(self, data: bytes) -> values.BigValue:
        size = _number(data)
        if size + sum(value.size for value in self.big) > self._limits[Limit.RAW]:
            raise ProtocolError(
                f"the peer announced a value of {size} bytes; this side accepts "
                f"{self._limits[Limit.RAW]} in a message"
            )
        if len(self.big) >= MOST_BIG:
            raise ProtocolError(f"a message has at most {MOST_BIG} big values")
        value = values.BigValue(size)
        self.big.append(value)
        self.deferred = True
        return value

    def _decode_big_str(self, data: bytes) -> values.BigValue:
        value = self._decode_big(data)
        value.is_text = True
        return value

    def _decode_home_method(self, data: bytes) -> values.Deferred:
        number, name = self._unpack_inner(data)
        return values.Deferred(self.policy.getattr, (self.home(number), name))

    def _decode_raised(self, data: bytes) -> values.Deferred:
        return values.Deferred(self._load_completed, (self._unpack_inner(data),))

    def _decode_promise(self, data: bytes) -> values.Deferred:
        answer = self.answers.get(_number(data))
        if answer is None:
            raise ProtocolError("the peer named the answer to a request that it did not keep")
        self.awaited.append(answer)
        return values.Deferred(answer.result, ())

    def _decode_stream(self, data: bytes) -> object:
        fields = self._unpack_inner(data)
        if type(fields) is not tuple or len(fields) != 2:
            raise ProtocolError("a stream is announced by its number and its ways")
        return self._accept_stream(*fields)

    def _load_completed(self, dumped: Any) -> BaseException:
        return self.load_raised(values.complete(dumped))

    def home(self, number: Any) -> Any:
        """The object of this side that the peer names by *number*; ProtocolError if none."""
        if type(number) is not int or not 0 <= number < MAX_NUMBER:
            raise ProtocolError("a reference is named by a number of 63 bits")
        if number == ROOT_ID:
            return self.root
        export = self.exports.get(number)
        if export is None:
            raise ProtocolError(f"the peer named the reference {number}, which it does not hold")
        return export.obj

    def _import(self, data: bytes) -> Handle:
        number, imported, hidden = self._export_fields(data)
        with self._guard:
            ref = self.imports.get(number)
            handle = None if ref is None else ref()
            if ref is not None and handle is not None:
                ref.count += 1
                return handle
            handle = Handle(self.link, number, imported)
            if hidden:
                handle.hidden = frozenset(hidden)
            self.imports[number] = HandleRef(handle, self.dead.append)
            return handle

    def _export_fields(self, data: bytes) -> tuple[int, ImportedClass, tuple[str, ...]]:
        weight = self._weight
        count = None if weight is None else weight.count
        items = values.unpack_message(data, _ext_in_reference, self._most_items, count)
        number, class_id = items[:2]
        if (
            type(number) is not int
            or not ROOT_ID < number < MAX_NUMBER
            or type(class_id) is not int
            or not 0 <= class_id < MAX_NUMBER
        ):
            raise ProtocolError("a reference carries the numbers of an object and of a class")
        hidden = ()
        if len(items) > 2:
            if items[2] is not None:
                if weight is not None:
                    weight.describe(items[2])
                self.learn_class(class_id, Description.from_wire(items[2]))
            hidden = items[3] if len(items) > 3 else ()
            if type(hidden) is not tuple or not _TEXT.issuperset(map(type, hidden)):
                raise ProtocolError("hidden names are a tuple of str")
        imported = self._imported_classes.get(class_id)
        if imported is None:
            raise ProtocolError(f"the class {class_id} was used before it was described")
        return number, imported, hidden

    def learn_class(self, number: int, description: Description) -> None:
        """Remember a class that the peer has described; the first description stays.

        Raises ProtocolError where it is one too many, or has too many names.
        """
        if number in self._imported_classes:
            return
        self._names_learnt += description.names
        classes, names = self._limits[Limit.CLASSES], self._limits[Limit.NAMES]
        if len(self._imported_classes) >= classes or self._names_learnt > names:
            raise ProtocolError(
                f"the peer described more than {classes} classes, or more than {names} names in "
                "them"
            )
        self._imported_classes[number] = ImportedClass(description)


_DECODERS: Final[dict[int, Callable[[Boxing, bytes], Any]]] = {
    Ext.NAMED_TUPLE: Boxing._decode_named_tuple,
    Ext.COPY: Boxing._decode_copy,
    Ext.BIG_BYTES: Boxing._decode_big,
    Ext.BIG_STR: Boxing._decode_big_str,
    Ext.HOME_METHOD: Boxing._decode_home_method,
    Ext.RAISED: Boxing._decode_raised,
    Ext.PROMISE: Boxing._decode_promise,
    Ext.STREAM: Boxing._decode_stream,
}


_TEXT: Final = frozenset((str,))


def _number(data: bytes) -> int:
    if len(data) != 8:
        raise ProtocolError("an id or a size is 8 bytes long")
    return int.from_bytes(data, "big")


def _ext_in_reference(code: int, data: bytes) -> Any:
    if code != Ext.SURROGATE_STR:
        raise ProtocolError(f"the extension code {code} cannot occur in a reference")
    return values.DECODERS[code](data, bytes)


def _blob_hook(levels_left: int, most_bits: int, weight: Weight) -> values.ExtHook:
    def unpack(data: bytes) -> Any:
        hook = _blob_hook(levels_left - 1, most_bits, weight)
        return values.unpack_copy(data, hook, len(data), len(data), weight.count)

    def ext(code: int, data: bytes) -> Any:
        if code == _BIG_INT:
            return values.decode_integer(data, most_bits)
        decoder = values.DECODERS.get(code)
        if decoder is None and code not in values.HASHING:
            raise ProtocolError(f"the extension code {code} cannot occur in a copied value")
        if not levels_left:
            raise ProtocolError("a copied value is nested too deeply")
        weight.enter(code, data)
        if decoder is None:
            value = values.build_members(code, unpack(data), len(data))
        else:
            value = decoder(data, unpack)
        weight.leave(data)
        return value

    return ext


MOST_IN_COPY: Final = 16_000_000
"""Items in what ``copy_of`` fetches, which is no message."""
MOST_BIG: Final = 1000
"""Big values behind one message."""
MOST_MADE: Final = 6000
_NEW_CLASS: Final = 10
"""A class of named tuples is made in the time of so many of its fields, and takes 10 us for each;
so all that one message can ask for take less than 100 ms."""


def is_numpy_scalar(kind: type) -> bool:
    """Whether *kind* is one of numpy's scalar types, without importing numpy."""
    if getattr(kind, "__module__", None) != "numpy":  # a class may have been made without one
        return False
    return any(base.__module__ == "numpy" and base.__name__ == "generic" for base in kind.__mro__)


def is_numpy_array(kind: type) -> bool:
    """Whether *kind* is numpy's own class of arrays, without importing numpy."""
    return getattr(kind, "__module__", None) == "numpy" and kind.__name__ == "ndarray"
