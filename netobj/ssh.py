"""Through SSH: a process of ``ssh``, which a plumbum machine starts, and the streams it carries.

No port is opened on this machine, so no other user of it can come in: what ``ssh`` carries goes
through its standard input and output, which are one end of a pair of sockets.
"""

from __future__ import annotations

import atexit
import errno
import logging
import os
import select
import socket
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from typing import IO, Any, Final

from netobj.blocking.streams import SocketStream
from netobj.errors import ConnectionLost
from netobj.sockets import refused

PATIENCE: Final = 60.0
"""Seconds that the other machine has to answer, where its plumbum machine has no limit."""
GRACE: Final = 5.0
"""Seconds that ``ssh`` has to end by itself, once nothing comes from this side any more."""

_AT_EXIT: Final = 2.0
_TAIL: Final = 20  # lines that are kept for error texts
_LONGEST: Final = 1000  # bytes of such a line
_LOGGER: Final = logging.getLogger("netobj.ssh")
_running: weakref.WeakSet[SshProcess] = weakref.WeakSet()


def check_machine(machine: Any) -> None:
    """Raises TypeError if *machine* is not plumbum's ``SshMachine``, or one that looks like it."""
    if hasattr(machine, "connect_sock") or not hasattr(machine, "tunnel"):
        raise TypeError(
            "a plumbum SshMachine is needed, which starts the system's ssh, not a "
            f"{type(machine).__name__}"
        )


def readable(line: bytes) -> str:
    """What another machine said, without what would move about in a terminal.

    >>> readable(b"caf\\xc3\\xa9 \\x1b[2J")
    'café  [2J'
    """
    return "".join(c if c.isprintable() else " " for c in line.decode(errors="replace"))


class SshProcess:
    """A process of ``ssh``; *sock*, which belongs to the caller, is its input and output.

    *machine*: a plumbum ``SshMachine``, or a :class:`Host`; *command*: what runs there, as a text
    for its shell ("" for none); *options*: of ``ssh``. The lines that come on standard error go to
    the logger ``netobj.ssh``, and the last ones into error texts.
    """

    def __init__(self, machine: Any, command: str, options: Sequence[str]) -> None:
        self.name = str(machine)
        self.patience: float = getattr(machine, "connect_timeout", None) or PATIENCE
        self._pid = os.getpid()
        self._said: deque[str] = deque(maxlen=_TAIL)
        self.sock, theirs = socket.socketpair()
        try:
            self.proc = machine.popen(
                [command] if command else (),
                ssh_opts=["-T", "-o", "ControlMaster=no", *options],
                stdin=theirs,
                stdout=theirs,
                stderr=subprocess.PIPE,
                new_session=True,  # Ctrl-C in the terminal is for this program alone
            )
        except BaseException:
            self.sock.close()
            raise
        finally:
            theirs.close()
        _running.add(self)
        self._readers = [self._start(self._listen)]

    def _start(self, target: Any, *args: Any) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, name="netobj ssh", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self.sock.close()
            self.kill()
            self.proc.wait()
            self.proc.stderr.close()
            raise
        return thread

    def _listen(self) -> None:
        with self.proc.stderr as errors:
            self._follow(errors)
        self.proc.wait()
        _running.discard(self)

    def _follow(self, lines: IO[bytes]) -> None:
        while line := lines.readline(_LONGEST):
            if text := readable(line).rstrip():
                self._said.append(text)
                _LOGGER.info("%s: %s", self.name, text)

    def drain(self) -> None:
        """From here on log what comes on standard output, too, and close *sock* at its end."""
        self._readers.append(self._start(self._drain))

    def _drain(self) -> None:
        try:
            with self.sock, self.sock.makefile("rb") as lines:
                self._follow(lines)
        except OSError:  # ssh was killed
            pass

    @property
    def ended(self) -> bool:
        """True when the process is no more."""
        return self.proc.poll() is not None

    def wait(self, timeout: float) -> bool:
        """Wait until the process has ended and what it said was read; True if it has ended.

        *timeout*: seconds, at most.
        """
        deadline = time.monotonic() + timeout
        try:
            self.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        for reader in self._readers:
            reader.join(max(0.0, deadline - time.monotonic()))
        return True

    def why(self) -> str:
        """How it ended and what it said, for an error's text; waits for that a moment."""
        ended = self.wait(1.0)
        state = f"ssh ended with {self.proc.returncode}" if ended else "ssh is still running"
        return f"{state}: {' / '.join(self._said)}" if self._said else f"{state} and said nothing"

    def let_go(self) -> None:
        """Nothing comes from this side any more: what runs there ends, then ssh. Never waits."""
        self._shut(socket.SHUT_WR)

    def hang_up(self) -> None:
        """As :meth:`let_go`, and nothing that comes is read any more."""
        self._shut(socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        if self._pid != os.getpid():  # a child of fork has copies, which are not its own
            return
        try:
            self.sock.shutdown(how)
        except OSError:  # ssh is gone, or the socket is closed
            pass

    def kill(self) -> None:
        """End the process at once."""
        if self._pid == os.getpid():
            self.proc.kill()

    def end_soon(self) -> None:
        """Let it end by itself, or kill it after :data:`GRACE` seconds; never waits."""
        if self._pid == os.getpid() and not self.ended:
            try:
                self._start(self._end)
            except RuntimeError:  # no thread can be started: it was killed
                pass

    def _end(self) -> None:
        if not self.wait(GRACE):
            self.kill()


def _end_all() -> None:
    """This program ends: so does what it has started, whether or not somebody closed it."""
    processes = list(_running)
    for process in processes:
        process.let_go()
    deadline = time.monotonic() + _AT_EXIT
    for process in processes:
        if not process.wait(max(0.0, deadline - time.monotonic())):
            process.kill()


atexit.register(_end_all)


class SshStream(SocketStream):
    """A stream through SSH; *name* says where it leads, *process* is its own ``ssh``, if any."""

    def __init__(self, sock: socket.socket, name: str, process: SshProcess | None = None) -> None:
        super().__init__(sock)
        self._name = name
        self.process = process

    def close(self) -> None:
        super().close()
        if self.process is not None:
            self.process.end_soon()

    @property
    def name(self) -> str:
        return self._name


class Host:
    """A machine that is named as for ``ssh``, and as much of a plumbum one as a tunnel needs.

    Nobody logs in there to make it. *user*: "" is the usual one.

    >>> str(Host("lab", "ada"))
    'ssh://ada@lab'
    """

    def __init__(self, host: str, user: str = "") -> None:
        self._name = f"{user}@{host}" if user else host

    def __str__(self) -> str:
        return f"ssh://{self._name}"

    def popen(
        self, args: Sequence[str], ssh_opts: Sequence[str], *, new_session: bool, **how: Any
    ) -> subprocess.Popen[bytes]:
        """Start ``ssh``; raises FileNotFoundError if this machine has none."""
        command = ["ssh", *ssh_opts, self._name, *args]
        try:
            return subprocess.Popen(command, start_new_session=new_session, **how)
        except FileNotFoundError as exc:
            text = "this machine has no ssh in its PATH: install OpenSSH's client"
            raise FileNotFoundError(exc.errno, text, "ssh") from exc


class Passage:
    """An ``ssh`` on its way to *port* of *machine*, as that reaches its own ``localhost``."""

    def __init__(self, machine: Any, port: int) -> None:
        if not 0 < port < 65536:
            raise ValueError(f"a port is a number from 1 to 65535, not {port}")
        self._where = f"{machine} port {port}"
        self._process = SshProcess(machine, "", ["-W", f"localhost:{port}"])

    def stream(self) -> SshStream:
        """Wait until the server has said something, as all netobj servers do; once.

        Raises ConnectionRefusedError if nobody listens there, ConnectionLost if SSH does not get
        there, TimeoutError if the server says nothing.
        """
        process = self._process
        try:
            _await_first_byte(process, self._where)
        except BaseException:
            process.sock.close()
            process.kill()
            process.wait(GRACE)
            raise
        return SshStream(process.sock, self._where, process)

    def give_up(self) -> None:
        """Have :meth:`stream`, which waits in another thread, raise ConnectionLost soon."""
        self._process.hang_up()
        self._process.kill()


def open_through(machine: Any, port: int) -> SshStream:
    """A stream to *port* of *machine*, a plumbum ``SshMachine``; see :meth:`Passage.stream`.

    Raises TypeError for another machine, too.
    """
    check_machine(machine)
    return Passage(machine, port).stream()


def passage_to(host: str, user: str, port: int, ssl_context: object = None) -> Passage:
    """The way to *port* of the machine that ``ssh`` knows as *host*; "": the usual *user*.

    Raises FileNotFoundError without an ``ssh``, ValueError for an *ssl_context*.
    """
    if ssl_context is not None:
        raise ValueError("SSH protects what it carries: there is no ssl_context or psk through it")
    return Passage(Host(host, user), port)


def _await_first_byte(process: SshProcess, where: str) -> None:
    ready, _, _ = select.select([process.sock], [], [], process.patience)
    if not ready:
        raise TimeoutError(f"{where}: nothing came within {process.patience:g} s")
    if process.sock.recv(1, socket.MSG_PEEK):
        return
    why = process.why()
    if "open failed" in why and "refused" in why:
        raise refused(where, ConnectionRefusedError(errno.ECONNREFUSED, why))
    raise ConnectionLost(f"{where} was not reached: {why}")
