"""What commands print of the other side's: nothing that steers a terminal."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from netobj.cli.printing import NoJson, as_json, complain, error_text, printable, say


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä 漢 🙂", "plain ä 漢 🙂"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\r\x08b\x7f\x9b", "a\\r\\x08b\\x7f\\x9b"),
        ("right\u202eleft", "right\\u202eleft"),
        ("half \ud800", "half \\ud800"),
        ("a\nb\tc\u2028", "a\\nb\\tc\\u2028"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text, lines=True) == shown.replace("\\n", "\n")


def test_say_and_complain(capsys: pytest.CaptureFixture[str]) -> None:
    say("one\ntwo\x1b")
    complain("netobj ls", "three\nfour\x1b")
    assert capsys.readouterr() == ("one\ntwo\\x1b\n", "netobj ls: three\\nfour\\x1b\n")


def test_what_the_terminal_has_no_letters_for(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    say("ä")
    assert written.getvalue() == b"\\xe4\n"


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", float("nan"), object(), {(1,): 2}])
def test_what_has_no_json(value: Any) -> None:
    with pytest.raises(NoJson, match="has no JSON"):
        as_json(value)


def test_what_contains_itself_has_no_json() -> None:
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(NoJson):
        as_json(ring)


def test_json_is_ascii() -> None:
    assert as_json(["ä\x1b"]) == '["\\u00e4\\u001b"]'


def test_errors_in_one_line() -> None:
    assert error_text(KeyError("x")) == "KeyError: 'x'"
    assert error_text(RuntimeError()) == "RuntimeError"
