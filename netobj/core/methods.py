"""Methods of remote objects, known by their names without having asked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import MethodType
from typing import Any, Final, Protocol

from netobj.core.arguments import (
    FILLING,
    SPECIAL_NAMES,
    buffers_copied,
    containers_copied,
    fills_buffer,
    reads_buffer,
    reads_container,
    writable_view,
)
from netobj.core.boxing import Raised
from netobj.core.config import Config
from netobj.core.consts import OPEN, SPECIAL_INDEX, Described, Op
from netobj.core.describe import Description
from netobj.core.handle import Handle, RemoteMethod
from netobj.core.quiet import may_ask
from netobj.errors import AccessDenied, ConnectionLost

_GET: Final = int(Op.GET)
_CALL: Final = int(Op.CALL)
_SPECIAL: Final = int(Op.SPECIAL)
_SET: Final = int(Op.SET)

NEVER_REMOTE: Final = frozenset(
    (
        "__array_interface__",
        "__array_struct__",
        "__array_wrap__",
        "__array_ufunc__",
        "__array_priority__",
        "__array_wrap__",
        "__arrow_c_array__",
        "__arrow_c_schema__",
        "__arrow_c_stream__",
        "__cuda_array_interface__",
        "__dataframe__",
        "__dlpack__",
        "__dlpack_device__",
    )
)
"""Names that libraries probe for and that make no sense at a distance: they are not there."""


class Link(Protocol):
    """What a proxy needs of its connection; each front-end's Connection is one."""

    guard: AbstractContextManager[object]

    @property
    def config(self) -> Config:
        """The settings of this side."""

    def request(
        self, op: int, handle: Handle, path: Any, args: tuple[Any, ...], kwargs: Any = None
    ) -> Any:
        """Ask, wait, and return the answer or raise what it raised."""

    def request_async(
        self, op: int, target: Handle, path: Any, args: tuple[Any, ...], kwargs: Any = None
    ) -> Any:
        """Ask, and return at once what can be awaited for the answer."""

    def thrown(self, exc: BaseException) -> AbstractContextManager[Raised]:
        """*exc* marked to travel as an exception; in the block it comes home as itself."""

    def proxy_of(self, handle: Handle) -> Any:
        """The one live proxy of *handle*'s object."""


class BoundMethod(RemoteMethod):
    """A method of a remote object, known by its name without having asked."""

    __slots__ = ("__weakref__",)

    def __init__(self, handle: Handle, name: str) -> None:
        self.____handle__ = handle
        self.____name__ = name
        self.____target__ = None

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if self.____target__ is not None:
            return self.____target__(*args, **kwargs)
        handle = self.____handle__
        return handle.link.request(_CALL, handle, self.____name__, args, kwargs)

    def open(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the method with a new two-way stream before *args*; returns this side's end of it.

        See :class:`netobj.Duplex` for an example. One round trip.
        """
        if self.____target__ is not None:
            handle = self.____target__.____handle__
            return handle.link.request(_CALL, handle, [OPEN], args, kwargs)
        handle = self.____handle__
        return handle.link.request(_CALL, handle, [self.____name__, OPEN], args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in NEVER_REMOTE:
            raise AttributeError(name)
        if self.____target__ is not None:
            return getattr(self.____target__, name)
        handle = self.____handle__
        return handle.link.request(_GET, handle, [self.____name__, name], ())

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return MethodType

    @property
    def __self__(self) -> Any:
        return self.____handle__.link.proxy_of(self.____handle__)

    @property
    def __func__(self) -> Any:
        try:
            return self.__getattr__("__func__")
        except AccessDenied:
            return function_of(self)

    @property
    def __name__(self) -> str:
        return self.____name__

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        if self.____target__ is not None:
            return self.____target__.__doc__
        handle = self.____handle__
        return handle.link.request(Op.DOCUMENT, handle, self.____name__, ())[0]

    def __eq__(self, other: object) -> Any:
        if not issubclass(type(other), BoundMethod):
            return NotImplemented
        return (
            self.____handle__ is other.____handle__  # type: ignore[attr-defined]
            and self.____name__ == other.____name__  # type: ignore[attr-defined]
        )

    def __hash__(self) -> int:
        return hash((self.____handle__.id, self.____name__))

    def __repr__(self) -> str:
        if self.____target__ is not None:
            return repr(self.____target__)
        handle = self.____handle__
        owner = handle.imported.description.full_name
        local = f"<remote method {self.____name__} of a {owner}>"
        return remote_repr(handle, self.____name__, local)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return getattr, (self.__self__, self.____name__)  # the object decides what becomes of it

    def ____resolve__(self) -> None:
        """Fetch a reference to what the name means now, and stay with it."""
        handle = self.____handle__
        self.____target__ = handle.link.request(_GET, handle, self.____name__, ())


class Nested(BoundMethod):
    """What a path of names leads to from a remote object: a namespace in it, or what is in there.

    Known by its names without having asked. Nothing is fetched to call it.
    """

    __slots__ = ()

    def __init__(self, handle: Handle, path: list[str]) -> None:
        _set_slot(self, "____handle__", handle)
        _set_slot(self, "____name__", path)

    @property
    def ____target__(self) -> Any:
        """A reference to it, for those who need more than to call it: one round trip."""
        return self.____handle__.link.request(_GET, self.____handle__, self.____name__, ())

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        handle = self.____handle__
        return handle.link.request(_CALL, handle, self.____name__, args, kwargs)

    def open(self, /, *args: Any, **kwargs: Any) -> Any:
        """As :meth:`BoundMethod.open`."""
        handle = self.____handle__
        return handle.link.request(_CALL, handle, [*self.____name__, OPEN], args, kwargs)

    def __getattribute__(self, name: str) -> Any:
        # "open" may be the name of something in a namespace.
        if name == "open" and not self.____callable__():
            return self.__getattr__(name)
        return super().__getattribute__(name)

    def ____callable__(self) -> bool:
        """It is described as a method, not as a namespace."""
        return ".".join(self.____name__) in self.____handle__.imported.description.methods

    def __getattr__(self, name: str) -> Any:
        if name in NEVER_REMOTE:
            raise AttributeError(name)
        handle = self.____handle__
        path = [*self.____name__, name]
        if leads_on(handle.imported.description, ".".join(path)):
            return Nested(handle, path)
        return handle.link.request(_GET, handle, path, ())

    def __setattr__(self, name: str, value: object) -> None:
        handle = self.____handle__
        handle.link.request(_SET, handle, self.____name__, (name, value))

    def __dir__(self) -> Any:
        handle = self.____handle__
        return [*handle.link.request(Op.DIR, handle, self.____name__, ())]

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return MethodType if self.____callable__() else Nested

    @property
    def __name__(self) -> str:
        return self.____name__[-1]

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        handle = self.____handle__
        return handle.link.request(Op.DOCUMENT, handle, self.____name__, ())[0]

    def __hash__(self) -> int:
        return hash((self.____handle__.id, *self.____name__))

    def __repr__(self) -> str:
        owner = self.____handle__.imported.description.full_name
        what = "method" if self.____callable__() else "namespace"
        return f"<remote {what} {'.'.join(self.____name__)} of a {owner}>"

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return getattr, (self.__self__, self.____name__[0])


_set_slot: Final = object.__setattr__


def leads_on(description: Description, path: str) -> bool:
    """Whether the dotted *path* is one of the names that are described, or begins some of them."""
    return any(
        name == path or (name.startswith(path) and name[len(path)] == ".")
        for name in description.methods
    )


class _ThrowMethod(BoundMethod):
    """``throw`` and ``athrow``: the exception travels as one, not as a reference."""

    __slots__ = ()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        exc = thrown_by(args)
        if exc is None:
            return super().__call__(*args, **kwargs)
        with self.____handle__.link.thrown(exc) as thrown:
            rest = () if isinstance(args[0], type) else args[1:]
            return super().__call__(thrown, *rest, **kwargs)


def thrown_by(args: tuple[Any, ...]) -> BaseException | None:
    """The exception that the arguments of ``throw`` mean; None if they mean none."""
    if args and isinstance(args[0], type) and issubclass(args[0], BaseException):
        value = args[1] if len(args) > 1 else None
        if isinstance(value, args[0]):
            return value
        if value is None:
            return args[0]()
        return args[0](*value) if isinstance(value, tuple) else args[0](value)
    return args[0] if args and isinstance(args[0], BaseException) else None


class _ContainerReader(BoundMethod):
    """A method that only reads the containers that it is given."""

    __slots__ = ()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*containers_copied(args), **kwargs)


class _BufferReader(BoundMethod):
    """A method that only reads the buffers that it is given."""

    __slots__ = ()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*buffers_copied(args), **kwargs)


class _BufferFiller(BoundMethod):
    """``readinto`` of a remote file: reads over there, fills here."""

    __slots__ = ()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        view = writable_view(args)
        if view is None:
            return super().__call__(*args, **kwargs)
        handle = self.____handle__
        with view:
            data = handle.link.request(_CALL, handle, FILLING[self.____name__], (len(view),))
            if data is None:
                return None
            view[: len(data)] = data
            return len(data)


def function_of(method: Any) -> Callable[..., Any]:
    """A function that calls *method*, whatever it is given as its first argument."""
    return lambda _owner, /, *args, **kwargs: method(*args, **kwargs)


def method_class(description: Description, name: str) -> type[BoundMethod]:
    """How the method *name* of what *description* describes passes its arguments."""
    if name in ("throw", "athrow"):
        return _ThrowMethod
    if name in SPECIAL_NAMES and description.kind == Described.INSTANCE:
        if reads_container(description, name):
            return _ContainerReader
        if reads_buffer(description, name):
            return _BufferReader
        if fills_buffer(description, name):
            return _BufferFiller
    return BoundMethod


def local_repr(handle: Handle) -> str:
    return f"<netref of a {handle.imported.description.full_name}, id {handle.id}>"


def remote_repr(handle: Handle, path: str | None, local: str) -> str:
    """The remote repr; *local* where it is refused or the connection is lost, for debuggers.

    And where nobody is to be asked, or what came is no text.
    """
    if not may_ask():
        return local
    try:
        text = handle.link.request(_SPECIAL, handle, path, (SPECIAL_INDEX["__repr__"],))
    except (AccessDenied, ConnectionLost):
        return local
    return text if type(text) is str else local
