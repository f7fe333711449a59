"""The shell as its users have it: ``netobj_classic shell`` in a real pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="pseudo-terminals are there on POSIX only")
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)
fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

COMMAND = [sys.executable, "-m", "netobj.cli"]
ROOT = Path(__file__).parents[2]
DEADLINE = 60.0  # seconds; for hangs only
PROMPT = ">>> "
CTRL_C, CTRL_D, TAB = "\x03", "\x04", "\t"


class Pty:
    """A command in a pseudo-terminal of its own, spoken to as a person does."""

    def __init__(self, *args: str, history: Path, cwd: Path) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # So wide that the line editor need not break or scroll a line.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
            os.chdir(cwd)
            env = {**os.environ, "TERM": "dumb", "NETOBJ_HISTORY": str(history)}
            env |= {"PYTHONPATH": str(ROOT), "INPUTRC": "/dev/null"}
            os.execve(sys.executable, [*COMMAND, *args], env)
        self.seen = ""  # since the last expectation
        self.all = ""
        self.status: int | None = None

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def enter(self, line: str) -> None:
        """Type a line at the prompt, and see it echoed."""
        self.type(line + "\r")
        self.expect(re.escape(line) + r"\r\n")

    def expect(self, pattern: str) -> re.Match[str]:
        """Read until *pattern* is on the screen; what comes after it stays for the next one."""
        until = time.monotonic() + DEADLINE
        while (found := re.search(pattern, self.seen)) is None:
            if not self._read(until):
                raise AssertionError(f"{pattern!r} never came; on the screen:\n{self.all}")
        self.seen = self.seen[found.end() :]
        return found

    def answer(self, line: str) -> str:
        """What is printed between *line* and the next prompt."""
        self.enter(line)
        return self.expect(rf"(?s)(.*?){PROMPT}")[1].replace("\r\n", "\n")

    def end(self) -> int:
        """Read until the command ends; its exit status."""
        until = time.monotonic() + DEADLINE
        while self._read(until):
            pass
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def close(self) -> None:
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def _read(self, until: float) -> bool:
        if not select.select([self.fd], [], [], max(0.0, until - time.monotonic()))[0]:
            return False
        try:
            text = os.read(self.fd, 1 << 16).decode(errors="replace")
        except OSError:  # what Linux says at the end
            return False
        self.seen += text
        self.all += text
        return bool(text)


Start = Callable[..., Pty]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Pty] = []

    def make(*args: str) -> Pty:
        one = Pty(*args, history=tmp_path / "history", cwd=tmp_path)
        started.append(one)
        return one

    yield make
    for one in started:
        one.close()


@pytest.fixture
def shell(start: Start) -> Pty:
    one = start("shell")
    one.expect(r"Python 3\.\d+\.\d+.*\r\n")
    one.expect(PROMPT)
    return one


class Server:
    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """``netobj_classic`` on a free port, which its log tells."""
    with subprocess.Popen(
        [*COMMAND, "--port", "0"],
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(r"127\.0\.0\.1\D+(\d+)", line):
                    break
            else:
                raise AssertionError("the server ended without a word on its address")
            yield Server(process, f"127.0.0.1:{found[1]}")
        finally:
            process.kill()


def test_a_session(shell: Pty) -> None:
    assert shell.answer("import os, sys") == ""
    assert shell.answer("6 * 7") == "42\n"
    assert shell.answer("_ + 1") == "43\n"
    assert shell.answer(f"os.getpid() == {shell.pid}") == "False\n"
    assert shell.answer("sys.path.append('/added'); sys.path[-1]") == "'/added'\n"
    assert shell.answer("print('to stderr', file=sys.stderr)") == "to stderr\n"
    assert shell.answer("__name__, sys.argv, sys.path[0]") == "('__main__', [''], '')\n"
    shell.type(CTRL_D)
    assert shell.end() == 0


def test_lines_of_a_block(shell: Pty) -> None:
    shell.enter("def double(x):")
    shell.expect(r"\.\.\. ")
    shell.enter("    return x * 2")
    shell.expect(r"\.\.\. ")
    shell.enter("")
    shell.expect(PROMPT)
    assert shell.answer("double('ab')") == "'abab'\n"


def test_tracebacks(shell: Pty) -> None:
    text = shell.answer("1/0")
    assert text.startswith('Traceback (most recent call last):\n  File "<netobj-input-')
    assert text.endswith("ZeroDivisionError: division by zero\n")
    assert str(ROOT) not in text


def test_input_is_read_at_the_terminal_and_kept_out_of_the_history(
    shell: Pty, tmp_path: Path
) -> None:
    shell.enter("secret = input('password? ')")
    shell.expect(r"password\? ")
    shell.enter("swordfish")
    shell.expect(PROMPT)
    assert shell.answer("secret") == "'swordfish'\n"
    shell.type(CTRL_D)
    assert shell.end() == 0
    assert (tmp_path / "history").read_text().splitlines() == [
        "secret = input('password? ')",
        "secret",
    ]


def test_history_is_there_the_next_time(start: Start) -> None:
    for expected in ("", "'remembered'"):
        one = start("shell")
        one.expect(PROMPT)
        if expected:
            one.type("\x10\r")  # Ctrl-P: the line before
            one.expect(expected)
            one.expect(PROMPT)
        else:
            one.answer("'remem' + 'bered'")
        one.type(CTRL_D)
        assert one.end() == 0


def test_remote_names_are_completed(shell: Pty) -> None:
    shell.answer("remote_only_name = 'abc'")
    shell.type(f"remote_onl{TAB}")
    shell.expect("remote_only_name")
    shell.type(f".swapc{TAB}")
    shell.expect(r"swapcase\(")
    shell.type(")\r")
    shell.expect(r"'ABC'\r\n")


def test_ctrl_c_stops_a_loop_and_keeps_the_session(shell: Pty) -> None:
    shell.answer("kept = 1")
    shell.enter("print('started') or [0 for _ in iter(int, 1)]")
    shell.expect(r"started\r\n")
    shell.type(CTRL_C)
    shell.expect(r"(?s)Traceback.*\nKeyboardInterrupt\r\n")
    shell.expect(PROMPT)
    assert shell.answer("kept") == "1\n"


def test_ctrl_c_stops_a_system_call(shell: Pty) -> None:
    shell.answer("import os, select; pipe = os.pipe()")
    shell.enter("print('started') or select.select([pipe[0]], [], [])")
    shell.expect(r"started\r\n")
    shell.type(CTRL_C)
    shell.expect(r"(?s)Traceback.*\nKeyboardInterrupt\r\n")
    shell.expect(PROMPT)
    assert shell.answer("1 + 1") == "2\n"


def test_ctrl_c_at_the_prompt(shell: Pty) -> None:
    shell.type("half a line")
    shell.expect("half a line")
    # Python looks for signals when its wait for a key is interrupted. One that comes just before
    # that wait is seen when the line is entered: hence the return.
    shell.type(CTRL_C + "\r")
    shell.expect(r"KeyboardInterrupt\r\n")
    shell.expect(PROMPT)
    assert shell.answer("1 + 1") == "2\n"


def test_ctrl_c_at_an_input(shell: Pty) -> None:
    shell.enter("input('? ')")
    shell.expect(r"\? ")
    shell.type(CTRL_C)
    shell.expect(r"(?s)Traceback.*\nKeyboardInterrupt\r\n")
    shell.expect(PROMPT)
    assert shell.answer("1 + 1") == "2\n"


def test_local_is_at_hand(shell: Pty) -> None:
    assert shell.answer("local.modules.os.getpid()") == f"{shell.pid}\n"
    assert shell.answer("local.put('x', [1, 2]); local.get('x')") == "[1, 2]\n"
    assert shell.answer("local.eval('len(x)')") == "2\n"
    assert shell.answer("local.builtins.print('printed here')") == "printed here\n"
    assert shell.answer("conn.closed") == "False\n"


def test_output_of_threads_arrives(shell: Pty) -> None:
    shell.answer("import threading")
    shell.enter(
        "t = threading.Thread(target=lambda: print('from', 'a thread')); t.start(); t.join()"
    )
    shell.expect(r"from a thread\r\n")


def test_exit_has_a_status(shell: Pty) -> None:
    shell.enter("import sys; sys.exit(7)")
    assert shell.end() == 7


def test_the_process_of_its_own_ends_with_the_shell(shell: Pty) -> None:
    pid = int(shell.answer("import os; os.getpid()"))
    shell.type(CTRL_D)
    assert shell.end() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_server_goes_away(shell: Pty) -> None:
    shell.enter("import os; os._exit(1)")
    shell.expect("the server went away: ")
    assert shell.end() == 1


def test_two_shells_on_one_server_do_not_hear_each_other(start: Start, server: Server) -> None:
    first, second = start("shell", server.address), start("shell", server.address)
    for number, one in enumerate((first, second)):
        one.expect(PROMPT)
        assert one.answer(f"x = {number}; x") == f"{number}\n"
    first.enter("input('first? ')")
    first.expect(r"first\? ")
    assert second.answer("print('only', x)") == "only 1\n"
    first.enter("answer")
    first.expect(r"'answer'\r\n")
    first.expect(PROMPT)
    assert first.answer("x") == "0\n"
    for one in (first, second):
        one.type(CTRL_D)
        assert one.end() == 0
    assert "only" not in first.all
    assert "first" not in second.all


def test_ctrl_c_on_a_server_stops_one_shell_only(start: Start, server: Server) -> None:
    first, second = start("shell", server.address), start("shell", server.address)
    for one in (first, second):
        one.expect(PROMPT)
        one.enter("print('started') or [0 for _ in iter(int, 1)]")
        one.expect(r"started\r\n")
    first.type(CTRL_C)
    first.expect(r"KeyboardInterrupt\r\n")
    first.expect(PROMPT)
    assert first.answer("1 + 1") == "2\n"
    second.type(CTRL_C)
    second.expect(r"KeyboardInterrupt\r\n")
    second.expect(PROMPT)
    assert second.answer("1 + 1") == "2\n"


def test_what_cannot_be_interrupted_is_abandoned(start: Start, server: Server) -> None:
    one = start("shell", server.address)
    one.expect(PROMPT)
    one.answer("import threading; lock = threading.Lock(); lock.acquire()")
    one.enter("print('started') or lock.acquire()")
    one.expect(r"started\r\n")
    one.type(CTRL_C)
    one.expect(r"\(the remote call does not react; press Ctrl-C again to abandon it\)")
    one.type(CTRL_C)
    one.expect(r"\(abandoned: it cannot be interrupted, and goes on over there\)")
    one.expect(PROMPT)
    assert one.answer("1 + 1") == "2\n"
    assert one.answer("lock.release()") == ""


def test_a_server_that_is_stopped(start: Start, server: Server) -> None:
    one = start("shell", server.address)
    one.expect(PROMPT)
    server.process.kill()
    server.process.wait()
    one.enter("1 + 1")
    one.expect("the server went away: ")
    assert one.end() == 1


def test_a_foreign_server_is_lent_a_box_only(start: Start, server: Server) -> None:
    one = start("shell", server.address)
    one.expect(PROMPT)
    assert one.answer("local.put('x', 1); local.get('x')") == "1\n"
    assert "start it with --share-local" in one.answer("local.modules")
    one.type(CTRL_D)
    assert one.end() == 0
    sharing = start("shell", server.address, "--share-local")
    sharing.expect(PROMPT)
    assert sharing.answer("local.modules.os.getpid()") == f"{sharing.pid}\n"
