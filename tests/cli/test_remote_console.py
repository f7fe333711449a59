from __future__ import annotations

import linecache
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from netobj.cli.remote_console import Outcome, RemoteConsole
from netobj.cli.stdio import Chunks

InThread = Callable[[Callable[[], object]], threading.Thread]


class Screen:
    def __init__(self) -> None:
        self.out: dict[int, str] = {1: "", 2: ""}

    def write(self, chunks: Chunks) -> None:
        for stream, text in chunks:
            self.out[stream] += text


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def console(screen: Screen) -> Iterator[RemoteConsole]:
    console = RemoteConsole(screen.write, lambda: "typed\n", [("given", 20)])
    yield console
    console.close()


def test_values_are_shown_and_names_stay(console: RemoteConsole, screen: Screen) -> None:
    assert console.run("x = given + 1") == ("ok",)
    assert console.run("x * 2") == ("ok",)
    assert console.run("_ + 1") == ("ok",)
    assert console.run("None") == ("ok",)
    assert screen.out == {1: "42\n43\n", 2: ""}


@pytest.mark.parametrize("source", ["if x:", "def f():\n    y = 1", "(1,", "'''", "x = \\"])
def test_more_is_needed(console: RemoteConsole, source: str) -> None:
    assert console.run(source) == ("incomplete",)


def test_blocks(console: RemoteConsole, screen: Screen) -> None:
    assert console.run("for i in range(2):\n    i\n    print('is', i)\n") == ("ok",)
    assert screen.out[1] == "0\nis 0\n1\nis 1\n"


def test_errors_are_told(console: RemoteConsole, screen: Screen) -> None:
    kind, text = console.run("1/0")
    assert kind == "error"
    assert text.startswith('Traceback (most recent call last):\n  File "<netobj-input-')
    assert text.endswith("ZeroDivisionError: division by zero\n")
    assert screen.out == {1: "", 2: ""}
    assert isinstance(sys.last_value, ZeroDivisionError)
    assert "remote_console" not in sys.last_traceback.tb_frame.f_code.co_filename  # type: ignore[union-attr]


def test_errors_go_to_a_hook_that_the_user_set(console: RemoteConsole, screen: Screen) -> None:
    hook = sys.excepthook
    try:
        console.run("import sys")
        console.run("def hook(*about): print('hooked', about[0].__name__)\n")
        console.run("sys.excepthook = hook")
        assert console.run("1/0") == ("error", "")
        console.run("sys.excepthook = lambda: 0")
        kind, text = console.run("1/0")
        assert kind == "error"
        assert text.startswith("Error in sys.excepthook:\nTypeError: <lambda>() takes 0")
        assert "\nOriginal exception was:\nTraceback (most recent call last)" in text
    finally:
        sys.excepthook = hook
    assert screen.out[1] == "hooked ZeroDivisionError\n"


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("raise SystemExit", ("exit", 0, "")),
        ("raise SystemExit(3)", ("exit", 3, "")),
        ("raise SystemExit('no')", ("exit", 1, "no\n")),
        ("import sys; sys.exit(True)", ("exit", 1, "")),
    ],
)
def test_exits(console: RemoteConsole, source: str, outcome: Outcome) -> None:
    assert console.run(source) == outcome


def test_input_comes_from_the_terminal(console: RemoteConsole, screen: Screen) -> None:
    assert console.run("x = input('say: ')") == ("ok",)
    assert console.namespace["x"] == "typed"
    assert screen.out[1] == "say: "


def test_ctrl_c_at_an_input_is_a_keyboard_interrupt(screen: Screen) -> None:
    console = RemoteConsole(screen.write, lambda: None)
    kind, text = console.run("input()")
    assert kind == "interrupted"
    assert text.endswith("KeyboardInterrupt\n")


def test_output_has_arrived_when_a_run_returns(console: RemoteConsole, screen: Screen) -> None:
    console.run("import sys; print('a', end=''); print('b', end='', file=sys.stderr)")
    assert screen.out == {1: "a", 2: "b"}


def test_warnings_of_the_compiler_are_heard(
    console: RemoteConsole, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def show(message: Warning | str, *about: object) -> None:
        print(message, file=sys.stderr)

    monkeypatch.setattr(warnings, "showwarning", show)
    console.run("x = 1 is 1")
    assert '"is" with' in screen.out[2]


def test_future_statements_are_remembered_and_ours_not_inherited(console: RemoteConsole) -> None:
    source = "def f(x: 1 + 1): pass\n"
    console.run(source)
    assert console.run("kind = f.__annotations__['x']") == ("ok",)
    assert console.namespace["kind"] == 2
    console.run("from __future__ import annotations")
    console.run(source)
    console.run("kind = f.__annotations__['x']")
    assert console.namespace["kind"] == "1 + 1"
    assert console.run(source + "kind = f.__annotations__['x']", "exec") == ("ok",)
    assert console.namespace["kind"] == 2


def test_scripts_have_their_name(console: RemoteConsole, screen: Screen) -> None:
    source = "def f():\n    return 1/0\n5\nf()\n"
    kind, text = console.run(source, "exec", "some script.py")
    assert kind == "error"
    assert 'File "some script.py", line 4, in <module>\n    f()\n' in text
    assert 'File "some script.py", line 2, in f\n    return 1/0\n' in text
    assert screen.out[1] == ""


@pytest.mark.parametrize(
    ("cell", "shown"),
    [("x = 4\nx", "4\n"), ("x = 5", ""), ("1\n2\n", "2\n"), ("", ""), ("if 1:\n  print(3)", "3\n")],
)
def test_cells_show_their_last_value(
    console: RemoteConsole, screen: Screen, cell: str, shown: str
) -> None:
    assert console.run(cell, "cell") == ("ok",)
    assert screen.out[1] == shown


def test_completion(console: RemoteConsole) -> None:
    console.run("import os.path")
    assert console.complete("giv") == ("given",)
    assert "os.path.join(" in console.complete("os.path.jo")


def test_the_banner_says_which_python_and_where(console: RemoteConsole) -> None:
    assert console.banner().startswith(f"Python {sys.version_info[0]}.{sys.version_info[1]}")
    assert "\n" not in console.banner()


def test_a_run_is_interrupted_from_another_thread(
    console: RemoteConsole, screen: Screen, in_thread: InThread
) -> None:
    started = threading.Event()
    console.namespace["started"] = started
    outcomes: list[Outcome] = []
    source = "started.set()\nwhile True: pass\n"
    thread = in_thread(lambda: outcomes.append(console.run(source, "exec")))
    assert started.wait(60)
    assert console.interrupt()
    thread.join()
    ((kind, text),) = outcomes
    assert kind == "interrupted"
    assert text.endswith("KeyboardInterrupt\n")
    assert not console.interrupt()
    assert console.run("print('alive')") == ("ok",)
    assert screen.out[1] == "alive\n"


def test_what_is_abandoned_is_heard_no_more(
    console: RemoteConsole, screen: Screen, in_thread: InThread
) -> None:
    started, release = threading.Event(), threading.Event()
    console.namespace.update(started=started, release=release)
    source = "print('before')\nstarted.set()\nrelease.wait()\nprint('after')\nanswer = input()\n"
    outcomes: list[Outcome] = []
    thread = in_thread(lambda: outcomes.append(console.run(source, "exec")))
    assert started.wait(60)
    console.abandon()
    assert console.run("print('next')") == ("ok",)
    release.set()
    thread.join()
    assert screen.out[1].replace("before\n", "") == "next\n"
    assert outcomes[0][0] == "error"
    assert outcomes[0][1].endswith("EOFError: EOF when reading a line\n")


def test_two_consoles_do_not_share_names_or_output(screen: Screen, in_thread: InThread) -> None:
    other_screen = Screen()
    consoles = [RemoteConsole(one.write, lambda: "") for one in (screen, other_screen)]
    barrier = threading.Barrier(2)

    def work(number: int) -> None:
        for _ in range(100):
            barrier.wait()
            consoles[number].run(f"x = {number}; x")

    threads = [in_thread(lambda: work(0)), in_thread(lambda: work(1))]
    for thread in threads:
        thread.join()
    assert (screen.out[1], other_screen.out[1]) == ("0\n" * 100, "1\n" * 100)


def test_closing_forgets_the_inputs(screen: Screen) -> None:
    def remembered() -> set[Any]:
        return {name for name in linecache.cache if name.startswith("<netobj-input-")}

    before = remembered()
    console = RemoteConsole(screen.write, lambda: "")
    console.run("x = 1")
    console.run("1/0")
    console.run("a b")
    assert len(remembered() - before) == 3
    console.close()
    assert remembered() == before
