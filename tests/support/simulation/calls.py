"""What was asked for, and what is to come of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fakewire import Answer
from netobj.core.flow import Flow
from netobj.core.session import NOT_STARTED
from netobj.errors import CallCancelled, ConnectionLost
from simulation.monitor import Violation

if TYPE_CHECKING:
    from simulation.ends import End

Check = Callable[[Any], None]
"""Raises Violation if that is no right result."""


class Call(Answer):
    """A call: *expected* judges its result; it is to fail with one of *failures* otherwise."""

    def __init__(
        self,
        end: End,
        number: int,
        expected: Check | None,
        failures: tuple[type[BaseException], ...] = (),
    ) -> None:
        self.link = end
        self.number = number
        self.expected = expected
        self.failures = failures
        self.cancelled = False
        self.times_ended = 0
        self.is_sum = False
        self.sum: int | None = None  # None: it fails

    def complete(self, ok: bool, value: Any, deferred: bool) -> None:
        self.times_ended += 1
        if self.times_ended > 1:
            raise Violation(f"call {self.number} has ended twice")
        super().complete(ok, value, deferred)
        if not isinstance(value, ConnectionLost) and value is not NOT_STARTED:
            self.judge()

    def judge(self) -> None:
        """The answer has come: is it the right one?"""
        try:
            result = self.result()
        except self.failures:
            return
        except CallCancelled:
            if not self.cancelled:
                raise Violation(f"call {self.number} was cancelled by nobody") from None
            return
        except Violation:
            raise
        except Exception as exc:
            raise Violation(f"call {self.number} failed: {exc!r}") from exc
        if self.expected is None:
            raise Violation(f"call {self.number} was to fail, and returned {result!r:.80}")
        self.expected(result)


class Consumed:
    """A stream's end, and how much has come and gone in it."""

    def __init__(self, end: Any, count: int | None, fails: bool) -> None:
        self.end = end
        self.flow: Flow = end._flow
        self.count = count  # None: it goes both ways, and gives back what is sent
        self.fails = fails
        self.sent = 0
        self.taken = 0
        self.closed = False
        self.over = False

    def take(self) -> bool:
        """Take one item, if one can be taken without waiting."""
        if self.over:
            return False
        if not (self.flow.may_take() or self.end._items.__length_hint__()):
            self.end._take()  # what a consumer does that has to wait: it grants more
            return False
        try:
            item = next(self.end)
        except StopIteration:
            self.over = True
            if self.closed:
                return False
            wanted = self.sent if self.count is None else self.count
            if self.taken != wanted or self.fails:
                raise Violation(f"a stream ended after {self.taken} of {wanted}") from None
        except KeyError:
            self.over = True
            if not self.fails or self.taken != self.count:
                raise Violation(f"a stream failed after {self.taken} of {self.count}") from None
        except ConnectionLost:
            self.over = True
            if self.flow.lost is None:
                raise Violation("a stream was lost, but not its connection") from None
        else:
            if item != self.taken:
                raise Violation(f"a stream brought {item}, and {self.taken} was next")
            self.taken += 1
            return True
        return False
