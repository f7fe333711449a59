"""Where text is made of whatever an error holds, and nobody is to be asked for it.

The text of a proxy is its peer's to tell. A log has a lock around the making of its lines, and an
answer to one peer must not wait for another: so there a proxy tells what is known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_asking: Final[ContextVar[bool]] = ContextVar("_asking", default=True)

may_ask: Final = _asking.get
"""Whether proxies may ask for their texts here."""


@contextmanager
def quietly() -> Iterator[None]:
    """In the block ``str`` and ``repr`` of proxies answer from what is known on this side.

    >>> with quietly():
    ...     may_ask()
    False
    """
    token = _asking.set(False)
    try:
        yield
    finally:
        _asking.reset(token)
