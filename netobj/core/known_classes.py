"""The builtin classes by the names that descriptions have for them."""

from __future__ import annotations

import builtins
import types
from typing import Final

_VIEWS: Final[tuple[object, ...]] = ({}.keys(), {}.values(), {}.items())

BUILTINS: Final[dict[str, type]] = {
    **{cls.__name__: cls for cls in vars(types).values() if isinstance(cls, type)},
    **{name: cls for name, cls in vars(builtins).items() if isinstance(cls, type)},
    **{view.__name__: view for view in map(type, _VIEWS)},
}

VALUES: Final = (str, bytes, int, float, complex, tuple, frozenset, range, slice, type(None), bool)
"""Builtins whose real instances always travel by value: a proxy that claims to be one is
believed only where the peer's names are trusted, since code that checks for them trusts them."""
