"""The command netobj_registry as a process: its switches, its end, its token."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

import netobj
from netobj.registry.client import RegistryClient, TCPRegistryClient, UDPRegistryClient
from patience import HANG

ROOT = Path(__file__).parents[2]
TOKEN = "a token that is long enough"
STARTED = re.compile(r"registry started on \[(.*)\]:(\d+)")


def command(*args: str, program: str = "netobj_registry", **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "bin" / program), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )


def run(*args: str, program: str = "netobj_registry", **env: str) -> tuple[int, str, str]:
    with command(*args, program=program, **env) as child:
        try:
            out, err = child.communicate(timeout=60)
        finally:
            child.kill()
    return child.returncode, out, err


@contextmanager
def running(*args: str, **env: str) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """The command, its host and its port; it is ended by SIGTERM, and exits with 0."""
    with command("-p", "0", *args, **env) as child:
        try:
            host, port = find(STARTED, child.stderr)
            yield child, host, int(port)
        finally:
            child.terminate()
            try:
                out, err = child.communicate(timeout=HANG)
            finally:
                child.kill()
    assert (child.returncode, out) == (0, "")
    assert "Traceback" not in err


def find(pattern: re.Pattern[str], lines: IO[str] | None) -> tuple[str, ...]:
    assert lines is not None
    for line in lines:
        found = pattern.search(line)
        if found:
            return found.groups()
    raise AssertionError(f"no {pattern.pattern} there")


@pytest.mark.parametrize("switch", [(), ("-m", "UDP"), ("-m", "tcp"), ("--mode", "TCP")])
def test_mode(switch: tuple[str, ...]) -> None:
    with running(*switch) as (_, host, port):
        assert host == "0.0.0.0"
        kind = TCPRegistryClient if "TCP" in " ".join(switch).upper() else UDPRegistryClient
        client: RegistryClient = kind("127.0.0.1", port, timeout=HANG)
        assert client.register(("ECHO",), 18861)
        assert client.discover("ECHO") == (("127.0.0.1", 18861),)
        assert client.list() is None


@pytest.mark.parametrize("switch", ["-l", "--listing"])
def test_listing_is_a_flag(switch: str) -> None:
    with running(switch) as (_, _, port):
        assert UDPRegistryClient("127.0.0.1", port, timeout=HANG).list() == ()


@pytest.mark.parametrize("mode", ["UDP", "TCP"])
def test_ipv6(mode: str) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with running("-6", "-m", mode) as (_, host, port):
        assert host == "::"
        kind = TCPRegistryClient if mode == "TCP" else UDPRegistryClient
        client: RegistryClient = kind("::1", port, timeout=HANG)
        assert client.register(("ECHO",), 18861)
        assert client.discover("ECHO") == (("::1", 18861),)


def test_timeout() -> None:
    with running("-t", "1") as (child, _, port):
        assert UDPRegistryClient("127.0.0.1", port, timeout=HANG).register(("ECHO",), 18861)
        find(re.compile("removed: ECHO at 127.0.0.1:18861"), child.stderr)


@pytest.mark.parametrize("switch", ["-q", "--quiet"])
def test_quiet_is_a_flag_and_logfile_takes_a_file(switch: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    log = tmp_path / "log"
    with command(switch, "--logfile", str(log), "-p", str(port)) as child:
        client = UDPRegistryClient("127.0.0.1", port, timeout=0.2)
        while "no registry answered" in client.search("X")[1]:  # not yet
            assert child.poll() is None
        child.terminate()
        assert child.communicate(timeout=HANG) == ("", "")
    assert child.returncode == 0
    assert log.read_text() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(number: signal.Signals) -> None:
    # Where the tests themselves run in the background, SIGINT would be ignored by the child.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with running() as (child, _, _):
            child.send_signal(number)
            assert child.wait(HANG) == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_token_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    for args, env in (
        (("--token-file", str(file)), {}),
        ((), {"NETOBJ_REGISTRY_TOKEN": TOKEN}),
    ):
        with running(*args, **env) as (_, _, port):
            assert not UDPRegistryClient("127.0.0.1", port, timeout=HANG).register(("A",), 1)
            client = UDPRegistryClient("127.0.0.1", port, timeout=HANG, token=TOKEN)
            assert client.register(("A",), 1)


@pytest.mark.parametrize(
    ("args", "env", "said"),
    [
        (("--token-file", "/no/such/file"), {}, "/no/such/file"),
        ((), {"NETOBJ_REGISTRY_TOKEN": "short"}, "can be guessed"),
        (("-m", "SCTP"), {}, "UDP"),
        (("-p", "65536"), {}, "65535"),
        (("-t", "0"), {}, "1"),
    ],
)
def test_what_cannot_be_done(args: tuple[str, ...], env: dict[str, str], said: str) -> None:
    code, out, err = run(*args, **env)
    assert code == 2
    assert said in out + err
    assert "Traceback" not in err


def test_a_port_that_is_taken() -> None:
    with running() as (_, _, port):
        code, _, err = run("-p", str(port))
        assert code == 1
        assert re.search(rf"^netobj_registry: port {port}: .*in use$", err, re.MULTILINE)


@pytest.mark.parametrize("program", ["netobj_registry", "netobj_registry.py"])
def test_help_names_every_switch(program: str) -> None:
    code, out, _ = run("--help", program=program)
    assert code == 0
    for switch in "-m --mode -6 --ipv6 -p --port --logfile -q --quiet -t --timeout -l --listing":
        assert switch in out
    assert "--token-file" in out


# --- netobj_classic --register ------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["UDP", "TCP"])
def test_netobj_classic_register(mode: str) -> None:
    with running("-m", mode, NETOBJ_REGISTRY_TOKEN=TOKEN) as (_, _, port):
        kind = TCPRegistryClient if mode == "TCP" else UDPRegistryClient
        registrar: RegistryClient = kind("127.0.0.1", port, timeout=HANG, token=TOKEN)
        switches = ["--register", "--registry-type", mode, "--registry-port", str(port)]
        if mode == "TCP":
            switches += ["--registry-host", "127.0.0.1"]
        with command(
            "-p", "0", *switches, program="netobj_classic", NETOBJ_REGISTRY_TOKEN=TOKEN
        ) as child:
            try:
                ((_, at),) = netobj.discover("SLAVE", registrar=registrar, timeout=HANG)
                with netobj.classic.connect("127.0.0.1", at) as conn:
                    assert conn.eval("6 * 7") == 42
            finally:
                child.terminate()
                child.communicate(timeout=HANG)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--registry-type", "TCP"), "--registry-type TCP takes --registry-host, too"),
        (("--registry-token-file", "/no/such/file"), "/no/such/file"),
    ],
)
def test_netobj_classic_register_what_cannot_be_done(args: tuple[str, ...], said: str) -> None:
    code, _, err = run("--register", *args, program="netobj_classic")
    assert code == 2
    assert err.startswith("netobj_classic: ")
    assert said in err
