from __future__ import annotations

import io
from pathlib import Path

import pytest

from netobj.cli.terminal import Terminal, history_path


def test_lines_are_read_without_their_end() -> None:
    out = io.StringIO()
    terminal = Terminal(io.StringIO("one\n\nlast"), out, io.StringIO())
    assert [terminal.read("> ") for _ in range(3)] == ["one", "", "last"]
    with pytest.raises(EOFError):
        terminal.read("> ")
    assert out.getvalue() == "> " * 4


def test_answers_need_no_prompt() -> None:
    out = io.StringIO()
    terminal = Terminal(io.StringIO("Ada\n"), out, io.StringIO())
    terminal.write(((1, "name? "),))
    assert terminal.read_answer() == "Ada"
    assert out.getvalue() == "name? "


def test_each_stream_has_its_output() -> None:
    out, err = io.StringIO(), io.StringIO()
    terminal = Terminal(io.StringIO(), out, err)
    terminal.write(((1, "a"), (2, "b"), (1, "c")))
    terminal.error("d")
    assert (out.getvalue(), err.getvalue()) == ("ac", "bd")


def test_what_the_terminal_cannot_show_is_escaped() -> None:
    raw = io.BytesIO()
    terminal = Terminal(io.StringIO(), io.TextIOWrapper(raw, encoding="ascii"), io.StringIO())
    terminal.write(((1, "ä\ud800x"),))
    assert raw.getvalue() == b"\\xe4\\ud800x"


def test_the_history_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETOBJ_HISTORY", "/some/where")
    assert history_path() == Path("/some/where")
    monkeypatch.delenv("NETOBJ_HISTORY")
    assert history_path() == Path.home() / ".netobj_history"
