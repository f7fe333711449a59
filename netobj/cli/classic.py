"""The command ``netobj_classic``: a classic-mode server, and the shell that talks to one."""

from __future__ import annotations

import sys

from plumbum import cli

from netobj.cli.address import DEFAULT_PORT
from netobj.cli.shell import ShellCommand
from netobj.core.consts import VERSION
from netobj.core.service import SlaveService
from netobj.factory import connect_stdpipes
from netobj.helpers import setup_logger
from netobj.servers.base import Server
from netobj.servers.forking import ForkingServer
from netobj.servers.oneshot import OneShotServer
from netobj.servers.threaded import ThreadedServer

_SERVERS: dict[str, type[Server]] = {
    "threaded": ThreadedServer,
    "forking": ForkingServer,
    "oneshot": OneShotServer,
}


class NetobjClassic(cli.Application):
    """Serves this Python interpreter: whoever connects can do all that it can.

    There is no password: the default address is reachable from this machine only.
    """

    PROGNAME = "netobj_classic"
    VERSION = VERSION

    mode = cli.SwitchAttr(
        ["-m", "--mode"],
        cli.Set(*_SERVERS, "stdio"),
        default="threaded",
        help="how connections are served: each by a thread, each by a process; stdio: the one over "
        "standard input and output; oneshot: one, to the address that is printed",
    )
    port = cli.SwitchAttr(
        ["-p", "--port"], cli.Range(0, 65535), default=DEFAULT_PORT, help="0: any free one"
    )
    host = cli.SwitchAttr("--host", str, help="the address to bind; 127.0.0.1, with --ipv6 ::1")
    ipv6 = cli.Flag("--ipv6", help="bind an IPv6 address")
    logfile = cli.SwitchAttr("--logfile", str, argname="FILE", help="log there, not to stderr")
    quiet = cli.Flag(["-q", "--quiet"], help="log errors only")

    def main(self) -> int:
        if self.nested_command is not None:
            return 0
        setup_logger(self.quiet, self.logfile)
        try:
            self._serve()
        except KeyboardInterrupt:
            return 0
        except OSError as exc:
            print(f"{self.PROGNAME}: {exc}", file=sys.stderr)
            return 1
        return 0

    def _serve(self) -> None:
        if self.mode == "stdio":
            connect_stdpipes(SlaveService).serve_all()
            return
        server = _SERVERS[str(self.mode)](
            SlaveService,
            hostname=self.host or ("::1" if self.ipv6 else "127.0.0.1"),
            port=self.port,
            ipv6=self.ipv6,
        )
        try:
            if self.mode == "oneshot":
                print(f"netobj-oneshot\n{server.host}\t{server.port}", flush=True)
            server.start()
        finally:
            server.close()


NetobjClassic.subcommand("shell", ShellCommand)


def main() -> None:
    """Run the command with the arguments of this process, and end it."""
    NetobjClassic.run()
