"""The command ``netobj_classic``: a classic-mode server, and the shell that talks to one."""

from __future__ import annotations

import sys
from typing import Any, cast

from plumbum import cli

from netobj.auth import TokenAuthenticator, server_context
from netobj.cli.address import DEFAULT_PORT, DEFAULT_TLS_PORT, psk_of, read_token
from netobj.cli.shell import ShellCommand
from netobj.cli.token import read_token as read_registry_token
from netobj.core.consts import VERSION
from netobj.core.service import SlaveService
from netobj.errors import NetobjError
from netobj.factory import connect_stdpipes
from netobj.helpers import setup_logger
from netobj.registry.client import (
    BROADCAST,
    RegistryClient,
    TCPRegistryClient,
    UDPRegistryClient,
)
from netobj.registry.messages import REGISTRY_PORT
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

    The default address is reachable from this machine only. For others, ask who connects: with
    certificates (--ssl-cafile), a token (--token-file) or a key (--psk-file).
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
        ["-p", "--port"],
        cli.Range(0, 65535),
        help=f"{DEFAULT_PORT}, with TLS {DEFAULT_TLS_PORT}; 0: any free one",
    )
    host = cli.SwitchAttr("--host", str, help="the address to bind; 127.0.0.1, with --ipv6 ::1")
    ipv6 = cli.Flag("--ipv6", help="bind an IPv6 address")
    logfile = cli.SwitchAttr("--logfile", str, argname="FILE", help="log there, not to stderr")
    quiet = cli.Flag(["-q", "--quiet"], help="log errors only")
    ssl_keyfile = cli.SwitchAttr(
        "--ssl-keyfile",
        cli.ExistingFile,
        requires=["--ssl-certfile"],
        group="Security",
        help="serve over TLS, with this private key",
    )
    ssl_certfile = cli.SwitchAttr(
        "--ssl-certfile",
        cli.ExistingFile,
        requires=["--ssl-keyfile"],
        group="Security",
        help="serve over TLS, with this certificate",
    )
    ssl_cafile = cli.SwitchAttr(
        "--ssl-cafile",
        cli.ExistingFile,
        requires=["--ssl-keyfile"],
        group="Security",
        help="let in clients with a certificate of these authorities only",
    )
    token_file = cli.SwitchAttr(
        "--token-file",
        str,
        argname="FILE",
        group="Security",
        help="let in who knows the token in the first line of FILE only; -: of the standard input",
    )
    psk_file = cli.SwitchAttr(
        "--psk-file",
        str,
        argname="FILE",
        excludes=["--ssl-keyfile"],
        group="Security",
        help="encrypt with the key in FILE, which nobody else may read, and let in who has it only",
    )
    insecure = cli.Flag(
        "--insecure",
        group="Security",
        help="let anybody in who reaches the address, to do all that you can do here",
    )

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
        if self.mode not in _SERVERS and self.register:
            return _usage_error(f"--register is not for --mode {self.mode}")
        try:
            registrar = self._registrar() if self.register else None
        except (OSError, ValueError) as exc:
            return _usage_error(str(exc))
        setup_logger(self.quiet, self.logfile)
        try:
            self._serve(registrar)
        except KeyboardInterrupt:
            return 0
        except (OSError, ValueError, ImportError, NetobjError) as exc:
            print(f"{self.PROGNAME}: {exc}", file=sys.stderr)
            return 1
        return 0

    def _serve(self, registrar: RegistryClient | None) -> None:
        if self.mode == "stdio":
            connect_stdpipes(SlaveService).serve_all()
            return
        server = _SERVERS[str(self.mode)](
            SlaveService,
            hostname=self.host or ("::1" if self.ipv6 else "127.0.0.1"),
            port=self._port(),
            ipv6=self.ipv6,
            registrar=registrar,
            **self._security(),
        )
        try:
            if self.mode == "oneshot":
                print(f"netobj-oneshot\n{server.host}\t{server.port}", flush=True)
            server.start()
        finally:
            server.close()

    def _registrar(self) -> RegistryClient:
        token = read_registry_token(self.registry_token_file)
        if str(self.registry_type).upper() == "TCP":
            if self.registry_host is None:
                raise ValueError("--registry-type TCP takes --registry-host, too")
            return TCPRegistryClient(self.registry_host, self.registry_port, token=token)
        return UDPRegistryClient(self.registry_host or BROADCAST, self.registry_port, token=token)

    def _port(self) -> int:
        port, tls = cast("int | None", self.port), cast("str | None", self.ssl_keyfile)
        if port is None:
            return DEFAULT_PORT if tls is None else DEFAULT_TLS_PORT
        return port

    def _security(self) -> dict[str, Any]:
        """What a server is told of who is let in. Raises OSError, ValueError, NetobjError."""
        context = asks = None
        certfile, token = cast("str | None", self.ssl_certfile), cast("str | None", self.token_file)
        if certfile is not None:
            context = server_context(certfile, self.ssl_keyfile, self.ssl_cafile)
        if token is not None:
            asks = TokenAuthenticator(read_token(token))
        return {
            "ssl_context": context,
            "authenticator": asks,
            "insecure": self.insecure,
            "psk": psk_of(cast("str | None", self.psk_file)),
        }


NetobjClassic.subcommand("shell", ShellCommand)


def _usage_error(text: str) -> int:
    print(f"netobj_classic: {text}", file=sys.stderr)
    return 2


def main() -> None:
    """Run the command with the arguments of this process, and end it."""
    NetobjClassic.run()
