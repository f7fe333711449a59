from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from certificates import Certificates
from netobj.auth import SSLAuthenticator, client_context, server_context, tls
from netobj.auth.tls import (
    accept_tls,
    certificate,
    connect_tls,
    connecting_context,
    one_context,
    serving_context,
)
from netobj.errors import AuthenticationError

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Pair]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def shake(
    ends: Pair,
    server: Callable[[socket.socket], Any],
    client: ssl.SSLContext,
    name: str = "localhost",
) -> tuple[Any, Any]:
    """What the two sides' handshakes return or raise; a byte goes through if they succeed."""
    results: list[Any] = [None, None]

    def accept() -> None:
        try:
            results[0] = server(ends[0])
        except Exception as exc:
            results[0] = exc

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        results[1] = connect_tls(ends[1], client, name)
    except Exception as exc:
        results[1] = exc
    thread.join()
    return results[0], results[1]


def close(*socks: Any) -> None:
    for sock in socks:
        if isinstance(sock, socket.socket):
            sock.close()


def accepting(context: ssl.SSLContext) -> Callable[[socket.socket], ssl.SSLSocket]:
    return lambda sock: accept_tls(sock, context)


def test_contexts_verify_by_default(certificates: Certificates) -> None:
    for context in (client_context(), client_context(certificates.ca)):
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    chain_only = client_context(certificates.ca, verify_hostname=False)
    assert (chain_only.verify_mode, chain_only.check_hostname) == (ssl.CERT_REQUIRED, False)
    nothing = client_context(verify=False)
    assert (nothing.verify_mode, nothing.check_hostname) == (ssl.CERT_NONE, False)


def test_mutual_tls_is_one_argument_more(certificates: Certificates) -> None:
    assert server_context(*certificates.localhost).verify_mode == ssl.CERT_NONE
    assert server_context(*certificates.localhost, certificates.ca).verify_mode == ssl.CERT_REQUIRED
    may = server_context(*certificates.localhost, certificates.ca, cert_reqs=ssl.CERT_OPTIONAL)
    assert may.verify_mode == ssl.CERT_OPTIONAL


@pytest.mark.parametrize(
    ("cert_reqs", "verify_mode", "with_ca", "verifies"),
    [
        (None, None, False, True),
        (None, None, True, True),
        (ssl.CERT_NONE, None, True, False),
        (ssl.CERT_NONE, None, False, False),
        (None, ssl.CERT_NONE, False, False),
        (None, ssl.CERT_NONE, True, True),  # as RPyC has it: who gives an authority means it
        (ssl.CERT_REQUIRED, ssl.CERT_NONE, False, True),
        (ssl.CERT_OPTIONAL, None, False, True),
    ],
)
def test_not_to_verify_is_asked_for_by_name(
    certificates: Certificates, cert_reqs: Any, verify_mode: Any, with_ca: bool, verifies: bool
) -> None:
    ca = certificates.ca if with_ca else None
    context = connecting_context(ca, None, None, cert_reqs, verify_mode, True, None, None)
    assert (context.verify_mode == ssl.CERT_REQUIRED) is verifies
    assert context.check_hostname is verifies


def test_versions_and_ciphers() -> None:
    for version in (None, ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER):
        assert client_context(ssl_version=version).minimum_version == ssl.TLSVersion.TLSv1_2
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = client_context(ssl_version=version)
        assert context.minimum_version == context.maximum_version == version
    if hasattr(ssl, "PROTOCOL_TLSv1_2"):
        context = client_context(ssl_version=ssl.PROTOCOL_TLSv1_2)
        assert context.maximum_version == ssl.TLSVersion.TLSv1_2
    with pytest.raises(ValueError, match="what came before is broken"):
        client_context(ssl_version=ssl.TLSVersion.TLSv1_1)
    with pytest.raises(ssl.SSLError):
        client_context(ciphers="NO-SUCH-CIPHER")


def test_a_handshake(certificates: Certificates, ends: Pair) -> None:
    server, client = shake(ends, accepting(certificates.server), certificates.client)
    assert isinstance(server, ssl.SSLSocket)
    assert isinstance(client, ssl.SSLSocket)
    assert [sock.gettimeout() for sock in (server, client)] == [None, None]
    server.sendall(b"x")
    assert client.recv(1) == b"x"
    assert certificate(client)["subjectAltName"] == (("DNS", "localhost"),)
    assert certificate(server) is None
    assert certificate(socket.socket) is None
    close(server, client)


@pytest.mark.parametrize(("how", "name"), [({}, "elsewhere"), ({"ca_certs": None}, "localhost")])
def test_a_certificate_that_is_not_to_be_trusted(
    certificates: Certificates, ends: Pair, how: dict[str, Any], name: str
) -> None:
    context = client_context(**{"ca_certs": certificates.ca, **how})
    server, client = shake(ends, accepting(certificates.server), context, name)
    assert isinstance(client, ssl.SSLCertVerificationError)
    assert isinstance(server, AuthenticationError)
    assert "the TLS handshake failed" in str(server)


@pytest.mark.parametrize(
    ("how", "name"), [({"verify_hostname": False}, "elsewhere"), ({"verify": False}, "elsewhere")]
)
def test_less_is_verified_where_that_is_asked_for(
    certificates: Certificates, ends: Pair, how: dict[str, Any], name: str
) -> None:
    context = client_context(certificates.ca, **how)
    server, client = shake(ends, accepting(certificates.server), context, name)
    assert isinstance(client, ssl.SSLSocket)
    close(server, client)


def test_ssl_authenticator(certificates: Certificates, ends: Pair) -> None:
    asks = SSLAuthenticator(
        certificates.localhost.keyfile, certificates.localhost.certfile, certificates.ca
    )
    alice = certificates.issue("alice@example.org")
    context = client_context(certificates.ca, *alice)
    (server, credentials), client = shake(ends, asks, context)
    assert credentials["subjectAltName"] == (("email", "alice@example.org"),)
    close(server, client)


def test_ssl_authenticator_refuses_who_has_no_certificate(
    certificates: Certificates, ends: Pair
) -> None:
    files = certificates.localhost
    asks = SSLAuthenticator(files.keyfile, files.certfile, ca_certs=certificates.ca)
    server, client = shake(ends, asks, certificates.client)
    assert isinstance(server, AuthenticationError)
    close(client)  # with TLS 1.3 the client learns of it when it reads


def test_ssl_authenticator_with_all_arguments(certificates: Certificates, ends: Pair) -> None:
    files = certificates.localhost
    asks = SSLAuthenticator(
        files.keyfile,
        files.certfile,
        certificates.ca,
        cert_reqs=ssl.CERT_OPTIONAL,
        ssl_version=ssl.TLSVersion.TLSv1_2,
        ciphers="ECDHE+AESGCM",
    )
    (server, credentials), client = shake(ends, asks, certificates.client)
    assert credentials is None
    assert client.version() == "TLSv1.2"
    close(server, client)


def test_files_that_are_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        SSLAuthenticator("no.key", "no.pem")
    with pytest.raises(FileNotFoundError):
        client_context("no.pem")


def test_who_says_nothing_is_waited_for_no_longer_than_allowed(
    certificates: Certificates, ends: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_TIME", 0.01)
    with pytest.raises(AuthenticationError, match=r"no TLS handshake within 0.01 s"):
        accept_tls(ends[0], certificates.server)
    assert ends[0].fileno() == -1


def test_a_server_that_says_nothing(
    certificates: Certificates, ends: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_TIME", 0.01)
    with pytest.raises(TimeoutError, match=r"bank: no TLS handshake within 0.01 s"):
        connect_tls(ends[1], certificates.client, "bank")


def test_a_server_that_speaks_no_tls(certificates: Certificates, ends: Pair) -> None:
    ends[0].sendall(b"netobj 1\r\n")
    with pytest.raises(ssl.SSLError, match="bank does not speak TLS at this port"):
        connect_tls(ends[1], certificates.client, "bank")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"netobj 1\r\n",
        b"",
        pytest.param(bytes(range(100, 200)), id="noise"),
    ],
)
def test_strangers(certificates: Certificates, ends: Pair, data: bytes) -> None:
    ends[1].sendall(data)
    ends[1].shutdown(socket.SHUT_WR)
    with pytest.raises(AuthenticationError, match="the TLS handshake failed"):
        accept_tls(ends[0], certificates.server)
    assert ends[0].fileno() == -1


def test_contexts_for_the_wrong_side_and_twice(certificates: Certificates) -> None:
    server = certificates.server
    assert serving_context(None) is None
    assert serving_context(server) is server
    with pytest.raises(ValueError, match="a client's context, which cannot accept"):
        serving_context(client_context())
    assert one_context(None, server) is one_context(server, None) is server
    assert one_context(None, None) is None
    with pytest.raises(ValueError, match="give one of them"):
        one_context(server, server)
