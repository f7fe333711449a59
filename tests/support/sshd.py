"""A real sshd for the tests: on a free port of the loopback address, as this user, with keys made
for the run, in a temporary folder; and what tells whether anything is left of a deployment."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from plumbum import SshMachine, local

from patience import HANG, wait_until

HOST = "127.0.0.1"

_CONFIG = """
Port {port}
ListenAddress {host}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
LogLevel ERROR
{more}
"""


def find_sshd() -> str:
    """The path of sshd; without one the test is skipped, but fails where CI is set."""
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        text = "there is no sshd here: on Debian, apt-get install openssh-server"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    return found


def make_key(path: Path) -> None:
    """An ed25519 key without a passphrase, *path* and *path*.pub; a new one if one is there."""
    path.unlink(missing_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "netobj-tests", "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )


class Sshd:
    """A running sshd; *port* is its port, *options* are what an ssh needs to get there."""

    def __init__(
        self, folder: Path, more: Sequence[str] = (), path: str | None = None, login: str = "true"
    ) -> None:
        self.folder = folder
        self.port = 0
        self.temporary = folder / "tmp"  # what is deployed goes below
        self.temporary.mkdir()
        make_key(folder / "user_key")
        shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
        self.new_host_key()
        # The interpreter that runs the tests, but not its virtual environment.
        python = os.path.dirname(os.path.realpath(sys.executable))
        path = path or f"{python}:/usr/local/bin:/usr/bin:/bin"
        # Whatever this user's own login scripts have set before.
        self._more = [
            *more,
            f"SetEnv TMPDIR={self.temporary}",
            f"ForceCommand exec /bin/sh -c 'PATH={path}; {login}; eval \"$SSH_ORIGINAL_COMMAND\"'",
        ]
        self._proc: subprocess.Popen[bytes] | None = None

    def new_host_key(self) -> None:
        """Another key from the next start on."""
        make_key(self.folder / "host_key")

    def know_host(self) -> None:
        """The user trusts the present key."""
        kind, key, _ = (self.folder / "host_key.pub").read_text().split()
        (self.folder / "known_hosts").write_text(f"[{HOST}]:{self.port} {kind} {key}\n")

    def start(self) -> None:
        """Listen, at the same port as before if it was started before."""
        if not self.port:
            with socket.create_server((HOST, 0)) as taken:
                self.port = taken.getsockname()[1]
            self.know_host()
        config = self.folder / "sshd_config"
        text = _CONFIG.format(
            port=self.port, host=HOST, folder=self.folder, more="\n".join(self._more)
        )
        config.write_text(text)
        if os.getuid() == 0:  # then sshd wants this, though it is not used
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        with (self.folder / "sshd.log").open("ab") as log:
            self._proc = subprocess.Popen(
                [find_sshd(), "-D", "-e", "-f", str(config)],
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._listens)

    def _listens(self) -> bool:
        assert self._proc is not None
        assert self._proc.poll() is None, (self.folder / "sshd.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0

    def stop(self) -> None:
        """Stop listening; sessions go on."""
        if self._proc is not None:
            self._proc.terminate()
            self._proc.wait(HANG)
            self._proc = None

    @property
    def options(self) -> list[str]:
        known, key = self.folder / "known_hosts", self.folder / "user_key"
        return [
            *("-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"),
            *("-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes"),
            *("-i", str(key)),
        ]

    def machine(self, *options: str) -> SshMachine:
        """A plumbum machine that is this machine, through this sshd."""
        return SshMachine(HOST, port=self.port, ssh_opts=[*self.options, *options])

    @contextmanager
    def known_as(self, *names: str) -> Iterator[None]:
        """While it lasts, ``ssh`` gets here by each of *names*."""
        tools = self.folder / "tools"
        tools.mkdir(exist_ok=True)
        settings = f"""
            HostName {HOST}
            HostKeyAlias [{HOST}]:{self.port}
            Port {self.port}
            UserKnownHostsFile {self.folder / "known_hosts"}
            IdentityFile {self.folder / "user_key"}
            IdentitiesOnly yes
            BatchMode yes
        """
        (self.folder / "ssh_config").write_text(f"Host {' '.join(names)}\n{settings}")
        script = tools / "ssh"
        script.write_text(f'#!/bin/sh\nexec {local["ssh"]} -F {self.folder}/ssh_config "$@"\n')
        script.chmod(0o755)
        path = f"{tools}:{os.environ['PATH']}"
        with local.env(PATH=path), pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", path)
            yield

    def sessions(self) -> list[int]:
        """The processes of ssh that lead here."""
        marks = {f"UserKnownHostsFile={self.folder / 'known_hosts'}", f"{self.folder}/ssh_config"}
        return [pid for pid, line in processes() if line[0].endswith("ssh") and marks & {*line}]

    def deployed(self) -> list[int]:
        """The processes that run what was deployed here, or the guardians of it."""
        return [
            pid
            for pid, line in processes()
            if "python" in line[0] and f"TMPDIR={self.temporary}" in environment_of(pid)
        ]

    def is_clean(self, sessions: int = 1) -> bool:
        """Nothing is left but that many processes of ssh (a plumbum machine has one)."""
        return (len(self.sessions()), self.deployed(), self.folders()) == (sessions, [], [])

    def folders(self) -> list[str]:
        """The folders that were deployed."""
        return [path.name for path in self.temporary.iterdir()]


def processes() -> Iterator[tuple[int, list[str]]]:
    """(process, its arguments) of all that run here."""
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                line = (path / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if line:
                yield int(path.name), line.decode(errors="replace").rstrip("\0").split("\0")


def environment_of(pid: int) -> list[str]:
    """The environment that the process was started with."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # it has ended
        return []


def end(pid: int) -> None:
    """Kill the process at once."""
    os.kill(pid, signal.SIGKILL)


@contextmanager
def running(
    folder: Path, *more: str, path: str | None = None, login: str = "true"
) -> Iterator[Sshd]:
    """An sshd in *folder*; *more* are lines of its settings, *path* is the PATH of who logs in,
    *login* what is run then, without single quotes."""
    find_sshd()
    server = Sshd(folder, more, path, login)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def lab(*names: str) -> ExitStack:
    """For the pages: machines of these *names*, all of them this one; ``close()`` ends them."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(running(Path(folder)))
        stack.enter_context(server.known_as(*names))
        return stack.pop_all()
