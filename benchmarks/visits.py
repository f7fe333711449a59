"""Clients that come, do something and leave, in threads and on a loop; some of them rudely."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import netobj
from storms import QUIET, Tally

OBJECTS = 5
IN_FLIGHT = 5
_RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: closing resets the connection


# --- in a thread ----------------------------------------------------------------------------------


def once(port: int, number: int, tally: Tally) -> None:
    """Call once, and leave."""
    with _connect(port) as conn:
        tally.check("add", conn.root.add(number, 1), number + 1)


def callbacks(port: int, number: int, tally: Tally) -> None:
    """Be called back, also by a call that nobody waits for."""
    told: list[int] = []
    with _connect(port) as conn:
        tally.check("back", conn.root.back(lambda value: value + 1, number), number + 1)
        tally.check("back", netobj.async_(conn.root.back)(told.append, number).value, None)
        tally.check("what was told", told, [number])


def references(port: int, number: int, tally: Tally) -> None:
    """Hold objects of the server's, have it hold some, and leave without letting go of any."""
    with _connect(port) as conn:
        things = [conn.root.thing(number + index) for index in range(OBJECTS)]
        tally.check("the things", [thing.number() for thing in things], _numbers(number))
        tally.check("keep", conn.root.keep([number], lambda: number, things[0]), number)


def stream_left(port: int, number: int, tally: Tally) -> None:
    """Leave in the midst of a stream."""
    with _connect(port) as conn:
        for item in conn.root.stream():
            if item == number % 100:
                break


def in_flight(port: int, number: int, tally: Tally) -> None:
    """Leave while calls run."""
    with _connect(port) as conn:
        results = [netobj.async_(conn.root.wait)(0.01) for _ in range(IN_FLIGHT)]
        tally.check("add", conn.root.add(number, 1), number + 1)
    _see_all_end(results)


def cut(port: int, number: int, tally: Tally) -> None:
    """Be cut off while calls run, with things in both hands: nobody says goodbye."""
    with _connect(port) as conn:
        thing = conn.root.thing(number)
        conn.root.keep([number], lambda: number, thing)
        results = [netobj.async_(conn.root.wait)(0.01) for _ in range(IN_FLIGHT)]
        conn.stream.shutdown()
        _see_all_end(results)
        conn.wait_closed()


def stranger(port: int, number: int, tally: Tally) -> None:
    """Connect and be gone, with a reset or without, before a word was said."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        if number % 2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


IN_THREADS: tuple[Callable[[int, int, Tally], None], ...] = (
    *(once, callbacks, references, stream_left, in_flight, cut, stranger),
)


def visit_in_thread(port: int, tally: Tally, rng: random.Random) -> None:
    """Make one visit; what goes wrong is noted in *tally*."""
    visit = rng.choice(IN_THREADS)
    try:
        visit(port, tally.number(), tally)
    except Exception as exc:
        tally.fault(f"{visit.__name__}: {exc!r}")
    tally.note(visit.__name__)


def _see_all_end(results: list[Any]) -> None:
    for result in results:
        try:
            result.value  # noqa: B018
        except EOFError:  # the connection has
            pass


def _connect(port: int) -> netobj.Connection:
    return netobj.connect("127.0.0.1", port, config=QUIET)


def _numbers(number: int) -> list[int]:
    return [number + index for index in range(OBJECTS)]


# --- on an event loop -----------------------------------------------------------------------------


async def once_aio(port: int, number: int, tally: Tally) -> None:
    """Call once, and leave."""
    async with _connecting(port) as conn:
        tally.check("add", await conn.root.add(number, 1), number + 1)


async def callbacks_aio(port: int, number: int, tally: Tally) -> None:
    """Be called back."""
    async with _connecting(port) as conn:
        tally.check("back", await conn.root.back(lambda value: value + 1, number), number + 1)


async def references_aio(port: int, number: int, tally: Tally) -> None:
    """Hold objects of the server's, have it hold some, and leave without letting go of any."""
    async with _connecting(port) as conn:
        things = [await conn.root.thing(number + index) for index in range(OBJECTS)]
        tally.check("the things", [await thing.number() for thing in things], _numbers(number))
        tally.check("keep", await conn.root.keep([number], lambda: number, things[0]), number)


async def stream_left_aio(port: int, number: int, tally: Tally) -> None:
    """Leave in the midst of a stream."""
    async with _connecting(port) as conn:
        async for item in conn.root.stream():
            if item == number % 100:
                break


async def in_flight_aio(port: int, number: int, tally: Tally) -> None:
    """Leave while calls run."""
    async with _connecting(port) as conn:
        calls = [asyncio.ensure_future(conn.root.wait(0.01)) for _ in range(IN_FLIGHT)]
        tally.check("add", await conn.root.add(number, 1), number + 1)
    await _ended(calls)


async def cut_aio(port: int, number: int, tally: Tally) -> None:
    """Be cut off while calls run, with things in both hands: nobody says goodbye."""
    async with _connecting(port) as conn:
        thing = await conn.root.thing(number)
        await conn.root.keep([number], lambda: number, thing)
        calls = [asyncio.ensure_future(conn.root.wait(0.01)) for _ in range(IN_FLIGHT)]
        await asyncio.sleep(0)
        conn.transport.abort()
        await _ended(calls)


async def stranger_aio(port: int, number: int, tally: Tally) -> None:
    """Connect and be gone before a word was said."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.transport.abort() if number % 2 else writer.close()


ON_LOOP: tuple[Callable[[int, int, Tally], Awaitable[None]], ...] = (
    *(once_aio, callbacks_aio, references_aio, stream_left_aio),
    *(in_flight_aio, cut_aio, stranger_aio),
)


async def visit_on_loop(port: int, tally: Tally, rng: random.Random) -> None:
    """Make one visit; what goes wrong is noted in *tally*."""
    visit = rng.choice(ON_LOOP)
    try:
        await visit(port, tally.number(), tally)
    except Exception as exc:
        tally.fault(f"{visit.__name__}: {exc!r}")
    tally.note(visit.__name__.removesuffix("_aio"))


def _connecting(port: int) -> Any:
    return netobj.aio.connect("127.0.0.1", port, config=QUIET)


async def _ended(calls: list[asyncio.Future[Any]]) -> None:
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, EOFError):
            raise outcome
