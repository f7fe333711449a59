"""TLS: contexts that verify by default, and handshakes that are bounded in time."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any, Final

from netobj.core.config import Config
from netobj.errors import AuthenticationError

HANDSHAKE_TIME: Final = Config().handshake_timeout or 10.0
"""Seconds that a TLS handshake may take, unless its socket has a timeout, which then is that."""

File = str | os.PathLike[str]


def client_context(
    ca_certs: File | None = None,
    certfile: File | None = None,
    keyfile: File | None = None,
    *,
    verify: bool = True,
    verify_hostname: bool = True,
    ciphers: str | None = None,
    ssl_version: int | None = None,
) -> ssl.SSLContext:
    """TLS for a client, which checks the server's certificate and its host name.

    *ca_certs*: a file of the certificates to trust, by default those that the system trusts.
    *certfile*, *keyfile*: the client's own certificate, for a server that asks for one.
    ``verify=False``: trust whoever answers; then anybody in between can read and change all.
    ``verify_hostname=False``: trust each certificate of these authorities, whoever's it is.
    *ciphers* are OpenSSL's names, for TLS 1.2. *ssl_version*: ``ssl.TLSVersion.TLSv1_3``, say.

    Raises OSError (ssl.SSLError) for files that cannot be used.

    >>> context = client_context()
    >>> context.check_hostname, context.verify_mode.name
    (True, 'CERT_REQUIRED')
    """
    context = ssl.create_default_context(cafile=None if ca_certs is None else os.fspath(ca_certs))
    if certfile is not None:
        context.load_cert_chain(certfile, keyfile)
    context.check_hostname = verify and verify_hostname
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    return _restricted(context, ciphers, ssl_version)


def server_context(
    certfile: File,
    keyfile: File | None = None,
    ca_certs: File | None = None,
    *,
    cert_reqs: int | None = None,
    ciphers: str | None = None,
    ssl_version: int | None = None,
) -> ssl.SSLContext:
    """TLS for a server, which shows the certificate of *certfile*.

    *keyfile*: its private key, unless it is in *certfile*, too. *ca_certs*: a file of the
    authorities whose certificates clients must have (mutual TLS); *cert_reqs* =
    ``ssl.CERT_OPTIONAL`` if they merely may. The others are as for :func:`client_context`.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certfile, keyfile)
    if ca_certs is not None:
        context.load_verify_locations(os.fspath(ca_certs))
    if cert_reqs is None:
        cert_reqs = ssl.CERT_NONE if ca_certs is None else ssl.CERT_REQUIRED
    context.verify_mode = ssl.VerifyMode(cert_reqs)
    return _restricted(context, ciphers, ssl_version)


_ANY_VERSION: Final = (None, ssl.PROTOCOL_TLS, ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER)
_PROTOCOL_1_2: Final = getattr(ssl, "PROTOCOL_TLSv1_2", object())


def _restricted(context: ssl.SSLContext, ciphers: str | None, version: Any) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ciphers is not None:
        context.set_ciphers(ciphers)
    if version == _PROTOCOL_1_2:
        version = ssl.TLSVersion.TLSv1_2
    if version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.minimum_version = context.maximum_version = version
    elif version not in _ANY_VERSION:
        raise ValueError(
            f"ssl_version {version!r}: TLS 1.2 and 1.3 are to be had (ssl.TLSVersion.TLSv1_2 and "
            "TLSv1_3); what came before is broken"
        )
    return context


def connecting_context(
    ca_certs: File | None,
    certfile: File | None,
    keyfile: File | None,
    cert_reqs: int | None,
    verify_mode: int | None,
    verify_hostname: bool,
    ciphers: str | None,
    ssl_version: int | None,
) -> ssl.SSLContext:
    """The context for RPyC's arguments of ``ssl_connect``: ``ssl.CERT_NONE`` is not to verify."""
    mode = cert_reqs
    if mode is None and ca_certs is None:
        mode = verify_mode
    return client_context(
        ca_certs,
        certfile,
        keyfile,
        verify=mode != ssl.CERT_NONE,
        verify_hostname=verify_hostname,
        ciphers=ciphers,
        ssl_version=ssl_version,
    )


def serving_context(context: ssl.SSLContext | None) -> ssl.SSLContext | None:
    """*context*, if a server may use it; raises ValueError for a client's."""
    if context is not None and context.protocol == ssl.PROTOCOL_TLS_CLIENT:
        raise ValueError(
            "ssl_context is a client's context, which cannot accept connections: a server's is "
            "netobj.auth.server_context(certfile, keyfile), or "
            "ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), with a certificate loaded"
        )
    return context


def one_context(first: ssl.SSLContext | None, second: ssl.SSLContext | None) -> Any:
    """``ssl_context``, or ``ssl``, asyncio's name for it; raises ValueError for both."""
    if first is not None and second is not None:
        raise ValueError("ssl is asyncio's name for ssl_context: give one of them")
    return second if first is None else first


def accept_tls(sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A server's handshake over *sock*, which belongs to what is returned.

    Raises AuthenticationError if it does not come to be, *sock* being closed then.
    """
    limit = sock.gettimeout() or HANDSHAKE_TIME
    try:
        return _handshake(sock, context, server_side=True)
    except TimeoutError:
        raise AuthenticationError(f"no TLS handshake within {limit:g} s") from None
    except (OSError, ValueError) as exc:
        raise AuthenticationError(f"the TLS handshake failed: {exc}") from exc


def connect_tls(sock: socket.socket, context: ssl.SSLContext, hostname: str) -> ssl.SSLSocket:
    """A client's handshake with *hostname* over *sock*, which belongs to what is returned.

    Raises ssl.SSLError for a certificate that is not to be trusted or where no TLS is spoken,
    TimeoutError; *sock* is closed then.
    """
    limit = sock.gettimeout() or HANDSHAKE_TIME
    try:
        return _handshake(sock, context, server_hostname=hostname)
    except TimeoutError:
        raise TimeoutError(f"{hostname}: no TLS handshake within {limit:g} s") from None
    except ssl.SSLError as exc:
        raise no_tls(exc, hostname) from exc


def no_tls(exc: ssl.SSLError, hostname: str) -> ssl.SSLError:
    """*exc*, or, where that is why, one which says that there is no TLS."""
    if exc.reason not in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return exc
    return ssl.SSLError(exc.errno, f"{hostname} does not speak TLS at this port: {exc.strerror}")


def _handshake(sock: socket.socket, context: ssl.SSLContext, **how: Any) -> ssl.SSLSocket:
    tls = None
    try:
        limit = sock.gettimeout() or HANDSHAKE_TIME
        sock.settimeout(limit)
        tls = context.wrap_socket(sock, do_handshake_on_connect=False, **how)
        tls.do_handshake()  # all of it within the timeout
        tls.settimeout(None)
    except BaseException:
        (tls or sock).close()
        raise
    return tls


def certificate(tls: Any) -> Any:
    """The peer's verified certificate as ``getpeercert`` gives it, None without one or without
    TLS; *tls* is an SSL socket or object."""
    return (tls.getpeercert() or None) if hasattr(tls, "getpeercert") else None


class SSLAuthenticator:
    """RPyC's way to TLS on a server: an authenticator whose credentials are the certificate.

    The same as the server's ``ssl_context=server_context(...)``. *ca_certs*: authorities of
    clients, whose certificates are then asked for, unless *cert_reqs* says otherwise. Raises
    OSError for files that cannot be used.
    """

    def __init__(
        self,
        keyfile: File,
        certfile: File,
        ca_certs: File | None = None,
        cert_reqs: int | None = None,
        ssl_version: int | None = None,
        ciphers: str | None = None,
    ) -> None:
        self.keyfile = str(keyfile)
        self.certfile = str(certfile)
        self.ca_certs = str(ca_certs) if ca_certs else None
        self.ciphers = ciphers
        self.cert_reqs = cert_reqs
        self.ssl_version = ssl_version
        self.context = server_context(
            self.certfile,
            self.keyfile,
            self.ca_certs,
            cert_reqs=cert_reqs,
            ciphers=ciphers,
            ssl_version=ssl_version,
        )

    def __call__(self, sock: socket.socket) -> tuple[ssl.SSLSocket, Any]:
        tls = accept_tls(sock, self.context)
        return tls, certificate(tls)
