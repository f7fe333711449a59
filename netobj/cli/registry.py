"""The command ``netobj_registry``: where servers say what they serve, and clients find them."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from plumbum import cli

from netobj.cli.token import read_token
from netobj.core.consts import VERSION
from netobj.helpers import setup_logger
from netobj.registry.messages import REGISTRY_PORT
from netobj.registry.server import (
    DEFAULT_PRUNING_TIMEOUT,
    RegistryServer,
    TCPRegistryServer,
    UDPRegistryServer,
)

_SERVERS = {"UDP": UDPRegistryServer, "TCP": TCPRegistryServer}


class NetobjRegistry(cli.Application):
    """Answers who asks where a service is; servers with a registrar tell it.

    It hears all networks of this machine. Without a token it believes everybody on them: who
    should be found, then, is a question of who is let in there. The token, of 16 bytes or more, is
    read from a file or from the environment (NETOBJ_REGISTRY_TOKEN).
    """

    PROGNAME = "netobj_registry"
    VERSION = VERSION

    mode = cli.SwitchAttr(
        ["-m", "--mode"],
        cli.Set(*_SERVERS),
        default="UDP",
        help="how it is asked: UDP hears broadcasts, TCP passes routers",
    )
    ipv6 = cli.Flag(["-6", "--ipv6"], help="bind IPv6 addresses instead of IPv4 ones")
    port = cli.SwitchAttr(
        ["-p", "--port"], cli.Range(0, 65535), default=REGISTRY_PORT, help="0: any free one"
    )
    logfile = cli.SwitchAttr("--logfile", str, argname="FILE", help="log there, not to stderr")
    quiet = cli.Flag(["-q", "--quiet"], help="log errors only")
    timeout = cli.SwitchAttr(
        ["-t", "--timeout"],
        cli.Range(1, 1_000_000),
        default=DEFAULT_PRUNING_TIMEOUT,
        help="seconds after which a server that has not registered again is forgotten",
    )
    listing = cli.Flag(["-l", "--listing"], help="let everybody list the names of all services")
    token_file = cli.SwitchAttr(
        "--token-file", str, argname="FILE", help="only who knows what it contains may register"
    )

    def main(self) -> int:
        setup_logger(self.quiet, self.logfile)
        try:
            server = _SERVERS[str(self.mode).upper()](
                host="::" if self.ipv6 else "0.0.0.0",
                port=self.port,
                pruning_timeout=self.timeout,
                allow_listing=self.listing,
                token=read_token(self.token_file),
            )
        except (OSError, ValueError) as exc:  # of the token
            print(f"{self.PROGNAME}: {exc}", file=sys.stderr)
            return 2
        _close_on_signals(server)
        try:
            server.start()
        except OSError as exc:
            print(f"{self.PROGNAME}: port {self.port}: {exc}", file=sys.stderr)
            return 1
        return 0


def _close_on_signals(server: RegistryServer) -> None:
    def close(signum: int, frame: FrameType | None) -> None:
        server.close()

    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, close)


def main() -> None:
    """Run the command with the arguments of this process, and end it."""
    NetobjRegistry.run()
