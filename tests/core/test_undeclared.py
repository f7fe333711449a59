"""Where nothing in the process hides a name, is mounted, or says where it runs: the usual case.

Marks that do set a flag for the whole process; other tests have set them by now.
"""

from __future__ import annotations

from typing import Any

import pytest

from fakewire import FakeWire
from netobj.core import access, describe, handlers, rules
from netobj.core.access import Policy
from netobj.core.config import Config
from netobj.core.consts import Op
from netobj.core.events import Request
from netobj.core.exposure import exposed


class Account:
    def exposed_balance(self) -> int:
        return 7

    @exposed
    def close(self) -> str:
        return "closed"

    @exposed(concurrent=True, stream=True)
    def entries(self) -> Any:
        return iter((1, 2))


@pytest.fixture(autouse=True)
def undeclared(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (access, rules, handlers):
        monkeypatch.setattr(module, "HIDING", [])
    for module in (access, describe):
        monkeypatch.setattr(module, "MOUNTED", [])
    monkeypatch.setattr(handlers, "PLACED", [])


def test_names_are_remembered() -> None:
    class Box(Account):
        def exposed_open(self) -> int:
            return 3

    policy = Policy(Config(), "server")
    for _ in range(3):
        assert policy.getattr(Box(), "open")() == 3
        assert policy.attribute(Box(), "open", access.Access.GET) == "exposed_open"
    del Box.exposed_open
    with pytest.raises(AttributeError):
        policy.getattr(Box(), "open")


def test_what_is_shown() -> None:
    policy = Policy(Config(), "server")
    names = [name for name in policy.names(Account()) if not name.startswith("_")]
    assert names == ["balance", "close", "entries"]
    assert policy.methods_of(Account) == {"balance", "close", "entries"}
    assert policy.described(Account, lambda tp, _: tp.__name__) == "Account"


def test_where_a_call_runs() -> None:
    session = FakeWire(None, None).left.session
    for name in ("close", "nothing"):
        request = Request(1, None, None, Op.CALL, Account(), name, (), False)
        assert handlers.declared_run(session, request) is None
        assert not handlers.runs_on_loop(session, request)


def test_calls() -> None:
    wire = FakeWire(None, Account())
    root = wire.left.root
    assert root.balance() == 7
    assert root.close() == "closed"
    with pytest.raises(AttributeError):
        root.nothing()
