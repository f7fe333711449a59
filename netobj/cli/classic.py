"""The command ``netobj_classic``: a classic-mode server, and the shell that talks to one."""

from __future__ import annotations

import sys

from plumbum import cli

from netobj.cli.address import DEFAULT_PORT
from netobj.cli.shell import ShellCommand
from netobj.cli.token import read_token
from netobj.core.consts import VERSION
from netobj.core.service import SlaveService
from netobj.helpers import setup_logger
from netobj.registry.client import (
    BROADCAST,
    RegistryClient,
    TCPRegistryClient,
    UDPRegistryClient,
)
from netobj.registry.messages import REGISTRY_PORT
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

    register = cli.Flag("--register", help="register the server with a registry")
    registry_type = cli.SwitchAttr(
        "--registry-type", cli.Set("UDP", "TCP"), default="UDP", help="how the registry is asked"
    )
    registry_port = cli.SwitchAttr(
        "--registry-port", cli.Range(1, 65535), default=REGISTRY_PORT, help="the registry's port"
    )
    registry_host = cli.SwitchAttr(
        "--registry-host", str, help="where it is; by default a broadcast looks for it (UDP)"
    )
    registry_token_file = cli.SwitchAttr(
        "--registry-token-file",
        str,
        argname="FILE",
        help="the registry's token; by default what NETOBJ_REGISTRY_TOKEN contains",
    )

    def main(self) -> int:
        if self.nested_command is not None:
            return 0
        if self.mode != "threaded":
            return _usage_error(
                f"--mode {self.mode} comes with a later version; --mode threaded is there"
            )
        try:
            registrar = self._registrar() if self.register else None
        except (OSError, ValueError) as exc:
            return _usage_error(str(exc))
        setup_logger(self.quiet, self.logfile)
        server = ThreadedServer(
            SlaveService,
            hostname=self.host or ("::1" if self.ipv6 else "127.0.0.1"),
            port=self.port,
            ipv6=self.ipv6,
            registrar=registrar,
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

    def _registrar(self) -> RegistryClient:
        token = read_token(self.registry_token_file)
        if str(self.registry_type).upper() == "TCP":
            if self.registry_host is None:
                raise ValueError("--registry-type TCP takes --registry-host, too")
            return TCPRegistryClient(self.registry_host, self.registry_port, token=token)
        return UDPRegistryClient(self.registry_host or BROADCAST, self.registry_port, token=token)


NetobjClassic.subcommand("shell", ShellCommand)


def _usage_error(text: str) -> int:
    print(f"netobj_classic: {text}", file=sys.stderr)
    return 2


def main() -> None:
    """Run the command with the arguments of this process, and end it."""
    NetobjClassic.run()
