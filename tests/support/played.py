"""A session whose peer the test plays, and what there is to say to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakewire import Answer, Side, bodies, fields
from netobj.core import values
from netobj.core.config import Config
from netobj.core.consts import DEFAULT_LIMITS, MINOR_VERSION, PREAMBLE, Kind, Limit, Op
from netobj.core.describe import NOTHING
from netobj.core.framing import frame
from netobj.core.session import Session


class Root:
    exposed_number = 5

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def exposed_add(self, *args: int, **kwargs: int) -> int:
        self.calls.append((args, kwargs))
        return sum(args) + sum(kwargs.values())

    def exposed_echo(self, value: Any) -> Any:
        return value

    def exposed_call(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)


def small(**limits: int) -> Config:
    changed = list(DEFAULT_LIMITS)
    for name, value in limits.items():
        changed[Limit[name]] = value
    return Config(limits=tuple(changed))


def message(*items: Any) -> bytes:
    return frame(values.pack(list(items)))


def hello(**changes: Any) -> bytes:
    items = {
        "minor": MINOR_VERSION,
        "process": b"p",
        "session": None,
        "limits": list(DEFAULT_LIMITS),
        "features": ["numpy"],
        "root": NOTHING.to_wire(),
        **changes,
    }
    return message(Kind.HELLO, *items.values())


def lone(config: Config | None = None, greeted: bool = True) -> Session:
    """A session whose peer the test plays."""
    session = Side("lone", Root(), config or Config(), ()).session
    session.out.clear()
    if greeted:
        session.receive_data(PREAMBLE + hello(), 0.0)
    return session


def with_limits(**limits: int) -> Session:
    """A lone session whose peer accepts no more than that."""
    session = lone(greeted=False)
    session.receive_data(PREAMBLE + hello(limits=list(small(**limits).limits)), 0.0)
    return session


def sent(session: Session) -> list[Any]:
    found = [fields(body) for data in session.out for body in bodies(bytes(data))]
    session.out.clear()
    return found


def ask(session: Session, *args: Any, **kwargs: Any) -> tuple[int, Answer]:
    token = Answer()
    return session.request(token, Op.CALL, None, "m", args, kwargs, 1), token
