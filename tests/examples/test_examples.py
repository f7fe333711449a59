"""The programs under examples/, each in processes of its own, as a user would start them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}  # this checkout, installed or not
PATIENCE = 60  # seconds; for hangs only


def command(name: str, *args: object) -> list[str]:
    return [sys.executable, str(EXAMPLES / name), *map(str, args)]


def run(name: str, *args: object) -> list[str]:
    """The lines that a program prints; it must end well."""
    done = subprocess.run(
        command(name, *args),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=ENVIRONMENT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@contextmanager
def process(args: list[str], **pipes: int) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(args, text=True, env=ENVIRONMENT, **pipes) as proc:
        try:
            yield proc
        finally:
            proc.kill()


def port_in(stream: IO[str]) -> int:
    found = re.search(r"(\d+)\s*$", stream.readline())
    assert found is not None
    return int(found[1])


@contextmanager
def serving(name: str, *args: object) -> Iterator[int]:
    """The port of an example that serves."""
    with process(command(name, *args), stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield port_in(server.stdout)


@contextmanager
def classic_server() -> Iterator[int]:
    """The port of a netobj_classic of its own process."""
    args = [sys.executable, "-m", "netobj.cli", "--port", "0"]
    with process(args, stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        port = port_in(server.stderr)
        drain = threading.Thread(target=server.stderr.read, daemon=True)
        drain.start()
        try:
            yield port
        finally:
            server.kill()
            drain.join()


def test_every_example_is_tested() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in text] == []


def test_time() -> None:
    with serving("time_server.py") as port:
        (line,) = run("time_client.py", "localhost", port)
    found = re.fullmatch(r"the other clock is ([+-]\d+\.\d{3}) s from ours", line)
    assert found is not None
    assert abs(float(found[1])) < 1


def joined(program: str, port: int, name: str) -> AbstractContextManager[subprocess.Popen[str]]:
    args = command(program, "join", "localhost", port, name)
    return process(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.parametrize("program", ["chat.py", "aio_chat.py"])
def test_chat(program: str) -> None:
    with serving(program, "serve") as port, joined(program, port, "ada") as ada:
        assert ada.stdin is not None
        assert ada.stdout is not None
        assert ada.stdout.readline() == "* ada has come\n"
        with joined(program, port, "bob") as bob:
            assert bob.stdin is not None
            assert ada.stdout.readline() == "* bob has come\n"
            bob.stdin.write("hello, Ada\n")
            bob.stdin.flush()
            assert ada.stdout.readline() == "bob: hello, Ada\n"
            bob.stdin.close()
            assert ada.stdout.readline() == "* bob has gone\n"
        ada.stdin.close()
        assert ada.wait(PATIENCE) == 0


def test_file_monitor(tmp_path: Path) -> None:
    path = tmp_path / "measured.log"
    path.write_bytes(b"12345")
    with serving("file_monitor.py", "serve") as port:
        watch = command("file_monitor.py", "watch", "localhost", port, path, 2)
        with process(watch, stdout=subprocess.PIPE) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == f"watching {path}\n"
            path.write_bytes(b"1234567")
            assert client.stdout.readline() == f"{path}: 5 -> 7 bytes\n"
            path.unlink()
            assert client.stdout.readline() == f"{path}: 7 -> 0 bytes\n"
            assert client.wait(PATIENCE) == 0


def test_readout() -> None:
    serve = command("readout.py", "serve")
    with process(serve, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        port = port_in(server.stdout)
        lines = run("readout.py", "watch", "localhost", port, 1, 3)
        assert lines == ["1.00 V", "1.25 V", "1.50 V"]
        assert server.stdout.readline() == "channel 1 is on\n"
        assert server.stdout.readline() == "channel 1 is off\n"


def test_remote_sqlite() -> None:
    with classic_server() as port:
        assert run("remote_sqlite.py", "localhost", port) == [
            "5000 readings over there",
            "1000 of them warm, the first: [9, 10, 19]",
            "OperationalError: no such table: no_such_table",
        ]


def test_borrowed_network(target: int) -> None:
    with classic_server() as port:
        assert run("borrowed_network.py", "localhost", port, "localhost", target) == [
            "the target says: 220 ready",
            "the time over there: 0.0",
            "and its own clock again: True",
        ]


@pytest.fixture
def target() -> Iterator[int]:
    """The port of something that greets once."""
    with socket.create_server(("localhost", 0)) as listener:

        def greet() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.sendall(b"220 ready\n")

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_gateway() -> None:
    with classic_server() as inner, classic_server() as port:
        assert run("gateway.py", "localhost", port, "localhost", inner) == [
            "2 processes besides ours",
            "computed inside: [0, 1, 4, 9, 16]",
            "printed here, from inside",
            "mapped: [2, 3, 4]",
            "refused inside: No such file or directory",
        ]
