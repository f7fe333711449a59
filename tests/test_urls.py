from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netobj.urls import Target, Way, parse_url


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("netobj://bank", Target(Way.TCP, "bank", 18812, "", "", "")),
        ("netobj://bank:80/", Target(Way.TCP, "bank", 80, "", "", "")),
        ("netobj://[::1]:80", Target(Way.TCP, "::1", 80, "", "", "")),
        ("netobjs://bank", Target(Way.TLS, "bank", 18821, "", "", "")),
        ("netobjs://tom:secret@bank", Target(Way.TLS, "bank", 18821, "", "tom", "secret")),
        ("netobj://:token@bank:1", Target(Way.TCP, "bank", 1, "", "", "token")),
        ("netobjs://t%40m:a%3Ab%2F@bank", Target(Way.TLS, "bank", 18821, "", "t@m", "a:b/")),
        ("netobj+unix:///run/a%20b", Target(Way.UNIX, "", 0, "/run/a b", "", "")),
        ("netobj+unix://tom:x@/run/bank", Target(Way.UNIX, "", 0, "/run/bank", "tom", "x")),
        ("netobj+ssh://bank", Target(Way.SSH, "bank", 18812, "", "", "")),
    ],
)
def test_addresses(url: str, target: Target) -> None:
    assert parse_url(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bank",
        "bank:80",
        "http://tom:secret@bank",
        "netobj:bank",
        "netobj://",
        "netobj://tom:secret@",
        "netobj://tom:secret@bank:port",
        "netobj://tom:secret@bank:0",
        "netobj://tom:secret@bank:99999",
        "netobj://tom:sec/ret@bank:80",
        "netobj://tom:12/secret@bank:80",
        "netobj://tom:12?secret@bank:80",
        "netobj://tom:12#secret@bank:80",
        "netobj://tom:secret@bank/path",
        "netobj://tom:secret@[::1",
        "netobj+unix://tom:secret@run/bank",
        "netobj+unix:run/bank",
        "netobj+ssh://-oProxyCommand=secret",
        "netobj+ssh://-l:secret@bank",
        "netobj+unix://tom:secret@:80/run/bank",
        "netobj+unix:///run/bank?secret",
    ],
)
def test_what_is_no_address_and_no_error_shows_a_password(url: str) -> None:
    with pytest.raises(ValueError, match="this is no address") as info:
        parse_url(url)
    error = info.value
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = "".join(traceback.format_exception_only(error))
    assert "secret" not in shown
    assert "tom" not in shown


def test_a_repr_has_no_password() -> None:
    assert repr(parse_url("netobj://tom:secret@bank:80")) == "<Target netobj bank, 80>"


@given(st.text(), st.text(), st.text(max_size=20))
def test_whatever_comes_there_are_only_documented_errors(user: str, rest: str, tail: str) -> None:
    for scheme in ("netobj", "netobjs", "netobj+unix", "netobj+ssh"):
        try:
            parse_url(f"{scheme}://{user}:{rest}@{tail}")
        except ValueError as exc:
            assert str(exc).startswith("this is no address")  # noqa: PT017
