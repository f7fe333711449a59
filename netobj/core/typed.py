"""What type checkers know of the other side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # where a default lets a bare ``Connection`` mean what it always meant
    from typing_extensions import TypeVar

    Root = TypeVar("Root", default=Any)
else:
    from typing import TypeVar

    Root = TypeVar("Root")
