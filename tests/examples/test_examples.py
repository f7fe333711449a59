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


def run(name: str, *args: object, stdin: str = "") -> list[str]:
    """The lines that a program prints, given *stdin*; it must end well, and complain of nothing."""
    done = subprocess.run(
        command(name, *args),
        input=stdin,
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


def test_every_example_is_on_the_page_of_examples() -> None:
    page = (ROOT / "docs" / "examples.rst").read_text(encoding="utf-8")
    assert re.findall(r"^``(\w+\.py)``", page, re.MULTILINE) == sorted(
        {path.name for path in EXAMPLES.glob("*.py")} - {"beside.py"}
    )


@pytest.mark.parametrize(
    "name",
    [
        *("aio_chat.py", "borrowed_network.py", "chat.py"),
        *("file_monitor.py", "readout.py", "time_client.py"),
    ],
)
def test_what_needs_arguments_says_so(name: str) -> None:
    done = subprocess.run(
        command(name), capture_output=True, text=True, timeout=PATIENCE, env=ENVIRONMENT
    )
    assert done.returncode == 1
    assert f"python examples/{name} " in done.stderr
    assert "Traceback" not in done.stderr


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


def test_remote_sqlite_in_a_process_of_its_own() -> None:
    assert run("remote_sqlite.py")[0] == "5000 readings over there"


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


def test_gateway_in_processes_of_its_own() -> None:
    assert run("gateway.py")[0] == "2 processes besides ours"


def test_shared_state() -> None:
    assert run("shared_state.py") == [
        "refused: one vote each",
        "result: (('ada', 3), ('bob', 1))",
    ]


def test_accounts() -> None:
    assert run("accounts.py") == [
        "the auditor sees 250",
        *["AccessDenied"] * 3,
        "wrong name or pin",
    ]


def test_typed() -> None:
    assert run("typed.py") == [
        "100.0 2",
        "20.0 21.0 22.0",
        "ThermometerService.warmest(): the argument 'values': item 1: str is neither float or int",
    ]


def test_primes() -> None:
    assert run("primes.py") == ["783 primes below 6000, the largest: 5987"]


def test_progress() -> None:
    assert run("progress.py") == [
        "copied 4 files in steps of [25, 50, 75, 100]",
        "given up; the job has stopped: True",
    ]


def test_run_there() -> None:
    assert run("run_there.py", stdin="Ada\n") == [
        "what is your name? hello, Ada, from another process: True",
        "its name over there is still known: Ada",
        "the process ended with 0",
    ]


def test_log_search() -> None:
    assert run("log_search.py") == [
        "348916 bytes over there",
        "4322: request 4321: ERROR disk full",
        "12322: request 12321: ERROR disk full",
    ]


def test_key_value() -> None:
    assert run("key_value.py") == ["undone", "2 ['apples', 'pears'] 3 False", "no 'plums'"]


def test_own_errors() -> None:
    assert run("own_errors.py") == [
        "fill tray 2",
        "CoverStuck says: call the technician",
        "no such document because of a FileNotFoundError",
    ]


def test_by_hand() -> None:
    assert run("by_hand.py") == ["ticks in the main thread: [0, 1, 2]", "typed meanwhile: q"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_isolated() -> None:
    assert run("isolated.py") == [
        "processes of their own: True",
        "one has amperes and the other volts",
        "one has crashed; the other still has volts",
        "and newcomers are served: volts",
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_several_cores() -> None:
    assert run("several_cores.py") == [
        "workers: 2",
        "factors: [[2, 3, 5, 7, 11, 13, 17, 19], [999983]]",
        "printed: [ready]",
        "a worker has left; another serves: True",
    ]


def test_plugin() -> None:
    done = subprocess.run(
        command("plugin.py"), capture_output=True, text=True, timeout=PATIENCE, env=ENVIRONMENT
    )
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "words: 4",
        "title: Objects",
        "in a process of its own: True",
        "it ended with 0",
    ]
    assert done.stderr == "a plugin may print: that does not get between the messages\n"


def test_orders() -> None:
    assert run("orders.py") == ["True True", "{'total': Decimal('20.00')}"]


def test_job_queue() -> None:
    assert run("job_queue.py") == ["the workers ended with [0, 0]", "the sum of the squares: 2470"]


def test_comeback() -> None:
    assert run("comeback.py") == [
        "the total: 55",
        "the total after it was killed: 55",
        "the total after it has crashed in the midst of it: 55",
        "the server was started 3 times",
    ]


def test_remote_numpy() -> None:
    pytest.importorskip("numpy", reason="numpy is an extra")
    assert run("remote_numpy.py") == [
        "its mean, computed there: 0.029596",
        "a part, as a text of there: [0.e+00 4.e-05 8.e-05]",
        "fetched: ndarray (1000000,) float64",
        "the same: True",
        "here: [1. 2. 3.]",
        "there: [1. 2. 3.]",
    ]


def test_remote_pandas() -> None:
    pytest.importorskip("pandas", reason="pandas is an extra")
    assert run("remote_pandas.py") == [
        "celsius    18.0",
        "sensor",
        "cellar    12.0",
        "roof      28.0",
        "here: DataFrame 500 24.0",
    ]
