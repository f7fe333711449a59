"""Who can reach a server that lets in everybody: a whole interpreter is not for strangers."""

from __future__ import annotations

import ipaddress
import logging
import ssl
from typing import Any

from netobj.auth.tls import SSLAuthenticator
from netobj.core.service import SlaveService


def is_local(address: Any) -> bool:
    """Whether only this machine reaches *address*, as ``getsockname`` gives it.

    >>> is_local(("127.0.0.1", 80)), is_local(("::1", 80, 0, 0)), is_local("/run/bank")
    (True, True, True)
    >>> is_local(("0.0.0.0", 80)), is_local(("10.0.0.1", 80))
    (False, False)
    """
    if not isinstance(address, tuple):
        return True
    host = ipaddress.ip_address(str(address[0]).partition("%")[0])
    mapped = getattr(host, "ipv4_mapped", None)
    return (mapped or host).is_loopback


def check_reach(
    service: Any,
    address: Any,
    *,
    ssl_context: ssl.SSLContext | None,
    authenticator: Any,
    insecure: bool,
    logger: logging.Logger,
    psk: object = None,
) -> None:
    """Raises ValueError if *service* is a whole interpreter, and strangers may use it at *address*.

    Not if *insecure* says that this is meant.
    """
    if isinstance(authenticator, SSLAuthenticator):
        ssl_context, authenticator = authenticator.context, None
    kind = service if isinstance(service, type) else type(service)
    if insecure or authenticator is not None or psk is not None or is_local(address):
        return
    if not issubclass(kind, SlaveService):
        return
    if ssl_context is None:
        raise ValueError(
            f"{kind.__name__} lets whoever connects run anything as this user, and {address[0]} is "
            "reached from other machines: bind it to localhost or a Unix socket, give it an "
            "authenticator= or psk= (see netobj.auth) or an ssl_context= that asks clients for "
            "certificates, or say insecure=True if that is meant (netobj_classic: --insecure)"
        )
    if ssl_context.verify_mode != ssl.CERT_REQUIRED:
        logger.warning(
            "%s at %s runs anything for whoever connects: TLS alone does not ask who that is; "
            "give ca_certs for the certificates of clients, or an authenticator",
            kind.__name__,
            address[0],
        )
