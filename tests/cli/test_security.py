"""The command with TLS and tokens: a server and a shell, each in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import netobj
from certificates import Certificates
from netobj.auth import (
    PreSharedKey,
    TokenAuthenticator,
    new_key,
    new_token,
    read_key,
    send_token,
)

ROOT = Path(__file__).parents[2]
TOKEN = "correct-horse-battery-staple"


def run(*args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "netobj.cli", *args],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )


@contextmanager
def serving(*args: str, stdin: str = "") -> Iterator[int]:
    """A server that is up; its port."""
    with subprocess.Popen(
        [sys.executable, "-m", "netobj.cli", "--port", "0", *args],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.write(stdin)
            process.stdin.close()
            said = ""
            while not (found := re.search(r"server started on .*:(\d+)", said)):
                line = process.stderr.readline()
                assert line, said
                said += line
            yield int(found[1])
        finally:
            process.kill()


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\nand a remark\n")
    return str(path)


def test_ssl_keyfile_and_ssl_certfile(certificates: Certificates) -> None:
    files = certificates.localhost
    args = ("--ssl-keyfile", files.keyfile, "--ssl-certfile", files.certfile)
    with serving(*args) as port:
        with netobj.classic.ssl_connect("localhost", port, ca_certs=certificates.ca) as conn:
            assert conn.eval("6 * 7") == 42
        for address in (f"localhost:{port}", f"netobjs://localhost:{port}"):
            done = run("shell", address, "--ssl-cafile", certificates.ca, "-c", "print(6 * 7)")
            assert (done.returncode, done.stdout, done.stderr) == (0, "42\n", "")
        done = run("shell", f"netobjs://localhost:{port}", "-c", "1")
        assert done.returncode == 1
        assert "certificate verify failed" in done.stderr


def test_ssl_cafile_asks_clients_for_certificates(certificates: Certificates) -> None:
    files = certificates.localhost
    alice = certificates.issue("alice@example.org")
    args = ("--ssl-keyfile", files.keyfile, "--ssl-certfile", files.certfile)
    with serving(*args, "--ssl-cafile", certificates.ca, "--host", "0.0.0.0") as port:
        there = ("shell", f"netobjs://localhost:{port}", "--ssl-cafile", certificates.ca, "-c")
        mine = ("--ssl-keyfile", alice.keyfile, "--ssl-certfile", alice.certfile)
        assert run(*there, "print(6 * 7)", *mine).stdout == "42\n"
        done = run(*there, "print(6 * 7)")
        assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("way", ["file", "standard input"])
def test_token_file(token_file: str, way: str) -> None:
    args = ("--token-file", token_file if way == "file" else "-")
    with serving(*args, "--host", "0.0.0.0", stdin=TOKEN + "\n") as port:
        url = f"netobj://:{TOKEN}@localhost:{port}"
        with netobj.classic.connect_url(url) as conn:
            assert conn.eval("6 * 7") == 42
        how = {"authenticator": TokenAuthenticator(TOKEN)}
        with netobj.classic.connect_url(f"netobj://localhost:{port}", **how) as conn:
            assert conn.eval("6 * 7") == 42
        done = run("shell", f"localhost:{port}", "--token-file", token_file, "-c", "print(1)")
        assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
        done = run("shell", f"localhost:{port}", "-c", "print(1)")
        assert done.returncode == 1
        assert "lets in only who logs in" in done.stderr


@pytest.fixture
def psk_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(new_key().hex() + "\n")
    return path


def test_psk_file(psk_file: Path) -> None:
    with serving("--psk-file", str(psk_file), "--host", "0.0.0.0") as port:
        psk = PreSharedKey(read_key(psk_file))
        with netobj.classic.connect("localhost", port, psk=psk) as conn:
            assert conn.eval("6 * 7") == 42
        for address in (f"localhost:{port}", f"netobj://localhost:{port}"):
            done = run("shell", address, "--psk-file", str(psk_file), "-c", "print(1)")
            assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
        done = run("shell", f"localhost:{port}", "-c", "print(1)")
        assert done.returncode == 1
        assert "pre-shared key: give psk=" in done.stderr


def test_a_psk_file_that_will_not_do(psk_file: Path, certificates: Certificates) -> None:
    psk_file.chmod(0o644)
    for args in (("--port", "0"), ("shell", "localhost:1")):
        done = run(*args, "--psk-file", str(psk_file))
        assert done.returncode == 1
        assert "others may know the key" in done.stderr
        done = run(*args, "--psk-file", "/no/such/file")
        assert done.returncode == 1
        assert "/no/such/file" in done.stderr
    files = certificates.localhost
    tls = ("--ssl-keyfile", files.keyfile, "--ssl-certfile", files.certfile)
    for args in (("--port", "0"), ("shell", "localhost:1")):
        done = run(*args, "--psk-file", str(psk_file), *tls)
        assert done.returncode == 2
        assert "--psk-file" in done.stdout + done.stderr


@contextmanager
def oneshot(token: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A child that serves once, to who knows *token*; and where it listens."""
    with subprocess.Popen(
        [sys.executable, "-m", "netobj.cli", "-q", "-m", "oneshot", "-p", "0", "--token-file", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as child:
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            send_token(child.stdin, token)
            assert child.stdout.readline() == b"netobj-oneshot\n"
            yield child, child.stdout.readline().decode().strip().replace("\t", ":")
        finally:
            child.kill()


def test_a_child_that_listens_takes_a_token_over_its_standard_input(tmp_path: Path) -> None:
    guess, token = tmp_path / "guess", new_token()
    guess.write_text(new_token() + "\n")
    with oneshot(token) as (child, where):
        # Another process finds the port, and neither gets in nor takes the one place.
        for how, said in (
            ((), "lets in only who logs in"),
            (("--token-file", str(guess)), "the server refused the login: wrong credentials"),
        ):
            done = run("shell", where, *how, "-c", "print(1)")
            assert (done.returncode, done.stdout) == (1, "")
            assert said in done.stderr
        with netobj.classic.connect_url(f"netobj://:{token}@{where}") as conn:
            assert conn.modules.os.getpid() == child.pid
            assert token not in conn.modules.sys.orig_argv
            assert token not in conn.modules.os.environ.values()
        assert child.wait(60) == 0


def test_strangers_are_not_let_in_by_accident() -> None:
    done = run("--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 1
    assert "SlaveService lets whoever connects run anything as this user" in done.stderr
    assert "--insecure" in done.stderr
    with serving("--host", "0.0.0.0", "--insecure") as port:
        assert port


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "no token came"), ("short\n", "the token has 5 bytes, which can be guessed")],
)
def test_a_token_that_will_not_do(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    for args in (("--port", "0"), ("shell", "localhost:1")):
        done = run(*args, "--token-file", str(path))
        assert done.returncode == 1
        assert said in done.stderr
        done = run(*args, "--token-file", "/no/such/file")
        assert done.returncode == 1
        assert "/no/such/file" in done.stderr


@pytest.mark.parametrize("switch", ["--ssl-keyfile", "--ssl-certfile", "--ssl-cafile"])
def test_switches_that_go_together(switch: str, certificates: Certificates) -> None:
    done = run(switch, certificates.ca)
    assert done.returncode == 2
    assert "--ssl-" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "switch",
    ["--ssl-keyfile", "--ssl-certfile", "--ssl-cafile", "--token-file", "--psk-file", "--insecure"],
)
def test_help_names_every_switch(switch: str) -> None:
    assert switch in run("--help").stdout
