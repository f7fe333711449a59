"""A console and a debugger on the other side of a connection."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

import pytest

import netobj
from netobj import classic, interactive

SERVE_STDIO = """
import os
import netobj
incoming, outgoing = os.dup(0), os.dup(1)
os.dup2(2, 1)
netobj.connect_pipes(incoming, outgoing, netobj.SlaveService).serve_all()
"""

FAILING = """
class Broken(Exception):
    pass

def outer(depth):
    secret = 6 * 7
    if depth:
        outer(depth - 1)
    raise Broken('as expected')
"""

Typing = Callable[..., "Screens"]


class Screens:
    """What was printed on this side."""

    def __init__(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Typing:
    """``typing(line, ...)``: these lines are this side's standard input."""

    def type_in(*lines: str) -> Screens:
        screens = Screens()
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        monkeypatch.setattr(sys, "stdout", screens.out)
        monkeypatch.setattr(sys, "stderr", screens.err)
        return screens

    return type_in


@pytest.fixture(scope="module")
def conn() -> Iterator[netobj.Connection]:
    with classic.connect_subproc([sys.executable, "-c", SERVE_STDIO]) as connection:
        yield connection
    connection.proc.wait(20)


# --- interact -----------------------------------------------------------------------------------


def test_interact(conn: netobj.Connection, typing: Typing) -> None:
    pid = conn.modules.os.getpid()
    screens = typing(
        "import os",
        "os.getpid()",
        "factor * 2",
        "for word in 'ab':",
        "    print(word * 3)",
        "",
        "name = input('who? ')",
        "me",
        "'hello ' + name",
        "1 / 0",
        "type(conn).__name__",
    )
    assert classic.interact(conn, {"factor": 21}) == 0
    shown = screens.out.getvalue()
    assert f"{pid}\n" in shown
    assert "42\n" in shown
    assert "aaa\nbbb\n" in shown
    assert "who? " in shown
    assert "'hello me'\n" in shown
    assert "'Connection'\n" in shown
    assert "ZeroDivisionError: division by zero" in screens.err.getvalue()


def test_interact_ends_with_exit(conn: netobj.Connection, typing: Typing) -> None:
    typing("exit(3)", "print('not run')")
    assert classic.interact(conn) == 3
    assert conn.eval("1 + 1") == 2


def test_interact_uses_objects_of_this_side(conn: netobj.Connection, typing: Typing) -> None:
    found: list[int] = []
    typing("found.append(6 * 7)")
    classic.interact(conn, {"found": found})
    assert found == [42]


def test_interact_when_the_connection_ends(typing: Typing) -> None:
    conn = classic.connect_subproc([sys.executable, "-c", SERVE_STDIO])
    screens = typing("import os", "os._exit(0)")
    with conn:
        assert classic.interact(conn) == 1
    assert "the server went away" in screens.err.getvalue()
    conn.proc.wait(20)


def test_interact_of_a_mock_connection(typing: Typing) -> None:
    screens = typing("6 * factor")
    assert classic.interact(classic.MockClassicConnection(), {"factor": 7}) == 0
    assert "42\n" in screens.out.getvalue()


# --- pm -----------------------------------------------------------------------------------------


def fail(conn: Any, depth: int = 1) -> None:
    conn.execute(FAILING)
    with pytest.raises(Exception, match="as expected"):
        conn.namespace["outer"](depth)


def test_pm(conn: netobj.Connection, typing: Typing) -> None:
    fail(conn)
    screens = typing("p secret, depth", "up", "p depth", "print('said there')", "bt", "q")
    classic.pm(conn)
    shown = screens.out.getvalue()
    assert "(42, 0)" in shown
    assert "\n1\n" in shown or "(Pdb) 1\n" in shown
    assert "said there" in shown
    assert "netobj" not in shown.replace("netobj.connect", "")  # it begins in the user's code
    fail(conn, 3)
    screens = typing("up", "up", "up", "p depth", "q")
    classic.pm(conn)
    assert "3\n" in screens.out.getvalue()


def test_pm_passes_over_what_failed_before_any_code_ran(
    conn: netobj.Connection, typing: Typing
) -> None:
    fail(conn)
    with pytest.raises(FileNotFoundError):
        conn.modules.os.remove("/no/such/file")
    assert not hasattr(conn.modules.os, "no_such_name")
    screens = typing("p secret", "q")
    classic.pm(conn)
    assert "42" in screens.out.getvalue()


def test_pm_where_nothing_has_failed(typing: Typing) -> None:
    with (
        classic.connect_thread() as conn,
        pytest.raises(ValueError, match="no call of this connection has failed"),
    ):
        classic.pm(conn)


def test_pm_at_the_end_of_input(conn: netobj.Connection, typing: Typing) -> None:
    fail(conn)
    typing()
    classic.pm(conn)
    assert conn.eval("1 + 1") == 2


def test_pm_of_a_mock_connection(typing: Typing, monkeypatch: pytest.MonkeyPatch) -> None:
    conn = classic.MockClassicConnection()
    monkeypatch.delattr(sys, "last_traceback", raising=False)
    with pytest.raises(ValueError, match="no call"):
        classic.pm(conn)
    try:
        conn.eval("1 / 0")
    except ZeroDivisionError as exc:
        monkeypatch.setattr(sys, "last_traceback", exc.__traceback__, raising=False)
    screens = typing("q")
    classic.pm(conn)
    assert "Pdb" in screens.out.getvalue()


def test_what_a_debugger_needs_is_kept_by_classic_servers_only() -> None:
    class Plain(netobj.Service):
        def exposed_fail(self) -> None:
            raise ValueError("as expected")

    kept: list[TracebackType | None] = []

    class Watching(Plain):
        def on_connect(self, conn: Any) -> None:
            self.conn = conn

        def exposed_look(self) -> None:
            kept.append(self.conn.session.last_traceback)

    with netobj.connect_thread(remote_service=Watching) as conn:
        with pytest.raises(ValueError, match="as expected"):
            conn.root.fail()
        conn.root.look()
    with netobj.connect_thread(
        remote_service=Watching, remote_config={"allow_all_attrs": True}
    ) as conn:
        with pytest.raises(ValueError, match="as expected"):
            conn.root.fail()
        conn.root.look()
    assert kept[0] is None
    assert kept[1] is not None
    frame: FrameType = kept[1].tb_frame
    assert frame.f_code.co_name == "exposed_fail"


def test_readline_is_loaded_for_a_prompt_only() -> None:
    code = (
        "import sys, netobj.utils.classic, netobj.interactive; "
        "print({'readline', 'plumbum', 'numpy'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "set()\n"
    assert classic.interact is interactive.interact
    assert classic.pm is interactive.pm
