"""Answers that are not there yet, and calls that are made on them all the same.

The sender of a request that it has marked *kept* holds a :class:`Promise` of the answer. Until
the answer has come it may name the promise, as the target or an argument of later requests; what
it sends is the number of the request. The receiver keeps an :class:`Answer` for it: a later
request that names it runs when the answer is settled, and fails with its error.

The life of an Answer: made when the kept request arrives, settled when the request is answered,
dropped when the sender says that it has the answer (``FORGET``). The sender says so once the
answer is there and no message that names the promise is on its way to the queue: boxing *pins*
the promise, queueing the message unpins it. So no promise is ever named behind its FORGET. From
then on the sender names the answer itself. The guard of the connection protects pins and flags.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Final


class Promise:
    """Base of what a front-end hands out for the answer to a kept request.

    The subclass has these attributes; ``done`` is set when the answer is there, last of all.
    """

    __slots__ = ()

    link: Any  # the connection
    seq: int  # the number of the request
    done: bool
    pins: int  # messages under way that name it
    forgotten: bool  # the peer has been told

    def result(self) -> Any:
        """The answer, which is there; raises what the call raised."""
        raise NotImplementedError


traceback_of: Final[Callable[[BaseException], TracebackType | None]] = vars(BaseException)[
    "__traceback__"
].__get__
"""The traceback of an exception, whatever its class says."""
with_traceback: Final[Callable[[BaseException, TracebackType | None], BaseException]] = (
    BaseException.with_traceback
)
"""The exception with another traceback, likewise."""

_PLAIN: Final = frozenset((type(None), bool, int, float, str, bytes))


class Answer:
    """What became of a kept request, on the side that ran it."""

    __slots__ = ("_callbacks", "_error", "_traceback", "_value")

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], object]] | None = []  # None: settled
        self._error: BaseException | None = None
        self._traceback: TracebackType | None = None
        self._value: Any = None

    @property
    def settled(self) -> bool:
        """The request has been answered."""
        return self._callbacks is None

    @property
    def is_plain(self) -> bool:
        """Whoever lets go of it runs no code of the user's."""
        return self._error is None and type(self._value) in _PLAIN

    def settle(self, value: object, error: BaseException | None = None) -> None:
        """The request has been answered; runs the callbacks. Only the first time counts."""
        callbacks = self._callbacks
        if callbacks is None:
            return
        self._value, self._error = value, error
        self._traceback = None if error is None else traceback_of(error)
        self._callbacks = None
        while callbacks:
            try:
                callback = callbacks.pop(0)
            except IndexError:  # taken by when_settled() just now
                break
            callback()

    def when_settled(self, callback: Callable[[], object]) -> None:
        """Call *callback*, which must not wait, once the request is answered; perhaps at once."""
        callbacks = self._callbacks
        if callbacks is None:
            callback()
            return
        callbacks.append(callback)
        if self._callbacks is None:  # settled meanwhile: whoever takes the callback out runs it
            try:
                callbacks.remove(callback)
            except ValueError:
                return
            callback()

    def result(self) -> Any:
        """The answer, once settled; raises what the request raised."""
        if self._error is not None:
            # Else each request that fails with it would add its frames to the same traceback.
            raise with_traceback(self._error, self._traceback)
        return self._value
