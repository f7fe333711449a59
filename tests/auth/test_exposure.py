from __future__ import annotations

import logging
from typing import Any

import pytest

import netobj
from certificates import Certificates
from netobj.auth import SSLAuthenticator, TokenAuthenticator
from netobj.auth.exposure import check_reach, is_local

ALL = ("0.0.0.0", 18812)
LOG = logging.getLogger("netobj.test")
TOKEN = TokenAuthenticator("correct-horse-battery-staple")


def check(service: Any, address: Any, **how: Any) -> None:
    settings = {"ssl_context": None, "authenticator": None, "insecure": False, "logger": LOG}
    check_reach(service, address, **(settings | how))


@pytest.mark.parametrize(
    "address",
    [
        ("127.0.0.1", 1),
        ("127.8.9.10", 1),
        ("::1", 1, 0, 0),
        ("::ffff:127.0.0.1", 1, 0, 0),
        "/run/bank",
        b"\0bank",
        "",
    ],
)
def test_addresses_that_only_this_machine_reaches(address: Any) -> None:
    assert is_local(address)
    check(netobj.SlaveService, address)


@pytest.mark.parametrize(
    "address",
    [ALL, ("192.168.1.1", 1), ("::", 1, 0, 0), ("fe80::1%eth0", 1, 0, 2), ("::ffff:10.0.0.1", 1)],
)
def test_addresses_that_others_reach(address: Any) -> None:
    assert not is_local(address)
    with pytest.raises(ValueError, match=r"lets whoever connects run anything.*insecure=True"):
        check(netobj.SlaveService, address)


@pytest.mark.parametrize(
    "service",
    [netobj.SlaveService, netobj.SlaveService(), netobj.ClassicService],
)
def test_whole_interpreters(service: Any) -> None:
    with pytest.raises(ValueError, match="lets whoever connects run anything"):
        check(service, ALL)
    check(service, ALL, insecure=True)
    check(service, ALL, authenticator=TOKEN)
    check(service, ALL, authenticator=lambda sock: (sock, None))


@pytest.mark.parametrize("service", [netobj.VoidService, netobj.Service(), netobj.ClassicClient])
def test_other_services_may_be_reached_by_anybody(service: Any) -> None:
    check(service, ALL)


def test_tls_that_does_not_ask_who_connects_is_warned_of(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    check(netobj.SlaveService, ALL, ssl_context=certificates.mutual)
    assert caplog.text == ""
    check(netobj.SlaveService, ALL, ssl_context=certificates.server)
    assert "TLS alone does not ask who that is" in caplog.text
    caplog.clear()
    files = certificates.localhost
    asks = SSLAuthenticator(files.keyfile, files.certfile)
    check(netobj.SlaveService, ALL, authenticator=asks)
    assert "TLS alone does not ask who that is" in caplog.text
