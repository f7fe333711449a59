"""``netobj_classic shell``: connects, makes the two halves of the shell, and runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from plumbum import cli

from netobj.blocking.streams import SocketStream
from netobj.cli.connecting import Security, connected
from netobj.cli.console import Link, RemoteHalf, Shell
from netobj.cli.embedded import EmbeddedServer
from netobj.cli.sharing import LocalBox, LocalInterpreter
from netobj.cli.terminal import Terminal
from netobj.core.service import ClassicService, MasterService, Service
from netobj.errors import NetobjError
from netobj.factory import connect_stream


class ShellCommand(Security):
    """A Python prompt in another process.

    ADDRESS is HOST, HOST:PORT, [IPV6]:PORT or unix:PATH of a server started with netobj_classic, or
    netobj://HOST:PORT and its kin (netobjs:// is over TLS); without it the shell starts a server of
    its own, which nobody else can reach.
    Input that is no terminal is run as a script.
    """

    PROGNAME = "netobj_classic shell"

    code = cli.SwitchAttr("-c", str, argname="CODE", excludes=["--script"], help="run CODE, end")
    script = cli.SwitchAttr("--script", str, argname="FILE", help="run FILE, end")
    ipython = cli.Flag("--ipython", help="prompt with IPython, which has to be installed here")
    share_local = cli.Flag(
        "--share-local",
        help="let the server use all of the local interpreter, as 'local'; its own server always "
        "may. Whoever runs that server can then do here what you can",
    )

    def main(self, address: str = "") -> int:
        terminal = Terminal()
        try:
            with ExitStack() as stack:
                share = self.share_local or not address
                conn = stack.enter_context(_open(address, share, self.security()))
                shell = Shell(lambda link: _remote_half(conn, link, share), terminal)
                stack.callback(shell.close)
                return self._run(shell, terminal)
        except (OSError, ValueError, ImportError, NetobjError, _Unavailable) as exc:
            terminal.error(f"{self.PROGNAME}: {exc}\n")
            return 1

    def _run(self, shell: Shell, terminal: Terminal) -> int:
        code, script = cast("str | None", self.code), cast("str | None", self.script)
        if code is not None:
            return shell.run_script(code, "<string>")
        if script is not None:
            return shell.run_script(Path(script).read_text(encoding="utf-8"), script)
        if not terminal.interactive:
            return shell.run_script(terminal.read_all(), "<stdin>")
        if self.ipython:
            return _interact_ipython(shell)
        return shell.interact()


class _Unavailable(Exception):
    """Something that was asked for is not installed."""


def _interact_ipython(shell: Shell) -> int:
    try:
        ipython = import_module("netobj.cli.ipython")  # needs what few have installed
    except ImportError as exc:
        raise _Unavailable(
            "--ipython needs IPython here: python -m pip install 'netobj[ipython]'"
        ) from exc
    return int(ipython.interact(shell))


@contextmanager
def _open(address: str, share: bool, security: dict[str, Any]) -> Iterator[Any]:
    service: type[Service] = ClassicService if share else MasterService
    with ExitStack() as stack:
        if not address:
            server = stack.enter_context(EmbeddedServer())
            own = {"handshake_timeout": None}  # it may start slowly
            conn = connect_stream(SocketStream(server.socket), service, own)
        else:
            conn = connected(address, security, service)
        stack.callback(conn.close)
        yield conn


def _remote_half(conn: Any, link: Link, share: bool) -> RemoteHalf:
    local = LocalInterpreter() if share else LocalBox()
    module = conn.modules["netobj.cli.remote_console"]
    names = (("local", local), ("conn", conn.root.getconn()))
    return cast(RemoteHalf, module.RemoteConsole(link.write, link.read_line, names))
