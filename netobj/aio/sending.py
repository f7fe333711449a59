"""Sending what a reference's path has become: a call, and the calls that it is built upon."""

from __future__ import annotations

from typing import Any, Final

from netobj.aio.outcome import Outcome
from netobj.aio.reference import (
    Call,
    Path,
    Reference,
    link_of,
    mark_built,
    new_call,
    place,
    put,
)
from netobj.core.boxing import Raised
from netobj.core.consts import Op
from netobj.core.handle import Handle
from netobj.core.methods import thrown_by
from netobj.errors import NotEncodable

_GET: Final = int(Op.GET)
_CALL: Final = int(Op.CALL)


def blockers(call: Call) -> list[Outcome]:
    """Answers that *call* needs and that are under way without being kept: to be waited for."""
    found = []
    nodes = _parts(call)
    seen = set()  # by id: to compare nodes takes I/O
    while nodes:
        node = place(nodes.pop())[0]
        if type(node) is not Call or id(node) in seen:
            continue
        seen.add(id(node))
        outcome = node.____outcome__
        if outcome is None:
            nodes += _parts(node)
        elif not outcome.done and not outcome.kept:
            found.append(outcome)
    return found


def _parts(call: Call) -> list[Any]:
    base, _, _, args, kwargs = call.____what__
    return [base, *args, *kwargs.values()]


def start(call: Call) -> Outcome:
    """Send *call*, which is not sent yet, and what it is built upon."""
    base = call.____what__[0]
    if type(base) is Reference:
        return _start(base.____handle__.link, call)
    unsent = [call]
    while type(base) is Call and base.____outcome__ is None:
        unsent.append(base)
        base = base.____what__[0]
    link = link_of(base)
    while unsent:
        outcome = _start(link, unsent.pop())
    return outcome


def _start(link: Any, call: Call) -> Outcome:
    base, steps, op, _, _ = call.____what__
    target, where, args, kwargs, needs = _ready(link, call)
    outcome: Outcome = link.send(op, target, where, args, kwargs, call.____built__)
    # Nothing is kept alive any longer than the call needs it, over there too.
    put(call, (base, steps, op, needs, {}), outcome)
    return outcome


Answered = tuple[Any, tuple[Any, ...], dict[str, Any], tuple[Call, ...]]
Sent = tuple[Any, Any, tuple[Any, ...], dict[str, Any], tuple[Call, ...]]


def _ready(link: Any, call: Call) -> Sent:
    """Target, path and arguments of *call* as they are sent, and the calls among the arguments."""
    base, steps, _, args, kwargs = call.____what__
    needs: tuple[Call, ...] = ()
    target: Any
    if call.____simple__:
        target = base.____handle__
    else:
        target, args, kwargs, needs = _with_answers(link, call)
    where: Any = None
    if steps:
        where = steps[0] if len(steps) == 1 and type(steps[0]) is str else list(steps)
    return target, where, args, kwargs, needs


def _with_answers(link: Any, call: Call) -> Answered:
    """The target and arguments of *call* with answers or promises for nodes; which these are."""
    base, _, _, args, kwargs = call.____what__
    needs: list[Call] = []
    args = tuple([_argument(link, arg, needs) for arg in args])
    kwargs = {name: _argument(link, arg, needs) for name, arg in kwargs.items()}
    return _target(link, base), args, kwargs, tuple(needs)


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
        arg = new_call(arg, _GET, (), {})
        mark_built(arg)
    elif kind is not Call:
        return arg
    outcome = arg.____outcome__
    if outcome is not None and outcome.done:
        return outcome.result()
    if link_of(arg) is not link:
        raise NotEncodable(f"{arg!r} is of another connection: await it before it is passed on")
    needs.append(arg)
    return start(arg) if outcome is None else outcome


def ready_oneway(call: Call) -> Sent:
    """Target, path and arguments of *call*, which is to have no answer, and what it is built upon.

    That is sent.
    """
    base = call.____what__[0]
    if type(base) is not Call:
        return _ready(link_of(base), call)
    if base.____outcome__ is None:
        start(base)
    *ready, needs = _ready(link_of(base), call)
    return (*ready, (*needs, base))


def see_through(needs: tuple[Call, ...]) -> None:
    """Let calls that are under way come to their end though nobody waits for the answers.

    With what these are built upon.
    """
    nodes: list[Any] = [*needs]
    while nodes:
        node = place(nodes.pop())[0]
        if type(node) is not Call:
            continue
        outcome = node.____outcome__
        if outcome is not None and not (outcome.done or outcome.needed):
            outcome.needed = True
            nodes += _parts(node)


def raised_as(call: Call) -> BaseException | None:
    """The exception that *call* throws into a generator: it travels as one."""
    _, steps, op, args, _ = call.____what__
    if op != _CALL or not steps or steps[-1] not in ("throw", "athrow"):
        return None
    return thrown_by(args)


def throw(call: Call, thrown: Raised) -> None:
    """Let *call* throw *thrown*, see :func:`raised_as`."""
    base, steps, op, _, kwargs = call.____what__
    put(call, (base, steps, op, (thrown,), kwargs), None)
