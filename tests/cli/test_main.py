"""The command ``netobj`` as a process: its programs, addresses, security, terminals, its end."""

from __future__ import annotations

import doctest
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import netobj
from certificates import Certificates
from netobj.auth import TokenAuthenticator
from netobj.cli.calling import protected
from netobj.cli.main import Netobj
from patience import HANG

ROOT = Path(__file__).parents[2]
TOKEN = "correct-horse-battery-staple"


class Counter(netobj.Service):
    @netobj.exposed
    def add(self, a: int, b: int) -> int:
        """The sum."""
        return a + b

    @netobj.exposed
    def colour(self) -> Any:
        return Colour()

    @netobj.exposed(stream=True)
    def numbers(self) -> Iterator[int]:
        yield from range(10**9)


class Colour:
    def __repr__(self) -> str:
        return "\x1b]0;owned\x07\x1b[31mred"


def command(*args: str) -> list[str]:
    return [sys.executable, str(ROOT / "bin" / "netobj"), *args]


ENV = {**os.environ, "PYTHONPATH": str(ROOT)}


def run(*args: str, stdin: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        command(*args), input=stdin, capture_output=True, text=True, timeout=2 * HANG, env=ENV
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def port() -> Iterator[int]:
    with netobj.ThreadedServer(Counter, hostname="127.0.0.1", introspect=True) as server:
        yield server.port


def test_the_program_lists_calls_and_pings(port: int) -> None:
    code, out, err = run("ls", f"localhost:{port}")
    assert (code, err) == (0, "")
    assert "(a: int, b: int) -> int" in out
    assert run("call", f"localhost:{port}", "add", "2", "-3") == (0, "-1\n", "")
    assert run("call", f"netobj://localhost:{port}", "add", "2", "b=-3") == (0, "-1\n", "")
    code, out, err = run("ping", f"localhost:{port}", "-c", "2")
    assert (code, err) == (0, "")
    assert "2 round trips" in out


PAGE = (ROOT / "docs" / "command.rst").read_text(encoding="utf-8")
PROGRAM = textwrap.dedent(
    PAGE.split(".. the service begins")[1].split(".. the service ends")[0].split("python\n", 1)[1]
)
SHOWN = re.findall(r"^    \$ netobj (.*)\n((?:    [^$].*\n)*)", PAGE, re.MULTILINE)


def test_the_page_shows_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(SHOWN) == 8
    names: dict[str, Any] = {}
    exec(PROGRAM.replace("port=18812", "port=0"), names)
    with names["server"] as server:
        for line, shown in SHOWN:
            argv = ["netobj", *shlex.split(line.replace("localhost", f"localhost:{server.port}"))]
            Netobj.run(protected(argv), exit=False)
            got = "".join(capsys.readouterr()).replace(str(server.port), "18812")
            same = doctest.OutputChecker().check_output
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            assert same(textwrap.dedent(shown), got, flags), got


def test_the_entry_point_is_the_program() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '\nnetobj = "netobj.cli.main:main"\n' in project
    assert os.access(ROOT / "bin" / "netobj", os.X_OK)


@pytest.mark.parametrize("name", ["ls", "call", "ping"])
def test_help_names_every_switch(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert Netobj.run(["netobj", name, "--help"], exit=False)[1] == 0
    shown = capsys.readouterr().out
    for switch in ("--timeout", "--json", "--ssl-cafile", "--ssl-certfile", "--token-file"):
        assert switch in shown


def test_what_is_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert Netobj.run(["netobj", "list"], exit=False)[1] == 2
    assert capsys.readouterr() == ("", "netobj: there is no command 'list'\n")
    assert Netobj.run(["netobj"], exit=False)[1] == 2
    out, err = capsys.readouterr()
    assert "ping" in out
    assert err == ""


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("localhost:99999", "is no address"),
        ("nonsense://localhost", "this is no address"),
        ("unix:/no/such/socket", "/no/such/socket"),
    ],
)
@pytest.mark.parametrize("name", ["ls", "ping"])
def test_addresses_that_lead_nowhere(
    name: str, address: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Netobj.run(["netobj", name, address], exit=False)[1] == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"netobj {name}: ")
    assert says in err
    assert err.count("\n") == 1


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # it does not listen
        port = taken.getsockname()[1]
        assert Netobj.run(["netobj", "ping", f"127.0.0.1:{port}"], exit=False)[1] == 1
    assert "Connection refused" in capsys.readouterr().err


def test_who_is_no_netobj_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        child = subprocess.Popen(
            command("ping", f"127.0.0.1:{other.getsockname()[1]}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENV,
        )
        with child, other.accept()[0] as conn:
            conn.sendall(b"220 \x1b[31mmail\r\n")
            out, err = child.communicate(timeout=HANG)
    assert (child.returncode, out) == (1, "")
    assert err.startswith("netobj ping: ")
    assert "\x1b" not in err
    assert err.count("\n") == 1


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets")
def test_unix_sockets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "socket")
    with netobj.ThreadedServer(Counter, socket_path=path):
        for address in (f"unix:{path}", f"netobj+unix://{path}"):
            assert Netobj.run(["netobj", "call", address, "add", "1", "2"], exit=False)[1] == 0
            assert capsys.readouterr() == ("3\n", "")


def test_tls_and_tokens(
    certificates: Certificates, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    context = netobj.auth.server_context(
        certificates.localhost.certfile, certificates.localhost.keyfile
    )
    with netobj.ThreadedServer(
        Counter,
        hostname="localhost",
        ssl_context=context,
        authenticator=TokenAuthenticator(TOKEN),
    ) as server:
        security = ("--ssl-cafile", certificates.ca, "--token-file", str(token))
        for address in (f"localhost:{server.port}", f"netobjs://localhost:{server.port}"):
            argv = ["netobj", "call", *security, address, "add", "1", "2"]
            assert Netobj.run(argv, exit=False)[1] == 0
            assert capsys.readouterr() == ("3\n", "")
        url = f"netobjs://:{TOKEN}@localhost:{server.port}"
        argv = ["netobj", "call", *security[:2], url, "add", "1", "2"]
        assert Netobj.run(argv, exit=False)[1] == 0
        assert capsys.readouterr() == ("3\n", "")
        assert Netobj.run(["netobj", "ping", *security[:2], url[:-1]], exit=False)[1] == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert TOKEN not in err
        token.write_text("a-wrong-one-of-the-same-length\n")
        argv = ["netobj", "ping", *security, f"localhost:{server.port}"]
        assert Netobj.run(argv, exit=False)[1] == 1
        assert capsys.readouterr().err.startswith("netobj ping: ")


def test_a_reader_that_goes_away(port: int) -> None:
    with subprocess.Popen(
        command("call", f"127.0.0.1:{port}", "numbers"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENV,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == b"0\n"
        child.stdout.close()
        assert child.wait(HANG) == 1
        assert child.stderr.read() == b""


class Terminal:
    """A command whose standard streams are a terminal."""

    def __init__(self, *args: str) -> None:
        pty = pytest.importorskip("pty", reason="pseudo-terminals are there on POSIX only")
        self._fd, end = pty.openpty()
        self.child = subprocess.Popen(
            command(*args), stdin=end, stdout=end, stderr=end, env=ENV, start_new_session=True
        )
        os.close(end)
        self.seen = b""

    def read(self) -> bool:
        """Read a little more; False at the end."""
        ready, _, _ = select.select([self._fd], [], [], HANG)
        assert ready, self.seen
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # EIO: nobody has the other end any more
            return False
        self.seen += data
        return data != b""

    def end(self) -> int:
        """What the command exits with, once it has ended."""
        while self.read():
            pass
        code = self.child.wait(HANG)
        os.close(self._fd)
        return code


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_no_escapes_on_a_terminal(port: int) -> None:
    terminal = Terminal("call", f"127.0.0.1:{port}", "colour")
    assert terminal.end() == 0
    assert terminal.seen == b"\\x1b]0;owned\\x07\\x1b[31mred\r\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_an_interrupt_ends_a_stream_quietly(port: int) -> None:
    terminal = Terminal("call", f"127.0.0.1:{port}", "numbers")
    while b"2\r\n" not in terminal.seen:
        assert terminal.read()
    terminal.child.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    assert b"Traceback" not in terminal.seen
