"""The limits of the functions of this process: who may run, from any thread and any event loop.

A :class:`Gate` belongs to a function, and counts its calls under keys: one for all, or one for each
connection or address. A call that is let in holds a :class:`Lease` until it has ended.

Each gate has a lock, which protects its table of admissions (see :mod:`netobj.core.admission`) and
what is in them. It is held for some steps of Python; nobody waits, or is told anything, under it. A
lease that is dropped without having ended (its loop was closed under it) is noted by its finalizer,
in one append, and counts as ended once the next call comes.

A limit that several processes share: make an object that is a :class:`~netobj.core.admission.Slots`
for each of :func:`shared_limits` before the processes begin, give it to :func:`use_slots`, and call
:func:`retry` in each process when another has given a slot back, for those who wait there.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from netobj.core.admission import Admission, Counter, Slots, Verdict
from netobj.core.exposure import Exposure, LimitPer, Mounted, exposure_of, unwrapped
from netobj.core.lookup import class_dict, mro_of
from netobj.core.outcomes import Opener, Ruled
from netobj.core.rules import host_of
from netobj.errors import Busy


class Place:
    """One call in front of a gate. *tell* is called, from any thread, when it has been let in."""

    __slots__ = ("inside", "tell")

    def __init__(self, tell: Callable[[], object]) -> None:
        self.tell = tell
        self.inside = False


class Gate:
    """The limit that *exposure* sets for the function *name*."""

    def __init__(self, exposure: Exposure, name: str) -> None:
        assert exposure.limit is not None
        self.name = name
        self._exposure = exposure
        self._lock = threading.Lock()
        self._admissions: dict[object, Admission[Place]] = {}
        self._dropped: deque[object] = deque()
        self._shared: Callable[[object], Slots] | None = None

    def enter(self, key: object, place: Place) -> Verdict:
        """*place* asks to be let in."""
        self.retry()
        with self._lock:
            admission = self._admissions.get(key)
            if admission is None:
                admission = self._admissions[key] = self._new_admission(key)
            verdict = admission.enter(place)
            place.inside = verdict is Verdict.INSIDE
            if admission.idle:
                del self._admissions[key]
        return verdict

    def _new_admission(self, key: object) -> Admission[Place]:
        exposure = self._exposure
        assert exposure.limit is not None
        shared = self._shared
        slots: Slots = Counter(exposure.limit) if shared is None else shared(key)
        return Admission(slots, exposure.queue)

    def leave(self, key: object) -> None:
        """One that was let in has ended."""
        self._go(key, lambda admission: admission.leave())

    def withdraw(self, key: object, place: Place) -> None:
        """*place*, which waited, does not want to be let in any more, or has been and leaves."""
        self._go(key, lambda admission: admission.withdraw(place))

    def retry(self) -> None:
        """Let those in who wait, if there are slots."""
        while self._dropped:
            try:
                self.leave(self._dropped.popleft())
            except IndexError:  # another thread took it
                break
        if self._shared is not None:
            for key in list(self._admissions):
                self._go(key, lambda admission: admission.retry())

    def _go(self, key: object, step: Callable[[Admission[Place]], list[Place]]) -> None:
        with self._lock:
            admission = self._admissions.get(key)
            if admission is None:  # a call from before a fork, or nobody is there by now
                return
            named = step(admission)
            if admission.idle:
                del self._admissions[key]
        for place in named:
            place.inside = True
            place.tell()

    def share(self, slots_for: Callable[[object], Slots]) -> None:
        """Count with those *slots_for* each key from here on; before anybody has entered."""
        self._shared = slots_for

    def drop(self, key: object) -> None:
        """As :meth:`leave`, by a finalizer: with the next call."""
        self._dropped.append(key)

    def count(self) -> tuple[int, int]:
        """How many are inside and how many wait, all keys together."""
        with self._lock:
            admissions = list(self._admissions.values())
        return sum(one.inside for one in admissions), sum(one.waiting for one in admissions)

    def refusal(self, side: str) -> Busy:
        """What who found no room is told."""
        limit, queue, per = self._exposure.limit, self._exposure.queue, self._exposure.limit_per
        whose = "" if per is LimitPer.FUNCTION else f" of this {per.value}"
        waiting = f", and {queue} wait, which is its queue" if queue else ""
        return Busy(
            f"{side} runs {limit} calls of {self.name}{whose}, which is its limit{waiting}: try "
            "again later"
        )

    def after_fork_in_child(self) -> None:
        """The calls that run are the parent's; another thread of it may have held the lock."""
        self._lock = threading.Lock()
        self._admissions = {}
        self._dropped.clear()


class Lease:
    """What a call holds that was let in; :meth:`end` counts once."""

    __slots__ = ("_gate", "_key", "_ticket")

    def __init__(self, gate: Gate, key: object) -> None:
        self._gate = gate
        self._key = key
        self._ticket = [None]

    def end(self) -> None:
        """The call has ended; from any thread, and as often as one likes."""
        if self._take():
            self._gate.leave(self._key)

    def _take(self) -> bool:
        try:
            self._ticket.pop()  # in one step: whoever has it gives the slot back
        except IndexError:
            return False
        return True

    def __del__(self) -> None:
        if self._take():
            self._gate.drop(self._key)


class Entrance:
    """The gate in front of one call, and what the call counts under."""

    __slots__ = ("gate", "key", "side")

    def __init__(self, ruled: Ruled, connection: Any) -> None:
        self.gate = gate_of(ruled.function, ruled.exposure, ruled.name)
        self.key = _key(ruled.exposure.limit_per, connection)
        self.side = connection.session.side

    def enter(self, place: Place) -> Lease | None:
        """A lease; None if *place* has to wait for it. Raises Busy."""
        verdict = self.gate.enter(self.key, place)
        if verdict is Verdict.FULL:
            raise self.gate.refusal(self.side)
        return self.lease() if verdict is Verdict.INSIDE else None

    def lease(self) -> Lease:
        """That of a place which is inside."""
        return Lease(self.gate, self.key)

    def withdraw(self, place: Place) -> None:
        """See :meth:`Gate.withdraw`."""
        self.gate.withdraw(self.key, place)


def _key(per: LimitPer, connection: Any) -> object:
    if per is LimitPer.FUNCTION:
        return None
    return connection if per is LimitPer.CONNECTION else host_of(connection.config.endpoints)


# --- the gates of this process -----------------------------------------------------------------

_gates: Final[dict[int, tuple[Callable[[], object], Gate]]] = {}
"""By id, since a function-like object may define __eq__; each with a reference to that object, weak
where it can be. Single operations."""
_making = threading.Lock()  # protects that a function gets one gate; held for a few steps


def gate_of(function: Any, exposure: Exposure, name: str) -> Gate:
    """The one gate of *function*, whose *exposure* has a limit."""
    bottom = _identity(function)
    known = _gates.get(id(bottom))
    if known is not None and known[0]() is bottom:
        return known[1]
    with _making:
        known = _gates.get(id(bottom))
        if known is None or known[0]() is not bottom:
            known = _gates[id(bottom)] = (_reference(bottom), Gate(exposure, name))
    return known[1]


def _identity(function: Any) -> Any:
    """What stays the same from call to call: a bound method does not."""
    if type(function) is Opener:
        function = function.function
    return unwrapped(function)


def _reference(bottom: Any) -> Callable[[], object]:
    key = id(bottom)
    try:
        return weakref.ref(bottom, lambda _: _gates.pop(key, None))
    except TypeError:  # it lives as long as its gate
        return lambda: bottom


def limited(service: object) -> Iterator[tuple[str, Any, Exposure]]:
    """The functions of *service*, a class or an object, that have a limit: name, function, mark.

    With those of what is mounted in it, under dotted names. Runs no code of the service's.
    """
    yield from _limited(service if isinstance(service, type) else type(service), "", frozenset())


def _limited(tp: type, prefix: str, seen: frozenset[int]) -> Iterator[tuple[str, Any, Exposure]]:
    found: dict[str, Any] = {}
    for base in reversed(mro_of(tp)[:-1]):
        found.update(class_dict(base))
    for name, attribute in found.items():
        exposure = exposure_of(attribute)
        if exposure is not None and exposure.limit is not None:
            yield prefix + (exposure.name or name), unwrapped(attribute), exposure
        elif type(attribute) is Mounted and id(attribute.what) not in seen:
            inner = seen | {id(attribute.what)}
            yield from _limited(type(attribute.what), f"{prefix}{name}.", inner)


def shared_limits(service: object) -> dict[str, tuple[Any, Exposure]]:
    """Those of :func:`limited` that count calls of several connections together, by name."""
    return {
        name: (function, exposure)
        for name, function, exposure in limited(service)
        if exposure.limit_per is not LimitPer.CONNECTION
    }


def use_slots(function: Any, exposure: Exposure, slots_for: Callable[[object], Slots]) -> None:
    """Let the limit of *function* be counted by slots, in place of a counter of this process's.

    *slots_for* is asked with an address where each has a limit of its own, else with None. Before
    the first call; it holds for the children of a later fork, too.
    """
    gate_of(function, exposure, getattr(function, "__qualname__", "a function")).share(slots_for)


def retry() -> None:
    """Another process may have given back slots that those want who wait here."""
    for _, gate in list(_gates.values()):
        gate.retry()


def _after_fork_in_child() -> None:
    global _making
    _making = threading.Lock()
    for _, gate in list(_gates.values()):
        gate.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
