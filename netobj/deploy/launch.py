"""Starting the guardian on the other machine, over one ``ssh``; its program's first line."""

from __future__ import annotations

import json
import re
import secrets
import tempfile
import time
from importlib.resources import files
from typing import Any, Final, NamedTuple

from netobj.auth.tokens import new_token
from netobj.deploy.finding import candidates, command
from netobj.deploy.payload import OLDEST_MSGPACK, SCRIPT, archive
from netobj.deploy.progress import Report
from netobj.deployed.serving import SOCKET
from netobj.errors import DeploymentError
from netobj.ssh import SshProcess, readable

REMOTE_GRACE: Final = 5.0
"""Seconds that the deployed server has to end by itself."""

_CHUNK: Final = 16 * 1024
_NOISE: Final = 64 * 1024  # bytes that login scripts over there may print
_PLAIN: Final = re.compile(r"/[\w./-]*", re.ASCII)  # ssh replaces % $ and : in paths


class Launched(NamedTuple):
    """What runs: its ``ssh``, the first line of the server script, and what gets one in."""

    ssh: SshProcess
    said: str
    token: str


def launch(
    machine: Any,
    script: str,
    python_executable: Any,
    near: str,
    report: Report,
    timeout: float,
) -> Launched:
    """Run *script* on *machine*, with netobj beside it, and wait for the line that it prints.

    *near*: the path here of a Unix socket that leads to the one over there; *timeout*: seconds
    without any progress. Raises DeploymentError.
    """
    mark, token = f"netobj-{secrets.token_hex(8)}", new_token()
    folder = f"{_temporary(machine.env.get('TMPDIR'))}/netobj-{secrets.token_hex(8)}"
    guardian = files("netobj.deployed").joinpath("guardian.py").read_bytes()
    pythons = candidates(python_executable)
    ssh = SshProcess(
        machine,
        command(pythons, mark, len(guardian)),
        # A process of its own, so that the tunnel ends with it. No failure of a tunnel that the
        # user's settings ask for, which may be open already, is ours.
        ["-S", "none", "-o", "ExitOnForwardFailure=no", "-o", "StreamLocalBindMask=0177"]
        + ["-L", f"{near}:{folder}/{SOCKET}"],
    )
    talk = _Talk(ssh, mark, timeout)
    try:
        talk.expect("python")
        content = archive(script)
        order = {
            "mark": mark,
            "folder": folder,
            "command": ["-u", "-B", _STARTING, folder, OLDEST_MSGPACK, SCRIPT],
            "token": token,
            "grace": REMOTE_GRACE,
            "size": len(content),
        }
        talk.send(guardian + json.dumps(order).encode() + b"\n")
        report(0, len(content))
        for start in range(0, len(content), _CHUNK):
            talk.send(content[start : start + _CHUNK])
            report(min(start + _CHUNK, len(content)), len(content))
        talk.expect("started")
        said = talk.line()
    except DeploymentError:
        talk.give_up()
        raise
    except OSError as exc:
        talk.give_up()
        raise talk.failure(str(exc) or type(exc).__name__) from exc
    except BaseException:
        talk.give_up()
        raise
    ssh.sock.settimeout(None)
    return Launched(ssh, said, token)


_STARTING: Final = "netobj/deployed/starting.py"


def near_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder here for the near end of the tunnel, which only this user can enter."""
    return tempfile.TemporaryDirectory(prefix="netobj-", dir=_temporary(tempfile.gettempdir()))


def _temporary(folder: str | None) -> str:
    plain = folder and _PLAIN.fullmatch(folder)
    return folder.rstrip("/") if folder and plain else "/tmp"


class _Talk:
    """What is said with the guardian until the program runs."""

    def __init__(self, ssh: SshProcess, mark: str, timeout: float) -> None:
        self._ssh = ssh
        self._mark = mark.encode()
        self._timeout = timeout
        self._received = b""

    def send(self, data: bytes) -> None:
        self._ssh.sock.settimeout(self._timeout)
        self._ssh.sock.sendall(data)

    def expect(self, word: str) -> None:
        """Wait for the line with our mark, past what login scripts print; it says *word*."""
        noise = 0
        while True:
            line = self._read_line()
            mark, _, said = line.partition(b" ")
            if mark == self._mark:
                break
            noise += len(line)
            if noise > _NOISE:
                raise self.failure(f"its login prints more than {_NOISE} bytes")
        first, _, rest = readable(said).partition(" ")
        if first == "none":
            raise self.failure(
                f"it has no Python of version 3.10 or later ({rest.strip()}): install one, or say "
                "where it is with python_executable="
            )
        if first != word:
            raise self.failure(f"it said {first[:80]!r} where {word!r} was due")

    def line(self) -> str:
        """The next line, whoever prints it."""
        return readable(self._read_line()).strip()

    def _read_line(self) -> bytes:
        # Nothing else reads the socket before drain(), so no byte behind the line is lost.
        deadline = time.monotonic() + self._timeout
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self.failure(f"nothing came for {self._timeout:g} s")
            self._ssh.sock.settimeout(left)
            try:
                piece = self._ssh.sock.recv(4096)
            except TimeoutError:
                continue
            if not piece:
                raise self.failure("it ended before the server ran")
            self._received += piece
            if len(self._received) > 2 * _NOISE:
                raise self.failure(f"it prints a line of more than {_NOISE} bytes")
        line, _, self._received = self._received.partition(b"\n")
        return line

    def give_up(self) -> None:
        """End what runs there, within a bounded time."""
        self._ssh.hang_up()
        if not self._ssh.wait(REMOTE_GRACE + 1):
            self._ssh.kill()
            self._ssh.wait(1.0)
        self._ssh.sock.close()

    def failure(self, what: str) -> DeploymentError:
        self._ssh.hang_up()
        return DeploymentError(
            f"netobj cannot be deployed to {self._ssh.name}: {what}; {self._ssh.why()}"
        )
