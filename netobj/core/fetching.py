"""Iterating a remote iterator in chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from itertools import chain
from operator import length_hint
from typing import Any, Final

from netobj.core.consts import Op
from netobj.errors import ProtocolError

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

    _chunks: _Iterators

    def __new__(
        cls,
        remote: Any,
        first: int = _FIRST,
        most: int = _MOST,
        growth: float = _GROWTH,
        only_ready: bool = True,
        begin: bool = False,
    ) -> ChunkedIterator:
        chunks = _Iterators(remote, begin, first, most, growth, only_ready)
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


class Chunks:
    """What is asked of the remote iterator *remote*, chunk by chunk, and what has come.

    For the other parameters see :class:`ChunkedIterator`. Who asks is the subclass's business.
    """

    def __init__(
        self,
        remote: Any,
        begin: bool,
        first: int = _FIRST,
        most: int = _MOST,
        growth: float = _GROWTH,
        only_ready: bool = True,
    ) -> None:
        self.remote: Any = remote
        self.items: Iterator[Any] = iter(())  # of the chunk that has come last
        self.at_end = False  # no chunk comes behind it
        self._container = remote if begin else None  # lives until the end, as it would locally
        self._begin = begin
        self._count = first
        self._most = most
        self._growth = growth
        self._only_ready = only_ready
        self._error: BaseException | None = None  # behind the last item

    def args(self) -> tuple[Any, ...]:
        """The arguments of the request for the next chunk."""
        args = (self._count, self._only_ready)
        return (*args, True) if self._begin else args

    def take(self, answer: tuple[Any, ...]) -> None:
        """The next chunk has come."""
        if type(answer) is not tuple or len(answer) != (3 if self._begin else 2):
            raise ProtocolError("the other side's answer is no chunk of items")
        if self._begin:
            items, end, self.remote = answer
            self._begin = False
        else:
            items, end = answer
        failed = issubclass(type(end), Exception)
        if type(items) is not tuple or not (type(end) is bool or failed):
            raise ProtocolError("the other side's answer is no chunk of items")
        self.items = iter(items)
        self.at_end = end is not False
        self._error = end if failed else None
        self._count = min(self._most, max(self._count + 1, int(self._count * self._growth)))

    def finish(self) -> BaseException | None:
        """All items are used up: the error that came behind them, the first time."""
        self.remote = self._container = None  # of no use any more
        error, self._error = self._error, None
        return error


class _Iterators(Chunks):
    """The chunks of a :class:`ChunkedIterator`, each an iterator."""

    _begun = False

    # No generator: what dies at the end may ask for the next item in its finalizer, and ``chain``
    # would drop a generator that is running. These live as long as their iterator.

    def __iter__(self) -> Iterator[Iterator[Any]]:
        return self

    def __next__(self) -> Iterator[Any]:
        if not self._begun:
            self._begun = True
            return self.items  # those that were fetched before the first was asked for
        if not self.at_end:
            self.fetch()
            return self.items
        error = self.finish()
        try:
            raise StopIteration if error is None else error
        finally:
            del error  # no cycle through this frame

    def fetch(self) -> None:
        """Ask for the next chunk."""
        handle = self.remote.____handle__
        self.take(handle.link.request(_FETCH, handle, None, self.args()))

    def left(self) -> int:
        """How many items are here already."""
        return length_hint(self.items)

    def rest(self) -> Iterable[Any]:
        """What to chain for the items that are still to come."""
        return tuple(copy(self.items)), () if self.remote is None else self.remote
