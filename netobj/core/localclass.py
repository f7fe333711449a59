"""Which local class a described remote one is, for ``isinstance`` and ``__class__``."""

from __future__ import annotations

import sys
import types
from typing import Any, Final

from netobj.core.consts import Described
from netobj.core.describe import Description
from netobj.core.known_classes import BUILTINS, VALUES

_EXCEPTIONS: Final = (BaseException,)


def local_class(description: Description, trusted: bool) -> type | None:
    """The class that proxies of *description* pass for here, or None.

    The nearest class of the remote MRO that this side can tell: builtins, and, where the peer's
    names are *trusted*, classes of modules that are already imported here.
    """
    if description.kind == Described.CLASS:
        return type
    if description.kind == Described.MODULE:
        return types.ModuleType
    for name in (description.full_name, *description.bases):
        cls = _find(name, trusted)
        if cls is not None:
            return cls
    return None


def builtin_class(description: Description) -> type | None:
    """The builtin class that *description*, of a class, is; or None."""
    return BUILTINS.get(description.name) if description.module == "builtins" else None


def _find(full_name: str, trusted: bool) -> type | None:
    module, _, name = full_name.rpartition(".")
    if module == "builtins":
        cls = BUILTINS.get(name)
        if cls is not None and not trusted and issubclass(cls, VALUES + _EXCEPTIONS):
            return None
        return cls
    return _imported(full_name) if trusted else None


def _imported(full_name: str) -> type | None:
    parts = full_name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:cut]))
        if module is None:
            continue
        found: Any = module
        for part in parts[cut:]:
            found = vars(found).get(part) if isinstance(found, (type, types.ModuleType)) else None
        return found if isinstance(found, type) else None
    return None
