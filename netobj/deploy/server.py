"""One deployed server."""

from __future__ import annotations

import logging
import os
import re
import socket
import tempfile
import weakref
from typing import Any, Final

from netobj.auth.authenticator import VERDICT_TIME, log_in
from netobj.auth.tokens import TokenAuthenticator
from netobj.blocking.connection import Connection
from netobj.core.closing import Closing
from netobj.core.config import EMPTY, Settings
from netobj.core.service import ClassicClient, VoidService
from netobj.deploy.launch import REMOTE_GRACE, launch, near_folder
from netobj.deploy.progress import Report, reporter
from netobj.deployed.serving import READY
from netobj.errors import AuthenticationError, ConnectionLost, DeploymentError
from netobj.factory import open_connection
from netobj.ssh import PATIENCE, SshProcess, SshStream, check_machine, open_through

SERVER_SCRIPT: Final = """\
from netobj.deployed.serving import serve
from $SERVER_MODULE$ import $SERVER_CLASS$ as ServerCls
from $SERVICE_MODULE$ import $SERVICE_CLASS$ as ServiceCls

logger = None
$EXTRA_SETUP$

serve(ServerCls, ServiceCls, logger=logger)
"""

_DOTTED: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_LOGGER: Final = logging.getLogger("netobj.ssh")


class DeployedServer(Closing):
    """A server on another machine, which needs nothing there but Python 3.10 or later and SSH.

    *remote_machine*: a plumbum ``SshMachine``. Over one more ``ssh``, netobj and msgpack are
    copied into a temporary folder there; a *server_class* serves *service_class* in it (both the
    dotted names of classes over there) on a Unix socket, to which that ``ssh`` is a tunnel. Other
    users of either machine do not get in: they cannot enter the folders of the sockets, and the
    server asks for a token, which it has got over its standard input. At the end, whichever side
    is its cause, the server, what it has started, the folder and the tunnel are gone.

    *extra_setup*: Python code that runs before the server is made. *server_script*: the program
    itself, with ``$SERVER_MODULE$`` and the like to be replaced, as in ``SERVER_SCRIPT``. It ends
    with ``netobj.deployed.serving.serve(...)``; or it prints a port of that machine's ``localhost``
    and serves until its standard input ends, but then whoever can reach that port gets in, unless
    it sees to that itself. *python_executable*: a name, a path or a plumbum command; by default
    the first that will do, beginning with the version that runs here.

    *progress*: called with the bytes that are copied, and all that there are; True: a bar on the
    terminal. *timeout*: seconds that the other machine may take for any one step.

    Raises DeploymentError, which says what the other machine said.
    """

    def __init__(
        self,
        remote_machine: Any,
        server_class: str = "netobj.utils.server.ThreadedServer",
        service_class: str = "netobj.SlaveService",
        server_script: str = SERVER_SCRIPT,
        extra_setup: str = "",
        python_executable: Any = None,
        *,
        progress: Report | bool | None = None,
        timeout: float = PATIENCE,
    ) -> None:
        script = _filled(server_script, server_class, service_class, extra_setup)
        check_machine(remote_machine)
        self.remote_machine = remote_machine
        folder = near_folder()
        self._near = os.path.join(folder.name, "s")
        try:
            self._ssh, said, self._token = launch(
                remote_machine, script, python_executable, self._near, reporter(progress), timeout
            )
        except BaseException:
            folder.cleanup()
            raise
        self._finalizer = weakref.finalize(self, _let_go, self._ssh, folder)
        self._port = int(said) if said.isdecimal() and said.isascii() else None
        try:
            self._ssh.drain()
            self._check(said)
        except BaseException:
            self.close()
            raise

    def _check(self, said: str) -> None:
        if self._port is None and said != READY:
            raise DeploymentError(
                f"the server script on {self._ssh.name} printed {said[:80]!r} first, not a port, "
                f"nor did it call netobj.deployed.serving.serve; {self._ssh.why()}"
            )
        if self._port is None and not os.path.exists(self._near):
            raise DeploymentError(
                f"ssh made no tunnel to {self._ssh.name} (do its settings here say "
                f"ClearAllForwardings?); {self._ssh.why()}"
            )

    @property
    def proc(self) -> Any:
        """The process of ``ssh`` that runs the server: what plumbum gives for one."""
        return self._ssh.proc

    @property
    def closed(self) -> bool:
        """True once it was closed, or the server or its ``ssh`` has ended."""
        return not self._finalizer.alive or self._ssh.ended

    def connect(self, service: Any = VoidService, config: Settings = EMPTY) -> Connection:
        """A connection to the server; *service* and *config* as for :func:`netobj.connect`.

        Raises ConnectionLost if the server has ended, AuthenticationError if it is another.
        """
        return open_connection(self._stream(), service, config)

    def classic_connect(self, config: Settings = EMPTY) -> Connection:
        """A classic connection to the server; see :mod:`netobj.classic`."""
        return open_connection(self._stream(), ClassicClient, config)

    def _stream(self) -> SshStream:
        name = f"the server deployed to {self._ssh.name}"
        if not self._finalizer.alive:
            raise ConnectionLost(f"{name} was closed on this side")
        if self._port is not None:
            return open_through(self.remote_machine, self._port)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(VERDICT_TIME)
            sock.connect(self._near)
            log_in(sock, TokenAuthenticator(self._token), VERDICT_TIME)
        except AuthenticationError as exc:
            sock.close()
            raise AuthenticationError(f"{name}: {exc}") from exc
        except (OSError, EOFError) as exc:
            sock.close()
            why = self._ssh.why()
            raise ConnectionLost(f"{name} cannot be reached ({exc}); {why}") from exc
        except BaseException:
            sock.close()
            raise
        return SshStream(sock, name)

    def close(self, timeout: float | None = None) -> None:
        """End the server and the tunnel, and remove what was copied. Twice does no harm.

        Waits at most *timeout* seconds (by default as long as the server has to end by itself,
        and some more), then ends ``ssh`` itself; what runs over there ends then, too. The
        *remote_machine* stays as it is. Its connections get a goodbye.
        """
        if not self._finalizer.alive:
            return
        self._ssh.let_go()
        if not self._ssh.wait(REMOTE_GRACE + _MORE if timeout is None else timeout):
            _LOGGER.warning("%s: the deployed server did not end in time", self._ssh.name)
            self._ssh.kill()
            self._ssh.wait(_MORE)
        self._finalizer()

    def let_go(self) -> None:
        """Have it end, without waiting for that; :meth:`close` waits."""
        self._ssh.let_go()

    def __repr__(self) -> str:
        return f"<DeployedServer on {self._ssh.name} ({'closed' if self.closed else 'open'})>"


_MORE: Final = 5.0


def _let_go(ssh: SshProcess, folder: tempfile.TemporaryDirectory[str]) -> None:
    """Nobody holds the server any more: it ends by itself."""
    ssh.let_go()
    folder.cleanup()


def _filled(script: str, server_class: str, service_class: str, extra_setup: str) -> str:
    for what, name in (("server_class", server_class), ("service_class", service_class)):
        if not _DOTTED.fullmatch(str(name)):
            raise ValueError(
                f"{what}: the dotted name of a class that can be imported on the other machine, "
                f"such as 'netobj.SlaveService', not {name!r}"
            )
    server_module, _, server_name = server_class.rpartition(".")
    service_module, _, service_name = service_class.rpartition(".")
    for place, text in (
        ("$SERVER_MODULE$", server_module),
        ("$SERVER_CLASS$", server_name),
        ("$SERVICE_MODULE$", service_module),
        ("$SERVICE_CLASS$", service_name),
        ("$EXTRA_SETUP$", extra_setup),  # last: what it says is not replaced in
    ):
        script = script.replace(place, text)
    return script
