"""Calls that call back and are called back, a thousand deep and without end: a clear error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import netobj
from netobj import aio
from netobj.core.consts import DEFAULT_LIMITS, Limit
from patience import HANG

KINDS = ("ThreadedServer", "ThreadPoolServer", "AsyncServer")
ENDLESS = 10**9
CLEAR = r"calls are (nested \d+ deep|in flight, inside of one another)"
QUIET = {"log_exceptions": False}
FEW = {
    **QUIET,
    "limits": tuple(
        128 if number == Limit.REQUESTS else most for number, most in enumerate(DEFAULT_LIMITS)
    ),
}


class Bounces(netobj.Service):
    @netobj.exposed
    def bounce(self, callback: Any, left: int) -> int:
        return callback(self.bounce, left - 1) + 1 if left else 0

    @netobj.exposed
    async def bounce_async(self, callback: Any, left: int) -> Any:
        return await callback(self.bounce_async, left - 1) + 1 if left else 0


@pytest.fixture(params=KINDS)
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    kind = getattr(netobj, request.param)
    with kind(Bounces, hostname="127.0.0.1", protocol_config=FEW) as server:
        yield server.port


@pytest.mark.parametrize("depth", [1000, ENDLESS])
@pytest.mark.parametrize("name", ["bounce", "bounce_async"])
def test_from_a_thread(port: int, name: str, depth: int) -> None:
    with netobj.connect("127.0.0.1", port, config=QUIET) as conn:

        def back(method: Any, left: int) -> Any:
            return method(back, left)

        bounce = getattr(conn.root, name)
        assert bounce(back, 20) == 20
        with pytest.raises(RecursionError, match=CLEAR):
            bounce(back, depth)
        assert bounce(back, 20) == 20
        assert not conn.closed


def test_a_plain_method_from_a_loop(port: int) -> None:
    async def main() -> None:
        async with aio.connect("127.0.0.1", port, config=QUIET) as conn:

            async def back(method: Any, left: int) -> Any:
                return await method(back, left)

            for depth in (1000, ENDLESS):
                with pytest.raises(RecursionError, match=CLEAR):
                    await conn.root.bounce(back, depth)
                assert await conn.root.bounce(back, 20) == 20

    asyncio.run(asyncio.wait_for(main(), 3 * HANG))


def test_tasks_call_one_another_without_end(port: int) -> None:
    async def main() -> None:
        async with aio.connect("127.0.0.1", port, config=QUIET) as conn:

            async def back(method: Any, left: int) -> Any:
                return await method(back, left)

            assert await conn.root.bounce_async(back, 1000) == 1000
            with pytest.raises(RecursionError, match=CLEAR):
                await conn.root.bounce_async(back, ENDLESS)
            assert await conn.root.bounce_async(back, 20) == 20

    asyncio.run(asyncio.wait_for(main(), 3 * HANG))
