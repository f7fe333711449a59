"""What can be closed, in ``with``."""

from __future__ import annotations

from typing import TypeVar

_Self = TypeVar("_Self", bound="Closing")


class Closing:
    """Is closed at the end of a ``with`` block.

    >>> class Tap(Closing):
    ...     def close(self): print("closed")
    >>> with Tap() as tap:
    ...     print(type(tap).__name__)
    Tap
    closed
    """

    __slots__ = ()

    def close(self) -> None:
        """End it. Closing twice does no harm."""
        raise NotImplementedError

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
