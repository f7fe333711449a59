"""Calls with rules on an event loop: no thread is held by who waits."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import netobj
from netobj import aio, gates
from netobj.core.exposure import exposure_of
from netobj.errors import Busy
from patience import HANG


class Lab(netobj.Service):
    """``door`` lets out who is inside."""

    def __init__(self) -> None:
        self.door = threading.Event()
        self.order: list[int] = []

    @netobj.exposed(limit=1, queue=200)
    def hold(self, number: int) -> None:
        assert self.door.wait(HANG)
        self.order.append(number)

    @netobj.exposed(run="inline")
    def inline(self) -> bool:
        return asyncio.get_running_loop() is not None

    @netobj.exposed(run="loop", limit=3)
    def on_loop(self, callback: Any) -> bool:
        assert isinstance(callback, aio.Reference)
        return asyncio.get_running_loop() is not None

    @netobj.exposed(limit=1, concurrent=True)
    def thread(self) -> int:
        return threading.get_ident()

    @netobj.exposed(limit=1, timeout=HANG)
    async def heedless(self) -> str:
        return "done"

    @netobj.exposed(timeout=0.01)
    async def stubborn(self) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return "after all"

    def exposed_free(self) -> str:
        return "free"

    @netobj.exposed
    async def back(self, callback: Any) -> Any:
        return await callback()


def held(function: Any, name: str) -> tuple[int, int]:
    exposure = exposure_of(function)
    assert exposure is not None
    return gates.gate_of(function, exposure, name).count()


async def until(condition: Any) -> None:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.001)

    await asyncio.wait_for(wait(), HANG)


def run(work: Any, service: Any = None) -> None:
    async def go() -> None:
        lab = service or Lab()
        async with (
            aio.Server(lab, "127.0.0.1") as server,
            aio.connect("127.0.0.1", server.port) as conn,
        ):
            await work(lab, conn)

    asyncio.run(go())


def test_calls_that_wait_hold_no_thread() -> None:
    async def work(lab: Lab, conn: Any) -> None:
        calls = [asyncio.ensure_future(_of(conn.root.hold(n))) for n in range(100)]
        await until(lambda: held(vars(Lab)["hold"], "hold") == (1, 99))
        assert await conn.root.free() == "free"
        lab.door.set()
        await asyncio.gather(*calls)
        assert sorted(lab.order) == list(range(100))

    run(work)


async def _of(call: Any) -> Any:
    return await call


def test_where_plain_functions_run() -> None:
    async def work(lab: Lab, conn: Any) -> None:
        assert await conn.root.inline() is True
        assert await conn.root.on_loop(print) is True
        assert await conn.root.thread() != threading.get_ident()
        assert await conn.root.heedless() == "done"

    run(work)


def test_who_does_not_heed_being_cancelled_is_late_all_the_same() -> None:
    async def work(lab: Lab, conn: Any) -> None:
        with pytest.raises(TimeoutError, match="stubborn ran longer than its time limit"):
            await conn.root.stubborn()

    run(work)


@pytest.mark.parametrize("place", [None, "thread"])
def test_callbacks_of_a_client_have_rules_too(place: str | None) -> None:
    @netobj.exposed(limit=1, run=place)
    def callback() -> int:
        return threading.get_ident()

    async def work(lab: Lab, conn: Any) -> None:
        here = await conn.root.back(callback)
        assert (here == threading.get_ident()) is (place is None)
        assert held(callback, "callback") == (0, 0)

    run(work)


def test_what_a_late_function_comes_to_is_let_go_of() -> None:
    door = threading.Event()
    svc = netobj.FunctionService("calc")

    @svc.register(limit=1, timeout=0.01)
    def late() -> Any:
        assert door.wait(HANG)
        return asyncio.sleep(0)  # a coroutine that nobody will await

    async def work(lab: Any, conn: Any) -> None:
        with pytest.raises(TimeoutError, match=r"calc\.late"):
            await conn.root.late()
        with pytest.raises(Busy):
            await conn.root.late()
        door.set()
        method = vars(type(svc))["late"]
        await until(lambda: held(method, "late") == (0, 0))

    run(work, svc)
