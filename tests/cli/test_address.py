from __future__ import annotations

import pytest

from netobj.cli.address import TcpAddress, UnixAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost", TcpAddress("localhost", 18812)),
        ("10.0.0.1:99", TcpAddress("10.0.0.1", 99)),
        ("[::1]", TcpAddress("::1", 18812)),
        ("[fe80::1%eth0]:5", TcpAddress("fe80::1%eth0", 5)),
        ("unix:/run/a:b", UnixAddress("/run/a:b")),
    ],
)
def test_addresses(text: str, address: TcpAddress | UnixAddress) -> None:
    assert parse_address(text) == address


def test_a_host_in_brackets_is_ipv6() -> None:
    assert TcpAddress("::1", 1).ipv6
    assert not TcpAddress("example.org", 1).ipv6


@pytest.mark.parametrize("text", ["", ":5", "h:", "h:x", "h:0", "h:65536", "::1", "[]:5", "unix:"])
def test_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="is no address: give HOST, HOST:PORT"):
        parse_address(text)
