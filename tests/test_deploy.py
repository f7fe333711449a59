"""Deploying to a real sshd: everything works, everything ends, nothing is left."""

from __future__ import annotations

import inspect
import logging
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from plumbum import SshMachine

import netobj
from netobj.auth import new_token
from netobj.auth.messages import NONCE_SIZE, PROOF_SIZE, challenge, framed, refusal, welcome
from netobj.core.consts import LOGIN_PREAMBLE, PREAMBLE
from netobj.deploy import SERVER_SCRIPT, DeployedServer, DeploymentError, MultiServerDeployment
from netobj.deploy.launch import _Talk, _temporary
from netobj.deploy.payload import OLDEST_MSGPACK
from patience import HANG, wait_until
from sshd import Sshd, end, environment_of, processes, running

ROOT = Path(__file__).parents[1]
HERE = "{}.{}".format(*sys.version_info)

CALCULATOR = """
import netobj, os, threading
class ServiceCls(netobj.Service):
    def exposed_add(self, a, b):
        return a + b
    def exposed_end(self):
        os._exit(3)
"""
# What RPyC's own script does, with netobj's name.
OLD_SCRIPT = """
import os, sys
os.chdir(os.path.dirname(__file__))
from $SERVER_MODULE$ import $SERVER_CLASS$ as ServerCls
from $SERVICE_MODULE$ import $SERVICE_CLASS$ as ServiceCls
logger = None
$EXTRA_SETUP$
with ServerCls(ServiceCls, hostname="localhost", port=0, reuse_addr=True, logger=logger) as t:
    sys.stdout.write(f"{t.port}\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""


@pytest.fixture
def near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of this side's temporary files; a short path, for sockets."""
    path = Path(f"/tmp/near-{os.getpid()}")
    path.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(path))
    yield path
    assert list(path.iterdir()) == []
    path.rmdir()


def find_python(version: str) -> str:
    """The interpreter of that version on this machine; without it the test is skipped."""
    for path in sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")):
        return str(path)
    pytest.skip(f"no Python {version} on this machine")


def guardian_of(sshd: Sshd) -> int:
    """The process that was started first, which holds the temporary folder."""
    return next(pid for pid, line in processes() if pid in sshd.deployed() and "-c" in line)


def server_of(sshd: Sshd) -> int:
    return next(pid for pid, line in processes() if pid in sshd.deployed() and "-c" not in line)


# --- it works ------------------------------------------------------------------------------------


def test_deployed_server(sshd: Sshd, machine: SshMachine, near: Path) -> None:
    server = DeployedServer(machine)
    assert repr(server) == "<DeployedServer on ssh://127.0.0.1 (open)>"
    assert len(sshd.folders()) == 1
    with server.classic_connect() as conn:
        folder = conn.modules.os.getcwd()
        assert Path(folder).name == sshd.folders()[0]
        assert conn.modules.netobj.__file__.startswith(folder)
        assert conn.modules.os.getpid() in sshd.deployed()
        assert conn.peer_name == "the server deployed to ssh://127.0.0.1"
        data = bytes(range(256)) * 10_000
        assert conn.builtins.bytes(data) == data
    server.close(timeout=HANG)
    assert sshd.is_clean()  # it has waited for that
    assert server.closed
    assert repr(server) == "<DeployedServer on ssh://127.0.0.1 (closed)>"
    assert machine["echo"]("still there").strip() == "still there"


def test_deployed_server_is_a_context_manager(sshd: Sshd, machine: SshMachine) -> None:
    with DeployedServer(machine) as server, server.classic_connect() as conn:
        assert conn.eval("6 * 7") == 42
        assert not server.closed
    wait_until(sshd.is_clean)
    server.close()
    with pytest.raises(netobj.ConnectionLost, match="was closed on this side"):
        server.connect()


def test_connect_with_a_service_and_extra_setup(machine: SshMachine) -> None:
    heard = []

    class Listener(netobj.Service):
        def on_connect(self, conn: netobj.Connection) -> None:
            heard.append(conn._config["allow_pickle"])

    with (
        DeployedServer(
            machine, service_class="netobj.core.service.VoidService", extra_setup=CALCULATOR
        ) as server,
        server.connect(Listener, {"allow_pickle": True}) as conn,
    ):
        assert conn.root.add(3, 4) == 7
    assert heard == [True]


def test_callbacks_come_back(machine: SshMachine) -> None:
    with DeployedServer(machine) as server, server.classic_connect() as conn:
        heard: list[int] = []
        conn.namespace["hear"] = heard.append
        conn.execute("for number in range(3): hear(number)")
        assert heard == [0, 1, 2]


NAMED = "import builtins; builtins.kind = ServerCls.__name__"


@pytest.mark.parametrize(
    "kind", ["ThreadedServer", "ThreadPoolServer", "ForkingServer", "AsyncServer"]
)
def test_kinds_of_servers(sshd: Sshd, machine: SshMachine, near: Path, kind: str) -> None:
    with DeployedServer(machine, f"netobj.{kind}", extra_setup=NAMED) as server:
        connections = [server.classic_connect() for _ in range(5)]
        assert [conn.builtins.kind for conn in connections] == [kind] * 5
        pids = {conn.modules.os.getpid() for conn in connections}
        assert pids < set(sshd.deployed())
        assert len(pids) == (5 if kind == "ForkingServer" else 1)
    wait_until(sshd.is_clean)
    for conn in connections:
        wait_until(lambda conn=conn: conn.closed)
        conn.close()


def test_a_one_shot_server_ends_with_its_connection(sshd: Sshd, machine: SshMachine) -> None:
    with DeployedServer(machine, "netobj.OneShotServer") as server:
        with server.classic_connect() as conn:
            assert conn.eval("6 * 7") == 42
        wait_until(sshd.is_clean)
        wait_until(lambda: server.closed)
        assert server.proc.returncode == 0
        with pytest.raises(netobj.ConnectionLost, match="ssh ended with 0"):
            server.connect()


def test_a_gevent_server(sshd: Sshd, machine: SshMachine) -> None:
    pytest.importorskip("gevent")
    script = f"from gevent import monkey; monkey.patch_all()\n{SERVER_SCRIPT}"
    with (
        DeployedServer(
            machine,
            "netobj.GeventServer",
            server_script=script,
            extra_setup=NAMED,
            python_executable=sys.executable,
        ) as server,
        server.classic_connect() as conn,
        server.classic_connect() as other,
    ):
        assert [conn.builtins.kind, other.builtins.kind] == ["GeventServer"] * 2
        server.close()
        wait_until(sshd.is_clean)
        wait_until(lambda: conn.closed and other.closed)


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_another_python(machine: SshMachine, version: str) -> None:
    offset = 3
    python = find_python(version)
    own = subprocess.run([python, "-c", "import msgpack"], stderr=subprocess.DEVNULL, check=False)

    def shift(x: int, by: int = 1) -> int:
        return x + by + offset

    with (
        DeployedServer(machine, python_executable=python) as server,
        server.classic_connect() as conn,
    ):
        assert "{}.{}".format(*conn.modules.sys.version_info[:2]) == version
        if own.returncode:
            assert conn.modules.msgpack.Packer.__module__ == "msgpack.fallback"
        assert conn.teleport(shift)(10) == 14
        assert [x * x for x in conn.builtins.list(range(5))] == [0, 1, 4, 9, 16]
        assert netobj.copy_of(conn.eval("{'a': [1, 2.5, 10**30]}")) == {"a": [1, 2.5, 10**30]}
        with pytest.raises(ZeroDivisionError):
            conn.eval("1 / 0")


def test_the_local_version_is_tried_first(machine: SshMachine) -> None:
    with DeployedServer(machine) as server, server.classic_connect() as conn:
        assert "{}.{}".format(*conn.modules.sys.version_info[:2]) == HERE


def test_a_python_that_has_msgpack_uses_its_own(machine: SshMachine) -> None:
    packer = __import__("msgpack").Packer.__module__
    with (
        DeployedServer(machine, python_executable=machine[sys.executable]) as server,
        server.classic_connect() as conn,
    ):
        assert conn.modules.msgpack.Packer.__module__ == packer
        assert "netobj-" not in conn.modules.msgpack.__file__


def test_a_script_that_prints_a_port(sshd: Sshd, machine: SshMachine) -> None:
    with (
        DeployedServer(machine, server_script=OLD_SCRIPT) as server,
        server.classic_connect() as conn,
    ):
        assert conn.eval("6 * 7") == 42
        assert conn.modules.os.getcwd().endswith(sshd.folders()[0])
    wait_until(sshd.is_clean)


def test_what_the_server_prints_is_logged_and_holds_nobody_up(
    machine: SshMachine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "netobj.ssh")
    with DeployedServer(machine) as server, server.classic_connect() as conn:
        conn.execute("import sys")
        # More than ssh and all pipes on the way hold.
        conn.execute("for n in range(5_000): print('out', n, '.' * 900)")
        conn.execute("for n in range(500): print('err', n, '.' * 900, file=sys.stderr)")
    for text in ("ssh://127.0.0.1: out 4999 ...", "ssh://127.0.0.1: err 499 ..."):
        wait_until(lambda text=text: text in caplog.text)


def test_a_login_that_talks(tmp_path: Path) -> None:
    greeting = "echo Welcome to the lab; echo netobj-; echo No food here >&2"
    with (
        running(tmp_path, login=greeting) as sshd,
        sshd.machine() as machine,
        DeployedServer(machine) as server,
        server.classic_connect() as conn,
    ):
        assert conn.eval("6 * 7") == 42


def test_progress(machine: SshMachine) -> None:
    seen: list[tuple[int, int]] = []
    with DeployedServer(machine, progress=lambda done, total: seen.append((done, total))):
        pass
    assert seen == sorted(seen)
    assert seen[0] == (0, seen[0][1])
    assert seen[-1] == (seen[0][1], seen[0][1])
    assert 100_000 < seen[0][1] < 2_000_000


def test_progress_on_no_terminal(machine: SshMachine, capsys: pytest.CaptureFixture[str]) -> None:
    with DeployedServer(machine, progress=True):
        pass
    assert capsys.readouterr().out == ""


def test_progress_on_a_terminal(
    machine: SshMachine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    with DeployedServer(machine, progress=True):
        pass
    printed = capsys.readouterr().out
    assert "0%" in printed
    assert "100%" in printed


# --- others stay out -----------------------------------------------------------------------------


def mode_of(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_only_this_user_reaches_the_sockets(sshd: Sshd, machine: SshMachine, near: Path) -> None:
    with DeployedServer(machine):
        (over_there,) = sshd.temporary.iterdir()
        (here,) = near.iterdir()
        for folder in (over_there, here):
            assert mode_of(folder) == 0o700
            assert stat.S_ISSOCK(os.stat(folder / "s").st_mode)
            assert mode_of(folder / "s") == 0o600


def test_who_does_not_know_the_token_gets_nothing(sshd: Sshd, machine: SshMachine) -> None:
    with DeployedServer(machine) as server:
        (folder,) = sshd.temporary.iterdir()
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(HANG)
            stranger.connect(str(folder / "s"))
            asked = stranger.recv(4096)
            assert asked.startswith(LOGIN_PREAMBLE)  # and not with netobj's greeting
            assert len(asked) == len(LOGIN_PREAMBLE) + 1 + NONCE_SIZE
            stranger.sendall(framed(b"T" + bytes(NONCE_SIZE + PROOF_SIZE)))
            refused = stranger.makefile("rb").read()
            assert refused == refusal("wrong credentials")
        with server.classic_connect() as conn:
            assert conn.eval("6 * 7") == 42


def test_a_wrong_token(machine: SshMachine) -> None:
    with DeployedServer(machine) as server:
        token, server._token = server._token, new_token()
        text = r"^the server deployed to ssh://127\.0\.0\.1: .*refused the login: wrong credentials"
        with pytest.raises(netobj.AuthenticationError, match=text):
            server.connect()
        server._token = token
        server.connect().close()


ASKED = challenge(b"T", bytes(NONCE_SIZE))
IMPOSTORS: dict[str, tuple[type[Exception], bytes, bytes]] = {
    "could not prove that it knows": (netobj.AuthenticationError, ASKED, welcome(bytes(32))),
    "asks for no login": (netobj.AuthenticationError, PREAMBLE, b""),
    "does not know netobj's login": (netobj.AuthenticationError, b"220 lab SMTP \r\n" * 2, b""),
    "closed the connection during the login": (netobj.ConnectionLost, ASKED, b""),
}


def impersonate(listener: socket.socket, said: bytes, then: bytes) -> None:
    """Speak with one client, as what is no deployed server."""
    with listener.accept()[0] as sock, suppress(OSError):  # it goes when it has heard enough
        sock.settimeout(HANG)
        sock.sendall(said)
        if said == ASKED:
            assert sock.recv(4096)
        sock.sendall(then)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass


def test_another_server_is_at_the_end_of_the_tunnel(machine: SshMachine, tmp_path: Path) -> None:
    with DeployedServer(machine) as server, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        listener.settimeout(HANG)
        server._near = str(tmp_path / "s")
        for text, (error, said, then) in IMPOSTORS.items():
            thread = netobj.spawn(impersonate, listener, said, then)
            with pytest.raises(error, match=f"^the server deployed to ssh://127.0.0.1.*{text}"):
                server.connect()
            thread.join(HANG)


def test_the_server_says_nothing(
    sshd: Sshd, machine: SshMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netobj.deploy.server.VERDICT_TIME", 0.1)
    with DeployedServer(machine) as server:
        pid = server_of(sshd)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(netobj.ConnectionLost, match=r"did not log this side in within 0\.1 s"):
            server.connect()
        os.kill(pid, signal.SIGCONT)


def test_the_token_is_in_no_arguments_and_no_environment(sshd: Sshd, machine: SshMachine) -> None:
    with DeployedServer(machine) as server:
        token = server._token
        seen = [(line, environment_of(pid)) for pid, line in processes()]
        assert any("starting.py" in " ".join(line) for line, _ in seen)
        for line, environment in seen:
            assert token not in " ".join(line + environment)


def test_a_folder_of_that_name_is_there(
    sshd: Sshd, machine: SshMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda size: "7" * 2 * size)
    folder = sshd.temporary / f"netobj-{'7' * 16}"
    folder.mkdir()
    try:
        with pytest.raises(DeploymentError, match="FileExistsError"):
            DeployedServer(machine)
        assert folder.exists()
    finally:
        folder.rmdir()


# --- it does not come up -------------------------------------------------------------------------


def fails(sshd: Sshd, machine: SshMachine, match: str, **options: Any) -> None:
    with pytest.raises(DeploymentError, match=match) as info:
        DeployedServer(machine, **options)
    assert isinstance(info.value, OSError)
    assert "netobj cannot be deployed" in str(info.value) or "server script" in str(info.value)
    wait_until(sshd.is_clean)


def test_no_python_there(tmp_path: Path, near: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "env", "uname", "printenv"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    with running(tmp_path, path=str(tools)) as sshd, sshd.machine() as machine:
        text = r"no Python of version 3\.10 or later \(python3\.\d+:missing python3:missing "
        fails(sshd, machine, text)


def test_no_python_where_it_was_said_to_be(sshd: Sshd, machine: SshMachine, near: Path) -> None:
    path = "/no/such place/it's python$HOME"
    fails(sshd, machine, r"/no/such place/it.*s python\$HOME':missing\)", python_executable=path)


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.9"])
def test_a_python_that_is_too_old(sshd: Sshd, machine: SshMachine, version: str) -> None:
    path = find_python(version)
    fails(sshd, machine, rf"{path}:{version}\.\d+\)", python_executable=path)


def test_the_setup_raises(sshd: Sshd, machine: SshMachine, near: Path) -> None:
    text = "it ended before the server ran; ssh ended with 1: .*LookupError: no such instrument"
    fails(sshd, machine, text, extra_setup="raise LookupError('no such instrument')")


def test_there_is_no_such_class(sshd: Sshd, machine: SshMachine) -> None:
    text = "No module named 'no_such_module'"
    fails(sshd, machine, text, service_class="no_such_module.Service")


@pytest.mark.parametrize("name", ["SlaveService", "a b.C", "x.y; import os", "", "a..b", 7])
@pytest.mark.parametrize("option", ["server_class", "service_class"])
def test_no_name_of_a_class(option: str, name: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option}: the dotted name of a class"):
        DeployedServer(None, **{option: name})


def test_no_machine(near: Path) -> None:
    with pytest.raises(TypeError, match="a plumbum SshMachine is needed"):
        DeployedServer("lab")


def test_a_script_that_prints_something_else(sshd: Sshd, machine: SshMachine) -> None:
    script = "print('hello'); import sys; sys.stdin.read()"
    fails(sshd, machine, "printed 'hello' first, not a port", server_script=script)


def test_a_script_that_prints_nothing(sshd: Sshd, machine: SshMachine, near: Path) -> None:
    script = "import sys; sys.stdin.read()"
    fails(sshd, machine, "nothing came for 2 s", server_script=script, timeout=2)


def test_a_script_that_prints_no_end_of_a_line(sshd: Sshd, machine: SshMachine) -> None:
    script = "import sys; print('x' * 10**6, end='', flush=True); sys.stdin.read()"
    fails(sshd, machine, "a line of more than 65536 bytes", server_script=script)


def test_a_machine_that_does_not_go_on(
    sshd: Sshd, machine: SshMachine, near: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netobj.deploy.launch.REMOTE_GRACE", 0.2)
    send = _Talk.send

    def send_and_be_impatient(talk: _Talk, data: bytes) -> None:
        talk._timeout = 0.2
        send(talk, data)

    def freeze(done: int, total: int) -> None:
        if done == 0:
            wait_until(lambda: sshd.deployed())
            os.kill(guardian_of(sshd), signal.SIGSTOP)
            monkeypatch.setattr(_Talk, "send", send_and_be_impatient)

    monkeypatch.setattr("netobj.deploy.launch.archive", lambda script: bytes(50_000_000))
    try:
        with pytest.raises(DeploymentError, match="timed out"):
            DeployedServer(machine, progress=freeze)
        wait_until(lambda: len(sshd.sessions()) == 1)
    finally:
        for pid in sshd.deployed():
            os.kill(pid, signal.SIGCONT)
    wait_until(sshd.is_clean)


def test_no_room_for_the_folder(sshd: Sshd, machine: SshMachine, near: Path) -> None:
    with sshd.machine() as other:
        other.env["TMPDIR"] = "/no/such/folder"
        with pytest.raises(DeploymentError, match="FileNotFoundError"):
            DeployedServer(other)


def test_what_the_caller_does_raises(sshd: Sshd, machine: SshMachine, near: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DeployedServer(machine, progress=interrupt)
    wait_until(sshd.is_clean)


def test_the_host_key_has_changed(tmp_path: Path, near: Path) -> None:
    with running(tmp_path) as sshd, sshd.machine() as machine:
        sshd.stop()
        sshd.new_host_key()
        sshd.start()
        fails(sshd, machine, "Host key verification failed")


def test_tunnels_are_forbidden(tmp_path: Path, near: Path) -> None:
    with (
        running(tmp_path, "AllowStreamLocalForwarding no") as sshd,
        sshd.machine() as machine,
        DeployedServer(machine) as server,
        pytest.raises(netobj.ConnectionLost, match=r"\d: open failed"),
    ):
        server.connect()


def test_the_users_settings_clear_all_tunnels(sshd: Sshd, machine: SshMachine, near: Path) -> None:
    with (
        sshd.machine("-o", "ClearAllForwardings=yes") as clearing,
        pytest.raises(DeploymentError, match=r"made no tunnel .* ClearAllForwardings"),
    ):
        DeployedServer(clearing)


# --- everything ends -----------------------------------------------------------------------------


def test_ssh_dies(sshd: Sshd, machine: SshMachine, near: Path) -> None:
    server = DeployedServer(machine)
    conn = server.classic_connect()
    end(server.proc.pid)
    wait_until(lambda: conn.closed)
    wait_until(lambda: server.closed)
    with pytest.raises(netobj.ConnectionLost):
        conn.eval("1")
    with pytest.raises(netobj.ConnectionLost, match=r"cannot be reached.*ssh ended with -9"):
        server.connect()
    wait_until(sshd.is_clean)
    conn.close()
    server.close()


def test_the_server_dies(sshd: Sshd, machine: SshMachine, near: Path) -> None:
    with DeployedServer(machine) as server, server.classic_connect() as conn:
        end(server_of(sshd))
        wait_until(lambda: conn.closed)
        wait_until(sshd.is_clean)
        with pytest.raises(netobj.ConnectionLost, match="ssh ended with 137"):
            server.connect()


def test_the_server_ends_itself(sshd: Sshd, machine: SshMachine) -> None:
    with (
        DeployedServer(machine, extra_setup=CALCULATOR) as server,
        server.connect() as conn,
    ):
        with pytest.raises(netobj.ConnectionLost):
            conn.root.end()
        wait_until(sshd.is_clean)
        wait_until(lambda: server.proc.poll() is not None)
        assert server.proc.returncode == 3


def test_the_guardian_dies(sshd: Sshd, machine: SshMachine) -> None:
    with DeployedServer(machine):
        end(guardian_of(sshd))
        wait_until(sshd.is_clean)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_guardian_is_told_to_end(sshd: Sshd, machine: SshMachine, number: int) -> None:
    with DeployedServer(machine):
        os.kill(guardian_of(sshd), number)
        wait_until(sshd.is_clean)


def test_what_the_server_started_ends_with_it(sshd: Sshd, machine: SshMachine) -> None:
    with DeployedServer(machine) as server, server.classic_connect() as conn:
        child = conn.modules.subprocess.Popen(["sleep", "1000"]).pid
        assert (child, ["sleep", "1000"]) in processes()
    wait_until(sshd.is_clean)
    wait_until(lambda: not Path(f"/proc/{child}/cmdline").exists() or is_zombie(child))


def is_zombie(pid: int) -> bool:
    """Nobody has taken note of its end: a container's first process may not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_server_that_does_not_end(
    sshd: Sshd, machine: SshMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netobj.deploy.launch.REMOTE_GRACE", 0.2)
    server = DeployedServer(machine)
    conn = server.classic_connect()
    os.kill(server_of(sshd), signal.SIGSTOP)  # as one that a function in C holds up
    server.close()
    wait_until(sshd.is_clean)
    conn.close()


def test_close_waits_no_longer_than_it_is_told(
    sshd: Sshd, machine: SshMachine, caplog: pytest.LogCaptureFixture
) -> None:
    server = DeployedServer(machine)
    stopped = sshd.deployed()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    server.close(timeout=0.2)
    assert "did not end in time" in caplog.text
    wait_until(lambda: len(sshd.sessions()) == 1)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    wait_until(sshd.is_clean)


def test_nobody_holds_it_any_more(sshd: Sshd, machine: SshMachine, near: Path) -> None:
    server = DeployedServer(machine)
    conn = server.classic_connect()
    del server
    wait_until(sshd.is_clean)
    wait_until(lambda: conn.closed)
    conn.close()


PROGRAM = """
import os, signal, sys
from plumbum import SshMachine
from netobj.deploy import DeployedServer
machine = SshMachine(sys.argv[1], port=int(sys.argv[2]), ssh_opts=sys.argv[4:])
server = DeployedServer(machine)
conn = server.classic_connect()
print("up", flush=True)
sys.stdin.readline()
if sys.argv[3] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("how", "code"), [("kill", -signal.SIGKILL), ("exit", 0)])
def test_the_program_ends_without_closing(
    sshd: Sshd, machine: SshMachine, near: Path, how: str, code: int
) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "127.0.0.1", str(sshd.port), how, *sshd.options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(near)},
    )
    with program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"up\n"
        assert len(sshd.folders()) == 1
        program.communicate(b"\n", timeout=HANG)
        assert program.returncode == code
    if how == "kill":  # it could not clean up here; there is nothing but the socket
        (left,) = near.iterdir()
        (left / "s").unlink(missing_ok=True)
        left.rmdir()


# --- several -------------------------------------------------------------------------------------


def test_multi_server_deployment(sshd: Sshd, machine: SshMachine) -> None:
    seen: list[tuple[int, int]] = []
    with sshd.machine() as other:
        with MultiServerDeployment(
            [machine, other], progress=lambda done, total: seen.append((done, total))
        ) as servers:
            assert len(servers) == 2
            assert [server.remote_machine for server in servers] == [machine, other]
            assert servers[1].remote_machine is other
            connections = servers.classic_connect_all()
            pids = [conn.modules.os.getpid() for conn in connections]
            assert len(set(pids)) == 2
            for conn in [*connections, *servers.connect_all()]:
                conn.close()
        assert len(servers) == 0
        wait_until(lambda: sshd.is_clean(2))
    assert max(seen) == (seen[0][1], seen[0][1])


def test_one_of_several_fails(sshd: Sshd, machine: SshMachine, near: Path) -> None:
    with sshd.machine() as other:
        other.env["TMPDIR"] = "/no/such/folder"
        with pytest.raises(DeploymentError, match="FileNotFoundError"):
            MultiServerDeployment([machine, other, machine])
        wait_until(lambda: sshd.is_clean(2))


def test_one_of_several_cannot_be_connected_to(sshd: Sshd, machine: SshMachine) -> None:
    made: list[netobj.Connection] = []

    class Listener(netobj.VoidService):
        def on_connect(self, conn: netobj.Connection) -> None:
            made.append(conn)

    with MultiServerDeployment([machine, machine]) as servers:
        servers[1].close()
        with pytest.raises(netobj.ConnectionLost):
            servers.connect_all(Listener)
        assert [conn.closed for conn in made] == [True]
    wait_until(sshd.is_clean)


# --- without an sshd -----------------------------------------------------------------------------


def test_utils_zerodeploy() -> None:
    assert netobj.utils.zerodeploy.DeployedServer is netobj.DeployedServer is DeployedServer


def test_what_runs_first_over_there_needs_only_the_standard_library() -> None:
    finder = __import__("runpy").run_path(str(ROOT / "tests" / "test_floors.py"))
    imports: Callable[[str], list[Any]] = finder["imports_of"]
    for module in ("guardian", "starting"):
        names = {found.target.split(".")[0] for found in imports(f"netobj.deployed.{module}")}
        assert names <= {*sys.stdlib_module_names, "msgpack"}


def test_the_oldest_msgpack_is_the_one_that_the_package_asks_for() -> None:
    assert f'"msgpack>={OLDEST_MSGPACK}"' in (ROOT / "pyproject.toml").read_text()


def test_the_arguments_are_in_the_order_that_rpycs_users_know() -> None:
    deployed = list(inspect.signature(DeployedServer).parameters)
    assert deployed[:6] == [
        *("remote_machine", "server_class", "service_class"),
        *("server_script", "extra_setup", "python_executable"),
    ]
    several = list(inspect.signature(MultiServerDeployment).parameters)
    assert several[:2] == ["remote_machines", "server_class"]
    connecting = list(inspect.signature(netobj.ssh_connect).parameters)
    assert connecting[:4] == ["remote_machine", "remote_port", "service", "config"]


def test_paths_that_ssh_would_change_are_not_used() -> None:
    assert _temporary("/var/folders/x_y-z.1/T/") == "/var/folders/x_y-z.1/T"
    for folder in (None, "", "relative", "/a:b", "/a%b", "/a$b", "/a b", "/ä", "/a\n"):
        assert _temporary(folder) == "/tmp"
