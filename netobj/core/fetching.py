"""Iterating a remote iterator in chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from itertools import chain
from operator import length_hint
from typing import Any, Final

from netobj.core.consts import Op

_FIRST: Final = 16
_MOST: Final = 1000
_GROWTH: Final = 4
_FETCH: Final = int(Op.FETCH)


class ChunkedIterator(chain[Any]):
    """Pulls from the remote iterator *remote* by growing chunks, and hands out one by one.

    Used for iterators of builtin containers, which nobody notices being asked ahead: a chunk
    never asks the iterator for more than it says it has, so one that is appended to while it is
    iterated goes on, as it would locally. With *begin*, *remote* is the container itself, and the
    first chunk brings the iterator.

    The items of a chunk are handed out by ``chain`` itself, at the speed of C. As of a generator,
    one thread at a time may ask for the next, and after an error there is none.
    """

    _chunks: _Chunks

    def __new__(
        cls,
        remote: Any,
        first: int = _FIRST,
        most: int = _MOST,
        growth: float = _GROWTH,
        only_ready: bool = True,
        begin: bool = False,
    ) -> ChunkedIterator:
        chunks = _Chunks(remote, first, most, growth, only_ready, begin)
        self: Any = cls.from_iterable(chunks)
        self._chunks = chunks
        return self  # type: ignore[no-any-return]

    def __length_hint__(self) -> int:
        return self._chunks.left()

    def __reduce__(self) -> tuple[Any, ...]:
        return chain, tuple(self._chunks.rest())

    def fetch(self) -> None:
        """Ask for the first chunk at once."""
        self._chunks.fetch()


class _Chunks:
    """The chunks of a :class:`ChunkedIterator`, each an iterator."""

    def __init__(
        self, remote: Any, first: int, most: int, growth: float, only_ready: bool, begin: bool
    ) -> None:
        self._remote: Any = remote
        self._container = remote if begin else None  # lives until the end, as it would locally
        self._count = first
        self._most = most
        self._growth = growth
        self._only_ready = only_ready
        self._begin = begin
        self._items: Iterator[Any] = iter(())  # of the chunk that was fetched last
        self._end: BaseException | bool = False
        self._begun = False

    # No generator: what dies at the end may ask for the next item in its finalizer, and ``chain``
    # would drop a generator that is running. These live as long as their iterator.

    def __iter__(self) -> Iterator[Iterator[Any]]:
        return self

    def __next__(self) -> Iterator[Any]:
        if not self._begun:
            self._begun = True
            return self._items  # those that were fetched before the first was asked for
        if self._end is False:
            self.fetch()
            return self._items
        end, self._end = self._end, True
        self._remote = self._container = None  # of no use any more
        if end is True:
            raise StopIteration
        try:
            raise end
        finally:
            del end  # no cycle through this frame

    def fetch(self) -> None:
        """Ask for the next chunk."""
        handle = self._remote.____handle__
        args = (self._count, self._only_ready)
        if self._begin:
            answer = handle.link.request(_FETCH, handle, None, (*args, True))
            items, self._end, self._remote = answer
            self._begin = False
        else:
            items, self._end = handle.link.request(_FETCH, handle, None, args)
        self._items = iter(items)
        self._count = min(self._most, max(self._count + 1, int(self._count * self._growth)))

    def left(self) -> int:
        """How many items are here already."""
        return length_hint(self._items)

    def rest(self) -> Iterable[Any]:
        """What to chain for the items that are still to come."""
        return tuple(copy(self._items)), () if self._remote is None else self._remote
