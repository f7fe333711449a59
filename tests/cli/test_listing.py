"""``netobj ls``: the table of what is offered, and names where the server does not tell more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import netobj
from netobj.cli.listing import table
from netobj.cli.main import Netobj


class Shelf(netobj.Service):
    ALIASES = ("SHELF",)

    @netobj.exposed
    def put(self, thing: str, place: int = 1) -> None:
        """Put \x1b[31mit there.

        More.
        """

    @netobj.exposed(stream=True)
    def things(self) -> Iterator[str]:
        yield "thing"


def listed(capsys: pytest.CaptureFixture[str], server: Any, *switches: str) -> tuple[int, str, str]:
    code = Netobj.run(["netobj", "ls", *switches, f"127.0.0.1:{server.port}"], exit=False)[1]
    return code, *capsys.readouterr()


@pytest.mark.parametrize("kind", [netobj.ThreadedServer, netobj.AsyncServer])
def test_a_table(kind: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with kind(Shelf, hostname="127.0.0.1", introspect=True) as server:
        code, out, err = listed(capsys, server)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["NAME", "KIND", "SIGNATURE", "DOC"]
    (put,) = [line for line in lines if line.startswith("put ")]
    kind_at, signature_at, doc_at = (lines[0].index(word) for word in ("KIND", "SIGNATURE", "DOC"))
    assert put[kind_at:signature_at].strip() == "function"
    assert put[signature_at:doc_at].strip() == "(thing: str, place: int = 1) -> None"
    assert put[doc_at:] == "Put \\x1b[31mit there."
    (things,) = [line for line in lines if line.startswith("things ")]
    assert things.split()[1] == "stream"
    assert not any(line.endswith(" ") for line in lines)


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    with netobj.ThreadedServer(Shelf, hostname="127.0.0.1", introspect=True) as server:
        code, out, err = listed(capsys, server, "--json")
    assert (code, err) == (0, "")
    assert {
        "name": "put",
        "kind": "function",
        "signature": "(thing: str, place: int = 1) -> None",
        "doc": "Put \x1b[31mit there.",
    } in json.loads(out)


class Own(netobj.Service):
    """Has a system of its own, which is not asked."""

    @netobj.exposed
    def system(self) -> None:
        raise AssertionError("nobody has asked for this")


class Value(netobj.Service):
    exposed_system = "a value"


@pytest.mark.parametrize("service", [Shelf, Own, Value])
def test_names_where_introspection_is_off(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with netobj.ThreadedServer(service, hostname="127.0.0.1") as server:
        code, out, err = listed(capsys, server)
        names = out.split()
        assert code == 0
        assert ("put" if service is Shelf else "system") in names
        assert not any(name.startswith("_") for name in names)
        assert "introspect=True" in err
        assert err.count("\n") == 1
        code, out, err = listed(capsys, server, "--json")
        assert (code, json.loads(out)) == (0, names)


class Forged(netobj.Service):
    """Looks like introspection, and is none."""

    def __init__(self) -> None:
        self.exposed_system = Forgery()


class Forgery:
    answer: Any = None

    @netobj.exposed(by_value=True)
    def methods(self) -> Any:
        return self.answer


Forgery.__module__, Forgery.__qualname__ = "netobj.introspection", "System"


@pytest.mark.parametrize(
    "answer",
    [
        3,
        [3],
        [{}],
        [{"name": 3, "kind": "", "signature": "", "doc": ""}],
        [{"name": [], "kind": "", "signature": "", "doc": ""}],
    ],
)
def test_an_answer_that_is_none(
    answer: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Forgery, "answer", answer)
    with netobj.ThreadedServer(Forged, hostname="127.0.0.1") as server:
        code, out, err = listed(capsys, server)
    assert (code, out) == (1, "")
    assert err.startswith("netobj ls: ")
    assert err.count("\n") == 1


def test_columns() -> None:
    long = "x" * 100
    assert table([["A", "B"], [long, "b"], ["a\x1b", None]]) == [
        "A" + 61 * " " + "B",
        f"{long}  b",
        "a\\x1b",
    ]
