"""What this side holds of a remote object: the handle, and the bases of what stands for it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Final

from netobj.core.describe import Description


class ImportedClass:
    """A class of the peer's: its description, and the proxy class once one was made."""

    __slots__ = ("__weakref__", "description", "proxy_class")

    def __init__(self, description: Description) -> None:
        self.description = description
        self.proxy_class: type | None = None


_NOTHING: Final[frozenset[str]] = frozenset()


class Handle:
    """The one holder, on this side, of an object of the peer's.

    Proxies and bound methods share it; the reference is released when the last of them dies.
    """

    __slots__ = (
        "__weakref__",
        "document",
        "hidden",
        "id",
        "imported",
        "link",
        "proxy",
        "reference",
    )

    def __init__(self, link: Any, number: int, imported: ImportedClass) -> None:
        self.link = link
        self.id = number
        self.imported = imported
        self.proxy: weakref.ref[Any] | None = None  # for threads
        self.reference: weakref.ref[Any] | None = None  # for event loops
        self.hidden = _NOTHING  # described methods that mean something else here
        self.document: tuple[Any, ...] | None = None  # docstring and signature, once fetched


class HandleRef(weakref.ref[Handle]):
    """The import table's entry: which id, and how often it came while the handle lived.

    The callback is a C-level append to a queue: it runs no Python code, so it is safe
    wherever the handle dies.
    """

    __slots__ = ("count", "id")

    id: int
    count: int

    def __new__(cls, handle: Handle, died: Callable[[HandleRef], object]) -> HandleRef:
        self: HandleRef = _new_ref(cls, handle, died)
        self.id = handle.id
        self.count = 1
        return self


_new_ref: Final[Callable[..., Any]] = weakref.ref.__new__


class RemoteObject:
    """Base of everything that stands for an object of the peer's."""

    __slots__ = ("____handle__",)
    ____handle__: Handle


class RemoteMethod(RemoteObject):
    """Base of what stands for a bound method of such an object."""

    __slots__ = ("____name__", "____target__")
    ____name__: str
    ____target__: Any  # a reference to the method, once one had to be fetched


class RemotePath(RemoteObject):
    """Base of what is awaited to be sent: what stands for remote things on an event loop."""

    __slots__ = ()


class RemoteResult(RemoteObject):
    """Base of what stands for the answer to a call that was made already."""

    __slots__ = ()

    @property
    def ____promise__(self) -> Any:
        """The promise of the answer, which is what travels."""
        raise NotImplementedError
