"""The command without a terminal: its switches, and programs given to the shell."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netobj import classic
from patience import HANG, has_ipv6_loopback

ROOT = Path(__file__).parents[2]


def run(
    *args: str, stdin: str = "", program: tuple[str, ...] = ("-m", "netobj.cli")
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *program, *args],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@contextmanager
def running(*args: str, **pipes: int) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "netobj.cli", *args],
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **pipes,
    ) as proc:
        try:
            yield proc
        finally:
            proc.kill()


def test_mode_stdio() -> None:
    args = [sys.executable, "-m", "netobj.cli", "-q", "-m", "stdio"]
    with classic.connect_subproc(args) as conn:
        assert conn.modules.os.getpid() == conn.proc.pid
        conn.execute("print('not between the messages')")
        conn.modules.os.system("echo nor from another process")
        assert conn.eval("__import__('sys').stdin.read()") == ""
        assert conn.eval("6 * 7") == 42
    assert conn.proc.wait(HANG) == 0


def test_mode_oneshot_says_where_and_serves_once() -> None:
    with running("-q", "--mode", "oneshot", "--port", "0", stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "netobj-oneshot\n"
        host, port = server.stdout.readline().rstrip("\n").split("\t")
        assert host == "127.0.0.1"
        with classic.connect(host, int(port)) as conn:
            assert conn.eval("6 * 7") == 42
        assert server.wait(HANG) == 0
        assert server.stdout.read() == ""


def test_mode_oneshot_over_ipv6() -> None:
    if not has_ipv6_loopback():
        pytest.skip("this machine has no IPv6 loopback address")
    with running("-q", "-m", "oneshot", "-p", "0", "--ipv6", stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "netobj-oneshot\n"
        host, port = server.stdout.readline().rstrip("\n").split("\t")
        assert host == "::1"
        with classic.connect(host, int(port), ipv6=True) as conn:
            assert conn.eval("6 * 7") == 42
        assert server.wait(HANG) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_mode_forking_ends_with_ctrl_c() -> None:
    with running("--mode", "forking", "--port", "0", stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        port = int(server.stderr.readline().rsplit(":", 1)[1])
        with classic.connect("localhost", port) as one, classic.connect("localhost", port) as two:
            pids = {one.modules.os.getpid(), two.modules.os.getpid(), server.pid}
            assert len(pids) == 3
            server.send_signal(signal.SIGINT)
            one.wait_closed()
            two.wait_closed()
        text = server.stderr.read()
        assert server.wait(HANG) == 0
        assert "Traceback" not in text


@pytest.mark.parametrize("mode", ["threaded", "forking", "oneshot"])
def test_an_address_that_cannot_be_bound_is_one_line(mode: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("-q", "--mode", mode, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("netobj_classic: ")
    assert done.stderr.count("\n") == 1


def test_no_such_mode() -> None:
    done = run("--mode", "magic")
    assert done.returncode == 2
    assert "threaded" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "switch", ["--mode", "--port", "--host", "--ipv6", "--logfile", "--quiet", "shell"]
)
def test_help_names_every_switch(switch: str) -> None:
    done = run("--help")
    assert done.returncode == 0
    assert switch in done.stdout


@pytest.mark.parametrize("program", ["netobj_classic", "netobj_classic.py"])
def test_the_command_has_two_names(program: str) -> None:
    done = run("shell", "-c", "print(6 * 7)", program=(str(ROOT / "bin" / program),))
    assert (done.returncode, done.stdout, done.stderr) == (0, "42\n", "")


@pytest.mark.parametrize(
    ("code", "status", "out", "err"),
    [
        ("print('out')", 0, "out\n", ""),
        ("import sys; print('err', file=sys.stderr)", 0, "", "err\n"),
        ("5", 0, "", ""),
        ("", 0, "", ""),
        ("raise SystemExit(9)", 9, "", ""),
        ("import sys; sys.exit('why')", 1, "", "why\n"),
        ("print(input())", 0, "typed\n", ""),
        ("import sys; print(sys.stdin.read())", 0, "typed\nand more\n\n", ""),
        ("print(__name__)", 0, "__main__\n", ""),
    ],
)
def test_code(code: str, status: int, out: str, err: str) -> None:
    done = run("shell", "-c", code, stdin="typed\nand more\n")
    assert (done.returncode, done.stdout, done.stderr) == (status, out, err)


def test_an_error_in_code() -> None:
    done = run("shell", "-c", "print('before')\n1/0")
    assert (done.returncode, done.stdout) == (1, "before\n")
    assert done.stderr.startswith('Traceback (most recent call last):\n  File "<string>", line 2')
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_a_script(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("def f():\n    return 1/0\n\nprint('before')\nf()\n")
    done = run("shell", "--script", str(script))
    assert (done.returncode, done.stdout) == (1, "before\n")
    assert f'File "{script}", line 2, in f\n    return 1/0\n' in done.stderr


def test_a_script_on_standard_input() -> None:
    done = run("shell", stdin="for i in range(3):\n    print(i)\nprint('done')\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n1\n2\ndone\n", "")


def test_much_output_arrives_whole_and_in_order() -> None:
    done = run("shell", "-c", "for i in range(20000): print(i)")
    assert done.stdout == "".join(f"{i}\n" for i in range(20000))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("nowhere:x",), "'nowhere:x' is no address: give HOST, HOST:PORT"),
        (("unix:/no/such/socket",), "/no/such/socket"),
        (("--script", "/no/such/file"), "/no/such/file"),
    ],
)
def test_what_cannot_be_done_is_one_line(args: tuple[str, ...], said: str) -> None:
    done = run("shell", *args)
    assert done.returncode == 1
    assert done.stderr.startswith("netobj_classic shell: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_code_and_script_exclude_each_other() -> None:
    done = run("shell", "-c", "1", "--script", __file__)
    assert done.returncode == 2
