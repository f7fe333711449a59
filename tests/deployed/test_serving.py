"""The last step over there: a process that serves until its standard input ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import netobj
from netobj.auth import TokenAuthenticator, new_token, send_token
from netobj.deployed import serving
from patience import HANG

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import netobj
from netobj.deployed.serving import serve
serve(getattr(netobj, sys.argv[1]), netobj.SlaveService)
print("the end", flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A deployed folder, in which there is netobj; nothing else may be left in it."""
    (tmp_path / "netobj").symlink_to(ROOT / "netobj")
    yield tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["netobj"]


@contextmanager
def started(folder: Path, kind: str = "ThreadedServer") -> Iterator[subprocess.Popen[bytes]]:
    """A process that serves with a *kind* of server in *folder*, once it is told a token."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def tell(process: subprocess.Popen[bytes]) -> TokenAuthenticator:
    """Tell it a token, and wait until it listens; what gets one in."""
    token = new_token()
    assert process.stdin is not None
    assert process.stdout is not None
    send_token(process.stdin, token)
    assert process.stdout.readline().decode().strip() == serving.READY
    return TokenAuthenticator(token)


KINDS = ["ThreadedServer", "ThreadPoolServer", "ForkingServer", "AsyncServer", "OneShotServer"]


@pytest.mark.parametrize("kind", KINDS)
def test_it_serves_until_its_input_ends(folder: Path, kind: str) -> None:
    with started(folder, kind) as process:
        login = tell(process)
        path = str(folder / serving.SOCKET)
        with netobj.unix_connect(path, authenticator=login) as conn:
            assert conn.root.eval("6 * 7") == 42
            assert process.communicate(timeout=HANG) == (b"the end\n", b"")
            conn.wait_closed()
        assert process.returncode == 0


def test_the_service_may_close_its_standard_input(folder: Path) -> None:
    with started(folder) as process:
        login = tell(process)
        with netobj.unix_connect(str(folder / serving.SOCKET), authenticator=login) as conn:
            conn.root.execute("import os; os.close(0)")
            assert process.communicate(timeout=HANG) == (b"the end\n", b"")
            conn.wait_closed()


def test_it_ends_with_a_one_shot_server(folder: Path) -> None:
    with started(folder, "OneShotServer") as process:
        login = tell(process)
        netobj.unix_connect(str(folder / serving.SOCKET), authenticator=login).close()
        assert process.wait(HANG) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_the_input_ends_before_it_serves(folder: Path) -> None:
    with started(folder) as process:
        out, errors = process.communicate(new_token().encode() + b"\n", timeout=HANG)
        assert (process.returncode, errors) == (0, b"")
        assert out.decode().split("\n") == [serving.READY, "the end", ""]


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (b"", "standard input: no token came"),
        (b"short\n", "standard input: the token has 5 bytes"),
    ],
)
def test_nobody_tells_it_a_token(folder: Path, told: bytes, text: str) -> None:
    with started(folder) as process:
        out, errors = process.communicate(told, timeout=HANG)
        assert (process.returncode, out) == (1, b"")
        assert text in errors.decode()
        assert "netobj.deploy.DeployedServer starts this program" in errors.decode()


def test_a_path_that_is_taken(folder: Path) -> None:
    (folder / serving.SOCKET).touch()
    with started(folder) as process:
        out, errors = process.communicate(new_token().encode() + b"\n", timeout=HANG)
        assert (process.returncode, out) == (1, b"")
        assert b"Address already in use" in errors
    (folder / serving.SOCKET).unlink()
