"""The command ``netobj_classic``: a classic-mode server, and the shell that talks to one."""

from __future__ import annotations

import sys

from plumbum import cli

from netobj.cli.address import DEFAULT_PORT
from netobj.cli.shell import ShellCommand
from netobj.core.consts import VERSION
from netobj.core.service import SlaveService
from netobj.helpers import setup_logger
from netobj.servers.threaded import ThreadedServer

_MODES = ("threaded", "forking", "stdio", "oneshot")


class NetobjClassic(cli.Application):
    """Serves this Python interpreter: whoever connects can do all that it can.

    There is no password: the default address is reachable from this machine only.
    """

    PROGNAME = "netobj_classic"
    VERSION = VERSION

    mode = cli.SwitchAttr(
        ["-m", "--mode"], cli.Set(*_MODES), default="threaded", help="how connections are served"
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
        if self.mode != "threaded":
            return _usage_error(
                f"--mode {self.mode} comes with a later version; --mode threaded is there"
            )
        setup_logger(self.quiet, self.logfile)
        server = ThreadedServer(
            SlaveService,
            hostname=self.host or ("::1" if self.ipv6 else "127.0.0.1"),
            port=self.port,
            ipv6=self.ipv6,
        )
        try:
            server.start()
        except KeyboardInterrupt:
            return 0
        except OSError as exc:
            print(f"{self.PROGNAME}: {exc}", file=sys.stderr)
            return 1
        finally:
            server.close()
        return 0


NetobjClassic.subcommand("shell", ShellCommand)


def _usage_error(text: str) -> int:
    print(f"netobj_classic: {text}", file=sys.stderr)
    return 2


def main() -> None:
    """Run the command with the arguments of this process, and end it."""
    NetobjClassic.run()
