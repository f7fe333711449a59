"""References: remote objects on an event loop, as paths that are sent when they are awaited.

``ref.a["b"].c(1)`` builds a tree of nodes and does no I/O; ``await`` sends it, as one request for
each call in it, all of them at once. A :class:`Reference` stands for an object that the peer has
sent, a :class:`Path` for what attributes and items lead to from there, a :class:`Call` for the
result of a call. Attribute names belong to the remote object, so what these classes do is in
functions, and in names with four underscores.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import AsyncIterator, Generator
from types import TracebackType
from typing import Any, Final

from netobj.aio.outcome import Outcome
from netobj.core.consts import (
    BINARY_SPECIALS,
    IN_PLACE_SPECIALS,
    REFLECTED_SPECIALS,
    SPECIAL_INDEX,
    Op,
)
from netobj.core.ends import AsyncDuplex, AsyncIncoming
from netobj.core.fetching import Chunks
from netobj.core.handle import Handle, RemoteObject, RemotePath
from netobj.core.specials import is_container
from netobj.errors import NotEncodable

_GET: Final = int(Op.GET)
_CALL: Final = int(Op.CALL)
_SPECIAL: Final = int(Op.SPECIAL)
_PROBED: Final = ("_repr_", "_ipython_", "_asyncio_", "_is_coroutine", "_pytest")
"""Names that tools look for on any object, without meaning the remote one."""

Step = str | tuple[Any]


def _is_dunder(name: str) -> bool:
    return name[:2] == "__" and name[-2:] == "__"


class Node(RemotePath):
    """What stands for something remote; see the module's docstring."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name[:1] == "_" and (_is_dunder(name) or name.startswith(_PROBED)):
            raise AttributeError(
                f"{name} is not looked up on a remote object: netobj.aio.op.getattr asks for it"
            )
        return path(self, name)

    def __getitem__(self, key: Any) -> Any:
        return path(self, (key,))

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return new_call(self, _CALL, args, kwargs)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"{name} = ... would need I/O: await netobj.aio.op.setattr(ref, {name!r}, value)"
        )

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"del would need I/O: await netobj.aio.op.delattr(ref, {name!r})")

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(
            "ref[...] = ... would need I/O: await netobj.aio.op.setitem(ref, key, value)"
        )

    def __delitem__(self, key: Any) -> None:
        raise TypeError("del ref[...] would need I/O: await netobj.aio.op.delitem(ref, key)")

    def __bool__(self) -> bool:
        raise TypeError(
            f"whether {self!r} is true needs I/O: await it, or await netobj.aio.op.truth(ref); "
            "compare with `is None` to know whether there is one"
        )

    def __len__(self) -> int:
        raise TypeError("len() would need I/O: await netobj.aio.op.len(ref)")

    def __contains__(self, item: Any) -> bool:
        raise TypeError("`in` would need I/O: await netobj.aio.op.contains(ref, item)")

    def __iter__(self) -> Any:
        raise TypeError("a remote object is iterated with `async for`, which waits for the items")

    def __aiter__(self) -> AsyncIterator[Any]:
        return Iteration(self)

    async def __aenter__(self) -> Any:
        return await enter(self)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Any:
        return await leave(self, exc)

    def __dir__(self) -> list[str]:
        return []

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            f"{self!r} is neither copied nor pickled: await netobj.aio.copy_of(ref) copies plain "
            "data"
        )


def _refused(name: str) -> Any:
    function = name.strip("_")
    plain = function[1:] if name in REFLECTED_SPECIALS else function
    plain = f"{plain}_" if plain in ("and", "or") else plain

    def refuse(self: Any, *operands: Any) -> Any:
        raise TypeError(f"{name} of {self!r} would need I/O: await netobj.aio.op.{plain}(...)")

    refuse.__name__ = name
    return refuse


_ORDER: Final = ("__lt__", "__le__", "__gt__", "__ge__")
for _name in (*BINARY_SPECIALS, *REFLECTED_SPECIALS, *IN_PLACE_SPECIALS, *_ORDER):
    setattr(Node, _name, _refused(_name))


class Reference(Node):
    """An object of the peer's. There is one for each object, so ``is`` and ``==`` mean identity."""

    __slots__ = ("__weakref__",)

    def __await__(self) -> Generator[Any, None, Any]:
        if "__await__" in self.____handle__.imported.description.specials:
            return special(self, "__await__").__await__()
        return _at_once(self)

    def __repr__(self) -> str:
        handle = self.____handle__
        return (
            f"<netobj.aio.Reference to a {handle.imported.description.full_name}, id {handle.id}>"
        )

    def __dir__(self) -> list[str]:
        methods = self.____handle__.imported.description.methods
        return sorted({name.partition(".")[0] for name in methods})


def _at_once(value: Any) -> Generator[Any, None, Any]:
    yield from ()
    return value


class _Unsent(Node):
    """What is not a reference yet, so that it cannot be boxed."""

    __slots__ = ()

    @property
    def ____handle__(self) -> Handle:  # type: ignore[override]
        raise NotEncodable(
            f"{self!r} cannot travel inside of another value: await it first, or pass it as an "
            "argument of its own"
        )

    def __eq__(self, other: object) -> bool:
        if other is self:
            return True
        raise TypeError(f"comparing {self!r} needs I/O: await it, or await netobj.aio.op.eq(a, b)")

    def __hash__(self) -> int:
        return id(self)


class Path(_Unsent):
    """What steps (names; one-tuples for items) lead to from a base. Each ``await`` reads it."""

    __slots__ = ("____entered__", "____place__")
    ____place__: Place
    ____entered__: Any

    def __await__(self) -> Generator[Any, None, Any]:
        return new_call(self, _GET, (), {}).__await__()

    def __repr__(self) -> str:
        return f"<netobj.aio.Path {_shown(*self.____place__)}>"


class Call(_Unsent):
    """The result of a call: sent once, however often it is awaited or built upon."""

    __slots__ = (
        "____built__",
        "____entered__",
        "____outcome__",
        "____simple__",
        "____what__",
        "__weakref__",
    )
    ____what__: What
    ____simple__: bool  # neither its base nor an argument is a call or a path; nor does it throw
    ____built__: bool  # another node is built upon it, so somebody means it
    ____outcome__: Outcome | None  # None: it is not sent
    ____entered__: Any

    def __await__(self) -> Generator[Any, None, Any]:
        base = self.____what__[0]
        link = base.____handle__.link if type(base) is Reference else link_of(base)
        return link.answer(self)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        outcome = self.____outcome__
        state = "not sent" if outcome is None else "done" if outcome.done else "under way"
        return f"<netobj.aio.Call {_shown(*self.____what__[:2])}(...), {state}>"

    def __del__(self) -> None:
        outcome = self.____outcome__
        if outcome is not None:
            if not outcome.done:
                outcome.link.abandon_soon(outcome)
        elif not self.____built__ and self.____what__[2] != _GET:
            warnings.warn(
                f"the call {_shown(*self.____what__[:2])}(...) was never awaited, "
                "so it was not sent",
                RuntimeWarning,
                stacklevel=2,
                source=self,
            )


Place = tuple[Reference | Call, tuple[Step, ...]]
"""A base, and the steps from there."""
What = tuple[Reference | Call, tuple[Step, ...], int, tuple[Any, ...], dict[str, Any]]
"""Of a call: base, steps, operation, arguments."""

_new = object.__new__
# The slots themselves: to set an attribute of a node means to set a remote one.
_set_handle = RemoteObject.__dict__["____handle__"].__set__
_set_place = Path.__dict__["____place__"].__set__
_set_what = Call.__dict__["____what__"].__set__
_set_simple = Call.__dict__["____simple__"].__set__
_set_built = Call.__dict__["____built__"].__set__
_set_outcome = Call.__dict__["____outcome__"].__set__
_THROWING: Final = ("throw", "athrow")


def place(node: Any) -> Place:
    """The base of *node* and the steps from there."""
    if type(node) is Path:
        return node.____place__
    return node, ()


def path(node: Any, step: Step) -> Path:
    """What *step* leads to from *node*."""
    found = _new(Path)
    if type(node) is Path:
        base, steps = node.____place__
        _set_place(found, (base, (*steps, step)))
    else:
        if type(node) is Call:
            _set_built(node, True)
        _set_place(found, (node, (step,)))
    return found


def new_call(node: Any, op: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """The call of what *node* stands for, or another operation on it."""
    base, steps = node.____place__ if type(node) is Path else (node, ())
    simple = not steps or steps[-1] not in _THROWING
    if type(base) is Call:
        _set_built(base, True)
        simple = False
    for arg in (*args, *kwargs.values()) if kwargs else args:
        kind = type(arg)
        if kind is Call or kind is Path:
            simple = False
            if kind is Call:
                _set_built(arg, True)
    call = _new(Call)
    _set_what(call, (base, steps, op, args, kwargs))
    _set_simple(call, simple)
    _set_built(call, False)
    _set_outcome(call, None)
    return call


def put(call: Call, what: What, outcome: Outcome | None) -> None:
    """*call* is *what* from here on, with this *outcome*."""
    _set_what(call, what)
    _set_outcome(call, outcome)


def mark_built(call: Call) -> None:
    """Somebody means *call*, so it needs no warning if it is never sent."""
    _set_built(call, True)


def link_of(node: Any) -> Any:
    """The connection of *node*."""
    base = place(node)[0]
    while type(base) is Call:
        base = base.____what__[0]
    return base.____handle__.link


def reference_for(handle: Handle) -> Reference:
    """The one live reference for *handle*'s object."""
    with handle.link.guard:
        reference: Reference | None = None if handle.reference is None else handle.reference()
        if reference is None:
            reference = object.__new__(Reference)
            _set_handle(reference, handle)
            handle.reference = weakref.ref(reference)
        return reference


def special(node: Any, name: str, *operands: Any, **kwargs: Any) -> Call:
    """The call of the special method *name* of what *node* stands for."""
    return new_call(node, _SPECIAL, (SPECIAL_INDEX[name], *operands), kwargs)


def is_coroutine(reference: Reference) -> bool:
    """What ``async def`` functions return in classic mode, where nothing is awaited unasked."""
    return reference.____handle__.imported.description.full_name == "builtins.coroutine"


def _shown(base: Any, steps: tuple[Step, ...]) -> str:
    if type(base) is Call:
        name = f"{_shown(*base.____what__[:2])}(...)"
    else:
        handle = base.____handle__
        name = "root" if handle.id == 0 else handle.imported.description.name
    for step in steps:
        name += f".{step}" if isinstance(step, str) else f"[{step[0]!r}]"
    return name


# --- iteration and context managers -----------------------------------------------------------


class Iteration(AsyncIterator[Any]):
    """``async for`` over what *node* stands for.

    What its author declared ``stream`` comes in chunks, so do builtin containers; other iterators
    are asked for one item at a time, since running ahead could change what a program does.
    """

    def __init__(self, node: Any) -> None:
        self._node: Any = node
        self._pull: Any = None
        self._close: Any = None

    def __aiter__(self) -> Iteration:
        return self

    async def __anext__(self) -> Any:
        if self._pull is None:
            node, self._node, self._pull = self._node, None, _ended
            self._pull, self._close = await _puller(node)
        return await self._pull()

    async def aclose(self) -> None:
        """Leave early: what can be closed over there is."""
        close, self._close, self._pull = self._close, None, _ended
        if close is not None:
            await close()


async def _ended() -> Any:
    raise StopAsyncIteration


async def _puller(node: Any) -> tuple[Any, Any]:
    """An asynchronous function that returns the next item, and one that leaves early, or None."""
    value: Any = node if type(node) is Reference else await node
    if type(value) in (AsyncIncoming, AsyncDuplex):
        return value.__anext__, value.aclose
    if type(value) is not Reference:
        return _Local(value), None
    description = value.____handle__.imported.description
    name = "__next__"
    if "__anext__" in description.specials:
        name = "__anext__"
    elif "__aiter__" in description.specials:
        name = "__anext__"
        value = await special(value, "__aiter__")
    elif is_container(description):
        return _Fetching(value, begin=True), None
    elif name not in description.specials:
        value = await special(value, "__iter__")
    pull = _Remote(value, name)
    return pull, pull.aclose


class _Local:
    """Items of a value that came whole."""

    def __init__(self, value: Any) -> None:
        self._items = iter(value)

    async def __call__(self) -> Any:
        for item in self._items:
            return item
        raise StopAsyncIteration


class _Remote:
    """Items of a remote iterator, one by one."""

    def __init__(self, iterator: Any, name: str) -> None:
        self._iterator = iterator
        self._name = name

    async def __call__(self) -> Any:
        return await special(self._iterator, self._name)

    async def aclose(self) -> None:
        description = self._iterator.____handle__.imported.description
        for name in ("aclose", "close"):
            if name in description.methods:
                await new_call(path(self._iterator, name), _CALL, (), {})
                return


class _Fetching(Chunks):
    """Items of a remote builtin container, in chunks that grow."""

    async def __call__(self) -> Any:
        while True:
            for item in self.items:
                return item
            if self.at_end:
                break
            self.take(await new_call(self.remote, Op.FETCH, self.args(), {}))
        error = self.finish()
        try:
            raise StopAsyncIteration if error is None else error
        finally:
            del error  # no cycle through this frame


async def enter(node: Any) -> Any:
    """``async with``: enter what *node* stands for, plain context managers too."""
    value = node
    if type(node) is not Reference:  # which would refer to itself
        value = await node
        object.__setattr__(node, "____entered__", value)
    if type(value) is not Reference:
        return await value.__aenter__()
    specials = value.____handle__.imported.description.specials
    return await special(value, "__aenter__" if "__aenter__" in specials else "__enter__")


async def leave(node: Any, exc: BaseException | None) -> Any:
    """The end of ``async with``."""
    value = node
    if type(node) is not Reference:
        value = node.____entered__
        object.__delattr__(node, "____entered__")
    if type(value) is not Reference:
        return await value.__aexit__(type(exc) if exc is not None else None, exc, None)
    specials = value.____handle__.imported.description.specials
    name = "__aexit__" if "__aexit__" in specials else "__exit__"
    if exc is None:
        return await special(value, name)
    with value.____handle__.link.thrown(exc) as thrown:
        return await special(value, name, thrown)
