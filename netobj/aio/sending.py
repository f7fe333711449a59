"""Sending what a reference's path has become: a call, and the calls that it is built upon."""

from __future__ import annotations

from typing import Any, Final

from netobj.aio.outcome import Outcome
from netobj.aio.reference import Call, Path, Reference, link_of, place
from netobj.core.boxing import Raised
from netobj.core.consts import Op
from netobj.core.handle import Handle
from netobj.errors import NotEncodable

_GET: Final = int(Op.GET)
_CALL: Final = int(Op.CALL)


def mark_awaited(call: Call) -> None:
    """*call* could not be sent, but somebody has awaited it."""
    object.__setattr__(call, "____built__", True)


def blockers(call: Call) -> list[Outcome]:
    """Answers that *call* needs and that are under way without being kept: to be waited for."""
    found = []
    nodes: list[Any] = [call.____base__, *call.____args__, *call.____kwargs__.values()]
    while nodes:
        node = place(nodes.pop())[0]
        if type(node) is not Call:
            continue
        outcome = node.____outcome__
        if outcome is None:
            nodes += (node.____base__, *node.____args__, *node.____kwargs__.values())
        elif not outcome.done and not outcome.kept:
            found.append(outcome)
    return found


def start(call: Call) -> Outcome:
    """Send *call*, and what it is built upon; only the first time."""
    unsent = []
    node: Any = call
    while type(node) is Call and node.____outcome__ is None:
        unsent.append(node)
        node = node.____base__
    link = link_of(node)
    for each in reversed(unsent):
        _start(link, each)
    assert call.____outcome__ is not None
    return call.____outcome__


def _start(link: Any, call: Call) -> None:
    needs: list[Call] = []
    args = tuple([_argument(link, arg, needs) for arg in call.____args__])
    kwargs = {name: _argument(link, arg, needs) for name, arg in call.____kwargs__.items()}
    steps = call.____steps__
    where: Any = None
    if steps:
        where = steps[0] if len(steps) == 1 and type(steps[0]) is str else list(steps)
    target = _target(link, call.____base__)
    outcome: Outcome = link.send(call.____op__, target, where, args, kwargs, call.____built__)
    object.__setattr__(call, "____outcome__", outcome)
    # Nothing is kept alive any longer than the call needs it, over there too.
    object.__setattr__(call, "____args__", tuple(needs))
    object.__setattr__(call, "____kwargs__", {})


def _target(link: Any, base: Reference | Call) -> Handle | tuple[Any]:
    """What a request names as its target: an object of the peer's, a promise, or a value."""
    if type(base) is Call:
        outcome = base.____outcome__
        assert outcome is not None
        answer = outcome.result() if outcome.done else outcome
        if type(answer) is not Reference or answer.____handle__.link is not link:
            return (answer,)
        base = answer
    return base.____handle__


def _argument(link: Any, arg: Any, needs: list[Call]) -> Any:
    kind = type(arg)
    if kind is Path:
        arg = Call(arg.____base__, arg.____steps__, _GET, (), {})
        object.__setattr__(arg, "____built__", True)
    elif kind is not Call:
        return arg
    outcome = arg.____outcome__
    if outcome is not None and outcome.done:
        return outcome.result()
    if link_of(arg) is not link:
        raise NotEncodable(f"{arg!r} is of another connection: await it before it is passed on")
    needs.append(arg)
    return start(arg)


def raised_as(call: Call) -> BaseException | None:
    """The exception that *call* throws into a generator: it travels as one."""
    args = call.____args__
    if call.____op__ != _CALL or call.____steps__[-1:] not in (("throw",), ("athrow",)) or not args:
        return None
    first = args[0]
    if isinstance(first, type) and issubclass(first, BaseException):
        value = args[1] if len(args) > 1 else None
        return value if isinstance(value, BaseException) else first(*args[1:2])
    return first if isinstance(first, BaseException) else None


def throw(call: Call, thrown: Raised) -> None:
    """Let *call* throw *thrown*, see :func:`raised_as`."""
    object.__setattr__(call, "____args__", (thrown,))
