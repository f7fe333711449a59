"""The local half, with the remote half in the same process or a scripted one in its place."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from netobj.cli import console as console_module
from netobj.cli.console import INTERRUPTED, Link, Outcome, Shell
from netobj.cli.remote_console import RemoteConsole
from netobj.cli.terminal import Terminal
from netobj.errors import ConnectionLost

if sys.platform == "win32":
    pytest.skip("os.kill ends the process there", allow_module_level=True)


class Typed:
    """A shell at which *lines* are typed, and what it wrote."""

    def __init__(self, *lines: str, make: Callable[[Link], Any] | None = None) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        typed = io.StringIO("".join(f"{line}\n" for line in lines))
        terminal = Terminal(typed, self.out, self.err)
        self.shell = Shell(make or in_process, terminal)


def in_process(link: Link) -> RemoteConsole:
    return RemoteConsole(link.write, link.read_line)


class Scripted:
    """A remote half that does as the test says: *behave* stands for the run."""

    def __init__(self, behave: Callable[[Scripted], Outcome]) -> None:
        self.behave = behave
        self.sources: list[str] = []
        self.interrupted: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.abandoned = threading.Event()
        self.closed = threading.Event()

    def __call__(self, link: Link) -> Scripted:
        self.link = link
        return self

    def run(self, source: str, symbol: str, filename: str | None) -> Outcome:
        self.sources.append(source)
        return self.behave(self)

    def interrupt(self) -> bool:
        self.interrupted.put(None)
        return True

    def abandon(self) -> None:
        self.abandoned.set()

    def complete(self, text: str) -> Sequence[str]:
        return (text + "pleted",)

    def banner(self) -> str:
        return "scripted"

    def close(self) -> None:
        self.closed.set()


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_session() -> None:
    typed = Typed("x = 20", "def f(y):", "    return y * 2", "", "f(x) + 2", "", "# remark", "_")
    assert typed.shell.interact() == 0
    assert typed.out.getvalue() == ">>> >>> ... ... >>> 42\n>>> >>> >>> 42\n>>> \n"
    assert typed.err.getvalue().startswith("Python 3.")
    assert typed.err.getvalue().count("\n") == 1


def test_errors_do_not_end_the_session() -> None:
    typed = Typed("1/0", "a b", "print('on')")
    assert typed.shell.interact() == 0
    assert "ZeroDivisionError: division by zero\n" in typed.err.getvalue()
    assert "SyntaxError: " in typed.err.getvalue()
    assert "on\n" in typed.out.getvalue()


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("raise SystemExit(4)", 4, ""),
        ("import sys; sys.exit('why')", 1, "why\n"),
        ("exit()", 0, ""),
    ],
)
def test_exits_end_it(line: str, status: int, said: str) -> None:
    typed = Typed(line, "print('not reached')")
    assert typed.shell.interact() == status
    assert typed.err.getvalue().partition("\n")[2] == said
    assert "not reached" not in typed.out.getvalue()


def test_input_of_the_remote_side_is_read_here() -> None:
    typed = Typed("name = input('name? ')", "Ada", "name")
    assert typed.shell.interact() == 0
    assert typed.out.getvalue() == ">>> name? >>> 'Ada'\n>>> \n"


def test_the_end_of_input_is_the_end_over_there_too() -> None:
    typed = Typed("input()")
    assert typed.shell.interact() == 0
    assert "EOFError: EOF when reading a line" in typed.err.getvalue()


def test_newer_syntax_is_for_the_other_side_to_judge() -> None:
    outcomes = iter([("incomplete",), ("ok",)])
    remote = Scripted(lambda _: next(outcomes))
    typed = Typed("a b of the future:", "  more", make=remote)
    assert typed.shell.interact() == 0
    assert remote.sources == ["a b of the future:", "a b of the future:\n  more"]


def test_lines_that_need_more_are_not_sent() -> None:
    remote = Scripted(lambda _: ("ok",))
    typed = Typed("if x:", "  (y", "  )", "", make=remote)
    typed.shell.interact()
    assert remote.sources == ["if x:\n  (y\n  )\n"]


@pytest.mark.parametrize(
    ("source", "status"),
    [("x = 1\n5\n", 0), ("1/0", 1), ("raise SystemExit(7)", 7), ("raise KeyboardInterrupt", 130),
     ("a b", 1)],
)  # fmt: skip
def test_scripts(source: str, status: int) -> None:
    typed = Typed()
    assert typed.shell.run_script(source, "script.py") == status
    assert typed.out.getvalue() == ""
    assert ('File "script.py"' in typed.err.getvalue()) == (status in (1, 130))


def test_cells() -> None:
    typed = Typed()
    assert typed.shell.run_cell("x = 1\nx + 1") is None
    assert typed.shell.run_cell("raise SystemExit(3)") == 3
    assert typed.out.getvalue() == "2\n"


def test_the_server_goes_away() -> None:
    def lose(remote: Scripted) -> Outcome:
        raise ConnectionLost("it was switched off")

    typed = Typed("x", "y", make=Scripted(lose))
    assert typed.shell.interact() == 1
    assert typed.err.getvalue() == "scripted\nthe server went away: it was switched off\n"
    assert Typed(make=Scripted(lose)).shell.run_script("x", "s") == 1


def test_the_server_is_gone_from_the_start() -> None:
    class Gone(Scripted):
        def banner(self) -> str:
            raise ConnectionLost("gone")

    typed = Typed("x", make=Gone(lambda _: ("ok",)))
    assert typed.shell.interact() == 1
    assert typed.err.getvalue() == "the server went away: gone\n"


def test_a_fault_of_the_shell_is_shown_and_survived() -> None:
    def fail(remote: Scripted) -> Outcome:
        raise LookupError("a bug")

    typed = Typed("x", "y", make=Scripted(fail))
    assert typed.shell.interact() == 0
    assert typed.err.getvalue().count("LookupError: a bug\n") == 2


def test_ctrl_c_interrupts_what_runs_over_there() -> None:
    def run(remote: Scripted) -> Outcome:
        press_ctrl_c()
        remote.interrupted.get()
        return ("interrupted", "KeyboardInterrupt\n")

    typed = Typed("x", make=Scripted(run))
    handler = signal.getsignal(signal.SIGINT)
    assert typed.shell.interact() == 0
    assert typed.err.getvalue() == "scripted\nKeyboardInterrupt\n"
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_stops_a_real_loop() -> None:
    typed = Typed(
        "import os",
        "if os.kill(os.getpid(), 2) is None:",
        "    while True: pass",
        "",
        "print('on')",
    )
    assert typed.shell.interact() == 0
    assert typed.err.getvalue().endswith("KeyboardInterrupt\n")
    assert "on\n" in typed.out.getvalue()


def test_each_early_ctrl_c_interrupts_again() -> None:
    def run(remote: Scripted) -> Outcome:
        for _ in range(3):
            press_ctrl_c()
            remote.interrupted.get()
        return ("ok",)

    remote = Scripted(run)
    assert Typed("x", make=remote).shell.interact() == 0
    assert not remote.abandoned.is_set()


def test_what_does_not_react_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "_PATIENCE", 0.05)
    release, warned = threading.Event(), threading.Event()

    def run(remote: Scripted) -> Outcome:
        if len(remote.sources) > 1:
            return ("ok",)
        press_ctrl_c()
        warned.wait()
        assert not release.wait(0.5)  # long enough to be warned again, which is not to be
        press_ctrl_c()
        release.wait()
        return ("error", "of what was abandoned")

    class Watched(io.StringIO):
        def write(self, text: str) -> int:
            if "press Ctrl-C again" in text:
                warned.set()
            return super().write(text)

    remote, err = Scripted(run), Watched()
    shell = Shell(remote, Terminal(io.StringIO("x\ny\n"), io.StringIO(), err))
    try:
        assert shell.interact() == 0
    finally:
        release.set()
    assert remote.abandoned.wait(60)
    assert remote.sources == ["x", "y"]
    assert err.getvalue() == (
        "scripted\n"
        "(the remote call does not react; press Ctrl-C again to abandon it)\n"
        "(abandoned: it cannot be interrupted, and goes on over there)\n"
    )


def test_an_abandoned_script_has_the_status_of_an_interrupted_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Shell, "execute", lambda *args: ("abandoned",))
    assert Typed().shell.run_script("x", "s") == INTERRUPTED


def test_ctrl_c_at_the_prompt_gives_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: Iterator[str | BaseException] = iter(["if x:", KeyboardInterrupt(), "y", EOFError()])

    def read(self: Terminal, prompt: str) -> str:
        line = next(lines)
        if isinstance(line, BaseException):
            raise line
        return line

    monkeypatch.setattr(Terminal, "read", read)
    remote = Scripted(lambda _: ("ok",))
    typed = Typed(make=remote)
    assert typed.shell.interact() == 0
    assert remote.sources == ["y"]
    assert typed.err.getvalue() == "scripted\n\nKeyboardInterrupt\n"


def test_ctrl_c_at_an_input_goes_to_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_answer(self: Terminal) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(Terminal, "read_answer", read_answer)
    typed = Typed("input()")
    assert typed.shell.interact() == 0
    assert typed.err.getvalue().endswith("KeyboardInterrupt\n")


def test_ctrl_c_just_before_a_question_is_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal comes when the question was taken from the queue and nothing is read yet."""
    swap = console_module._interrupts_raised

    def press_and_swap() -> contextlib.AbstractContextManager[None]:
        signal.raise_signal(signal.SIGINT)
        return swap()

    monkeypatch.setattr(console_module, "_interrupts_raised", press_and_swap)
    answers: list[str | None] = []

    def run(remote: Scripted) -> Outcome:
        answers.append(remote.link.read_line())
        return ("ok",)

    remote = Scripted(run)
    assert Typed("x", "not the answer", make=remote).shell.interact() == 0
    assert answers[0] is None
    assert remote.interrupted.empty()


def test_a_question_ends_with_the_run_that_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()

    def read_answer(self: Terminal) -> str:
        asked.set()
        os.read(silent, 1)
        return "not reached"

    def run(remote: Scripted) -> Outcome:
        threading.Thread(target=remote.link.read_line, daemon=True).start()
        asked.wait()
        return ("interrupted", "KeyboardInterrupt\n")

    silent, writer = os.pipe()
    monkeypatch.setattr(Terminal, "read_answer", read_answer)
    typed = Typed("x", make=Scripted(run))
    try:
        assert typed.shell.interact() == 0
    finally:
        os.close(silent)
        os.close(writer)
    assert typed.err.getvalue() == "scripted\n\nKeyboardInterrupt\n"


def test_nobody_is_asked_while_nothing_runs() -> None:
    remote = Scripted(lambda _: ("ok",))
    Typed("x", make=remote)
    assert remote.link.read_line() == ""


def test_completion_is_asked_for_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = Scripted(lambda _: ("ok",))
    shell = Typed(make=remote).shell
    assert shell.complete("com") == ("completed",)
    monkeypatch.setattr(console_module, "_PATIENCE", 0.01)
    release = threading.Event()
    monkeypatch.setattr(remote, "complete", lambda text: release.wait() and ())
    assert shell.complete("com") == ()
    release.set()


def test_closing_tells_the_other_side() -> None:
    remote = Scripted(lambda _: ("ok",))
    Typed(make=remote).shell.close()
    assert remote.closed.is_set()
