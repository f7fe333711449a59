"""Whether a proxy is what an annotation asks for: by what is known here, without a round trip.

A proxy's class was described by the peer when it came. That says which special methods it has and
which names, not what its methods take and return; and a name that is missing may be answered all
the same. So a proxy is refused where it cannot be meant, and what is not known is not checked.
Nothing here runs code of the peer's, or of a class that could: no attribute of the proxy is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MethodType, ModuleType
from typing import Any, Final, get_origin

from netobj.core.consts import Described
from netobj.core.known_classes import BUILTINS, VALUES
from netobj.core.lookup import MISSING, find
from netobj.interfaces import is_protocol, is_special, names_of

_HANDLE: Final = "____handle__"  # in the class of whatever stands for something remote
_NAME: Final = "____name__"  # in that of a remote method as well
_UNSENT: Final = ("____promise__", "____place__", "____what__")  # what is not there yet


def is_remote(kind: type) -> bool:
    """Whether objects of the class *kind* stand for something of the peer's."""
    return find(kind, _HANDLE) is not MISSING


def passes(proxy: Any, annotation: Any) -> bool:
    """Whether *proxy* may be what *annotation* asks for; see the module's docstring.

    A concrete class of this side is believed of a proxy only where the peer's names are trusted
    (the setting ``trust_class_names``), as ``isinstance`` does.
    """
    wanted = get_origin(annotation) or annotation
    if not isinstance(wanted, type):
        return False  # a Literal
    if wanted in VALUES:
        return False
    kind = type(proxy)
    if any(find(kind, name) is not MISSING for name in _UNSENT):
        return True
    if find(kind, _NAME) is not MISSING:
        return _has(wanted, MethodType, frozenset(("__call__", "__repr__")))
    handle = proxy.____handle__
    description = handle.imported.description
    specials = frozenset(description.specials)
    if description.kind == Described.CLASS:
        return _has(wanted, type, specials)
    if description.kind == Described.MODULE:
        return _has(wanted, ModuleType, specials)
    known = tuple(_builtins((description.full_name, *description.bases)))
    if any(issubclass(cls, wanted) for cls in known if not is_protocol(wanted)):
        return True
    if known and description.module == "builtins":
        return is_protocol(wanted) and _has_specials(wanted, specials)
    names = (description.full_name, *description.bases)
    claimed = f"{wanted.__module__}.{wanted.__qualname__}" in names
    if claimed and handle.link.config.trust_class_names:
        return True
    if is_protocol(wanted):
        return _has_specials(wanted, specials)
    abstract: Any = getattr(wanted, "__abstractmethods__", frozenset())
    return bool(abstract) and _has_specials(wanted, specials)


def _has(wanted: type, cls: type, specials: frozenset[str]) -> bool:
    if is_protocol(wanted):
        return _has_specials(wanted, specials)
    return issubclass(cls, wanted)


def _has_specials(wanted: type, specials: frozenset[str]) -> bool:
    """Whether all special methods that *wanted* asks for are there.

    A description without ``__repr__`` is silent about special methods: the object has rules of its
    own, or the peer's settings do not show them.
    """
    return "__repr__" not in specials or specials.issuperset(_needed(wanted))


def _needed(wanted: type) -> Iterator[str]:
    names = names_of(wanted) if is_protocol(wanted) else getattr(wanted, "__abstractmethods__", ())
    return filter(is_special, names)


def _builtins(names: tuple[str, ...]) -> Iterator[type]:
    for name in names:
        module, _, bare = name.rpartition(".")
        cls = BUILTINS.get(bare) if module == "builtins" else None
        if cls is not None and not issubclass(cls, (*VALUES, BaseException)):
            yield cls


def shown(proxy: Any) -> str:
    """What *proxy* stands for, for an error text."""
    kind = type(proxy)
    if find(kind, _NAME) is not MISSING:
        return "a remote method"
    if any(find(kind, name) is not MISSING for name in _UNSENT):
        return "a remote result"
    return f"a proxy of a remote {proxy.____handle__.imported.description.full_name}"
