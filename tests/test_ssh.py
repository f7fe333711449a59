"""Connecting through a real sshd: netobj.ssh_connect and netobj.classic.ssh_connect."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from looped import run
from plumbum import SshMachine

import netobj
from listening import listening
from netobj import aio
from netobj.auth import TokenAuthenticator
from netobj.ssh import SshProcess, SshStream
from patience import HANG, wait_until
from sshd import Sshd, end, running


class AnswerService(netobj.Service):
    def exposed_get_answer(self) -> int:
        return 42


@pytest.fixture
def server() -> Iterator[netobj.ThreadedServer]:
    with netobj.ThreadedServer(AnswerService, hostname="localhost") as server:
        yield server


def tunnel_of(conn: netobj.Connection) -> SshProcess:
    stream = conn._channel.stream
    assert isinstance(stream, SshStream)
    assert stream.process is not None
    return stream.process


def test_ssh_connect(machine: SshMachine, server: netobj.ThreadedServer) -> None:
    with netobj.ssh_connect(machine, server.port) as conn:
        assert conn.root.get_answer() == 42
        assert conn.peer_name == f"ssh://127.0.0.1 port {server.port}"


def test_ssh_connect_shows_a_service_and_takes_a_config(
    machine: SshMachine, server: netobj.ThreadedServer
) -> None:
    heard = []

    class Listener(netobj.Service):
        def on_connect(self, conn: netobj.Connection) -> None:
            heard.append(conn._config["allow_pickle"])

    netobj.ssh_connect(machine, server.port, Listener, {"allow_pickle": True}).close()
    assert heard == [True]


def test_classic_ssh_connect(machine: SshMachine) -> None:
    with (
        netobj.ThreadedServer(netobj.SlaveService, hostname="localhost") as server,
        netobj.classic.ssh_connect(machine, server.port) as conn,
    ):
        data = bytes(range(256)) * 10_000
        assert conn.builtins.bytes(data) == data
        assert conn.modules.os.getpid() == os.getpid()


def test_no_port_is_opened_on_this_machine(
    machine: SshMachine, server: netobj.ThreadedServer
) -> None:
    with netobj.ssh_connect(machine, server.port) as conn:
        assert listening(tunnel_of(conn).proc.pid) == []
        assert listening(os.getpid()) != []  # the server's: the look at it works


def test_closing_ends_ssh(sshd: Sshd, machine: SshMachine, server: netobj.ThreadedServer) -> None:
    conn = netobj.ssh_connect(machine, server.port)
    assert len(sshd.sessions()) == 2
    conn.close()
    wait_until(sshd.is_clean)
    wait_until(lambda: not server.connections)


def test_an_ssh_that_does_not_end_is_killed(
    machine: SshMachine, server: netobj.ThreadedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netobj.ssh.GRACE", 0.2)
    conn = netobj.ssh_connect(machine, server.port)
    process = tunnel_of(conn)
    os.kill(process.proc.pid, signal.SIGSTOP)
    conn.close()
    wait_until(lambda: process.ended)
    assert process.proc.returncode == -signal.SIGKILL


def test_a_dead_ssh_is_a_lost_connection(
    sshd: Sshd, machine: SshMachine, server: netobj.ThreadedServer
) -> None:
    conn = netobj.ssh_connect(machine, server.port)
    result = netobj.async_(conn.root.get_answer)()
    assert result.value == 42
    end(tunnel_of(conn).proc.pid)
    wait_until(lambda: conn.closed)
    with pytest.raises(netobj.ConnectionLost):
        conn.root.get_answer()
    conn.close()
    wait_until(sshd.is_clean)


def test_nobody_listens(sshd: Sshd, machine: SshMachine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectionRefusedError, match=f"ssh://127.0.0.1 port {port}"):
        netobj.ssh_connect(machine, port)
    wait_until(sshd.is_clean)


def test_who_listens_says_nothing(
    sshd: Sshd, machine: SshMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "connect_timeout", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with pytest.raises(TimeoutError, match=r"nothing came within 0\.5 s"):
            netobj.ssh_connect(machine, port)
    wait_until(sshd.is_clean)


def test_forwarding_is_forbidden(tmp_path: Path, server: netobj.ThreadedServer) -> None:
    with running(tmp_path, "AllowTcpForwarding no") as strict, strict.machine() as machine:
        with pytest.raises(netobj.ConnectionLost, match="prohibited"):
            netobj.ssh_connect(machine, server.port)
        wait_until(strict.is_clean)


def test_a_wrong_host_key(tmp_path: Path, server: netobj.ThreadedServer) -> None:
    with running(tmp_path) as sshd, sshd.machine() as machine:
        sshd.stop()
        sshd.new_host_key()
        sshd.start()
        with pytest.raises(netobj.ConnectionLost, match="Host key verification failed"):
            netobj.ssh_connect(machine, server.port)
        wait_until(sshd.is_clean)


def test_sshd_is_gone(tmp_path: Path, server: netobj.ThreadedServer) -> None:
    with running(tmp_path) as sshd, sshd.machine() as machine:
        sshd.stop()
        with pytest.raises(netobj.ConnectionLost, match=r"ssh ended with 255: .*refused"):
            netobj.ssh_connect(machine, server.port)
        wait_until(sshd.is_clean)


def test_no_plumbum_machine() -> None:
    with pytest.raises(TypeError, match="a plumbum SshMachine is needed"):
        netobj.ssh_connect("lab", 18861)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_no_port(machine: SshMachine, port: int) -> None:
    with pytest.raises(ValueError, match="a port is a number from 1 to 65535"):
        netobj.ssh_connect(machine, port)


def test_a_child_of_fork_does_not_end_the_tunnel(
    machine: SshMachine, server: netobj.ThreadedServer
) -> None:
    with netobj.ssh_connect(machine, server.port) as conn:
        process = tunnel_of(conn)
        child = os.fork()
        if child == 0:
            process.let_go()
            process.end_soon()
            process.kill()
            conn.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert conn.root.get_answer() == 42


# --- by URL, on both skins -----------------------------------------------------------------------

Ask = Callable[..., Any]


def ask_blocking(url: str, **options: Any) -> Any:
    """The answer of the service at *url*."""
    with netobj.connect_url(url, **options) as conn:
        return conn.root.get_answer()


def ask_on_a_loop(url: str, **options: Any) -> Any:
    async def main() -> Any:
        async with aio.connect_url(url, **options) as conn:
            return await conn.root.get_answer()

    return run(main())


@pytest.fixture(params=[ask_blocking, ask_on_a_loop], ids=["blocking", "asyncio"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Connects by URL, asks and leaves: with each skin."""
    return cast("Ask", request.param)


@pytest.fixture
def lab(sshd: Sshd, machine: SshMachine) -> Iterator[Sshd]:
    """What ``ssh`` knows as "lab": its port, as where users have one, is in the settings of ssh."""
    with sshd.known_as("lab"):
        yield sshd


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_connect_url(lab: Sshd, server: netobj.ThreadedServer, ask: Ask) -> None:
    assert ask(f"netobj+ssh://lab:{server.port}") == 42
    assert ask(f"netobj+ssh://{getpass.getuser()}@lab:{server.port}") == 42


def test_connect_url_needs_one_login(lab: Sshd, server: netobj.ThreadedServer) -> None:
    with netobj.connect_url(f"netobj+ssh://lab:{server.port}") as conn:
        assert conn.peer_name == f"ssh://lab port {server.port}"
        assert len(lab.sessions()) == 2  # the other is the shared machine's


def test_connect_url_to_a_classic_server(lab: Sshd) -> None:
    async def main(url: str) -> Any:
        async with aio.classic.connect_url(url) as conn:
            return await conn.modules.os.getpid()

    with netobj.ThreadedServer(netobj.SlaveService, hostname="localhost") as server:
        url = f"netobj+ssh://lab:{server.port}"
        with netobj.classic.connect_url(url) as conn:
            assert conn.modules.os.getpid() == os.getpid()
        assert run(main(url)) == os.getpid()


def test_a_shell_by_url(lab: Sshd) -> None:
    """It tells by its exit code where it ran: what this process prints, pytest takes."""
    code = os.getpid() % 200 + 1
    with netobj.ThreadedServer(netobj.SlaveService, hostname="localhost") as server:
        done = subprocess.run(
            [sys.executable, "-m", "netobj.cli", "shell", f"netobj+ssh://lab:{server.port}"]
            + ["-c", "import os; raise SystemExit(os.getpid() % 200 + 1)"],
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
            cwd=Path(__file__).parents[1],
        )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", code)


def test_connect_url_with_a_token(lab: Sshd, ask: Ask) -> None:
    token = TokenAuthenticator("correct-horse-battery-staple")
    token.delay = 0.0
    with netobj.ThreadedServer(AnswerService, hostname="localhost", authenticator=token) as server:
        where = f"lab:{server.port}"
        assert ask(f"netobj+ssh://{getpass.getuser()}:correct-horse-battery-staple@{where}") == 42
        assert ask(f"netobj+ssh://{where}", authenticator=token) == 42
        with pytest.raises(netobj.AuthenticationError, match="wrong credentials"):
            ask(f"netobj+ssh://:correct-horse-battery-stable@{where}")


def test_connect_url_takes_no_ssl_context(ask: Ask) -> None:
    with pytest.raises(ValueError, match="there is no ssl_context or psk through it"):
        ask("netobj+ssh://lab", ssl_context=ssl.create_default_context())


def test_connect_url_where_nobody_listens(lab: Sshd, ask: Ask, closed_port: int) -> None:
    with pytest.raises(ConnectionRefusedError, match=f"ssh://lab port {closed_port}"):
        ask(f"netobj+ssh://lab:{closed_port}")


def test_connect_url_for_a_user_who_may_not(lab: Sshd, ask: Ask) -> None:
    text = r"ssh://no-such-user@lab port 18812 was not reached: .*Permission denied"
    with pytest.raises(netobj.ConnectionLost, match=text):
        ask("netobj+ssh://no-such-user@lab")


def test_connect_url_where_no_sshd_is(tmp_path: Path, ask: Ask) -> None:
    with running(tmp_path) as sshd, sshd.known_as("lab"):
        sshd.stop()
        with pytest.raises(
            netobj.ConnectionLost, match=r"ssh://lab .*ssh ended with 255: .*refused"
        ):
            ask("netobj+ssh://lab")


def test_connect_url_without_an_ssh(
    tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no ssh in its PATH: install OpenSSH's client"):
        ask("netobj+ssh://lab")


def test_connect_url_where_nothing_is_said(
    lab: Sshd, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netobj.ssh.PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with pytest.raises(
            TimeoutError, match=rf"ssh://lab port {port}: nothing came within 0\.5 s"
        ):
            ask(f"netobj+ssh://lab:{port}")


def test_connecting_by_url_is_cancelled(lab: Sshd) -> None:
    async def main(mute: socket.socket) -> None:
        url = f"netobj+ssh://lab:{mute.getsockname()[1]}"
        connecting = asyncio.ensure_future(aio.connect_url(url))
        reached, _ = await asyncio.to_thread(mute.accept)
        with reached:
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting

    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.settimeout(HANG)
        run(main(mute))
