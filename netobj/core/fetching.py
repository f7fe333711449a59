"""Iterating a remote iterator in chunks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from netobj.core.consts import Op

_FIRST: Final = 16
_MOST: Final = 1000
_GROWTH: Final = 4


class ChunkedIterator(Iterator[Any]):
    """Pulls from the remote iterator *remote* by growing chunks, and hands out one by one.

    Used for iterators of builtin containers, which nobody notices being asked ahead: a chunk
    never asks the iterator for more than it says it has, so one that is appended to while it is
    iterated goes on, as it would locally. With *begin*, *remote* is the container itself, and the
    first chunk brings the iterator.
    """

    def __init__(
        self,
        remote: Any,
        first: int = _FIRST,
        most: int = _MOST,
        growth: float = _GROWTH,
        only_ready: bool = True,
        begin: bool = False,
    ) -> None:
        self._remote: Any = remote
        self._container = remote if begin else None  # lives until the end, as it would locally
        self._count = first
        self._most = most
        self._growth = growth
        self._only_ready = only_ready
        self._begin = begin
        self._items: deque[Any] = deque()
        self._end: BaseException | bool = False

    def __next__(self) -> Any:
        while not self._items:
            if self._end is not False:
                self._finish()
            self.fetch()
        return self._items.popleft()

    def __length_hint__(self) -> int:
        return len(self._items)

    def __reduce__(self) -> tuple[Any, ...]:
        return chain, (tuple(self._items), () if self._remote is None else self._remote)

    def fetch(self) -> None:
        """Ask for the next chunk."""
        handle = self._remote.____handle__
        args = (self._count, self._only_ready)
        if self._begin:
            answer = handle.link.request(Op.FETCH, handle, None, (*args, True))
            items, self._end, self._remote = answer
            self._begin = False
        else:
            items, self._end = handle.link.request(Op.FETCH, handle, None, args)
        self._items.extend(items)
        self._count = min(self._most, max(self._count + 1, int(self._count * self._growth)))

    def _finish(self) -> None:
        end, self._end = self._end, True
        self._remote = self._container = None  # of no use any more
        if isinstance(end, BaseException):
            raise end
        raise StopIteration
