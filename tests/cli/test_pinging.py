"""``netobj ping``: as many round trips as are asked for, and their times."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import netobj
from netobj.cli.main import Netobj
from netobj.cli.pinging import duration


@pytest.fixture(params=["ThreadedServer", "AsyncServer"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with getattr(netobj, request.param)(netobj.VoidService, hostname="127.0.0.1") as server:
        yield server.port


def pinged(capsys: pytest.CaptureFixture[str], port: int, *switches: str) -> tuple[int, str, str]:
    code = Netobj.run(["netobj", "ping", f"127.0.0.1:{port}", *switches], exit=False)[1]
    return code, *capsys.readouterr()


TIME = r"[0-9.]+ (us|ms|s)"
TIMES = rf"min {TIME}, median {TIME}, max {TIME}\n"


@pytest.mark.parametrize(
    ("switches", "trips"),
    [((), "10 round trips"), (("-c", "3"), "3 round trips"), (("--count", "1"), "1 round trip")],
)
def test_times(
    port: int, switches: tuple[str, ...], trips: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = pinged(capsys, port, *switches)
    assert (code, err) == (0, "")
    assert re.fullmatch(rf"127\.0\.0\.1:{port}: {trips}: {TIMES}", out)


def test_json(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = pinged(capsys, port, "--json", "-c", "4")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    assert found["count"] == 4
    assert 0 < found["min"] <= found["median"] <= found["max"]


@pytest.mark.parametrize("count", ["0", "-1", "x"])
def test_how_many_is_a_number(port: int, count: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, _ = pinged(capsys, port, "-c", count)
    assert code == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 us"),
        (1e-6, "1 us"),
        (123.4e-6, "123 us"),
        (0.9994e-3, "999 us"),
        (0.9999e-3, "1 ms"),
        (0.25, "250 ms"),
        (0.9999, "1 s"),
        (12.0, "12 s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
