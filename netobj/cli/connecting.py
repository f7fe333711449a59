"""What commands that connect have in common: addresses, TLS, tokens."""

from __future__ import annotations

from typing import Any, cast

from plumbum import cli

from netobj.auth import TokenAuthenticator, client_context
from netobj.cli.address import TcpAddress, parse_address, psk_of, read_token
from netobj.core.service import VoidService
from netobj.factory import connect, connect_url, unix_connect


class Security(cli.Application):
    """The switches that say how a connection is secured."""

    ssl_cafile = cli.SwitchAttr(
        "--ssl-cafile",
        cli.ExistingFile,
        group="Security",
        help="connect over TLS, and trust these authorities",
    )
    ssl_keyfile = cli.SwitchAttr(
        "--ssl-keyfile",
        cli.ExistingFile,
        requires=["--ssl-certfile"],
        group="Security",
        help="connect over TLS, with this private key",
    )
    ssl_certfile = cli.SwitchAttr(
        "--ssl-certfile",
        cli.ExistingFile,
        requires=["--ssl-keyfile"],
        group="Security",
        help="connect over TLS, with this certificate",
    )
    token_file = cli.SwitchAttr(
        "--token-file",
        str,
        argname="FILE",
        group="Security",
        help="log in with the token in the first line of FILE; -: of the standard input",
    )
    psk_file = cli.SwitchAttr(
        "--psk-file",
        str,
        argname="FILE",
        excludes=["--ssl-cafile", "--ssl-keyfile"],
        group="Security",
        help="encrypt with the key in FILE, which nobody else may read",
    )

    def security(self) -> dict[str, Any]:
        """What connecting is told. Raises OSError, ValueError, NetobjError."""
        context = login = None
        certfile, token = cast("str | None", self.ssl_certfile), cast("str | None", self.token_file)
        if certfile is not None or cast("str | None", self.ssl_cafile) is not None:
            context = client_context(self.ssl_cafile, certfile, self.ssl_keyfile)
        if token is not None:
            login = TokenAuthenticator(read_token(token))
        psk = psk_of(cast("str | None", self.psk_file))
        return {"ssl_context": context, "authenticator": login, "psk": psk}


def connected(address: str, security: dict[str, Any], service: Any = VoidService) -> Any:
    """A connection to *address*: HOST, HOST:PORT, [IPV6]:PORT, unix:PATH or a URL.

    Raises ValueError for what is no address, and as :func:`netobj.connect` does.
    """
    if "://" in address:
        return connect_url(address, service, **security)
    where = parse_address(address)
    if isinstance(where, TcpAddress):
        return connect(where.host, where.port, service, ipv6=where.ipv6, **security)
    return unix_connect(where.path, service, **security)
