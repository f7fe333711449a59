"""A connection breaks at every byte of a conversation: each call ends once, nothing is left."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import netobj
from faulty import ANSWERS, QUESTIONS, Fault, FaultyWire
from netobj import aio
from patience import HANG, wait_until
from remains import nothing_left

KINDS = ("ThreadedServer", "ThreadPoolServer", "AsyncServer")
KEPT = {"ThreadPoolServer": 21}
"""Threads that a server keeps."""
BIG = bytes(100_000)


class Thing:
    @netobj.exposed
    def number(self) -> int:
        return 7


class Talks(netobj.Service):
    @netobj.exposed
    def add(self, a: int, b: int) -> int:
        return a + b

    @netobj.exposed
    def back(self, callback: Callable[[int], int]) -> int:
        return callback(1) + 1

    @netobj.exposed
    async def back_async(self, callback: Any) -> Any:
        return await callback(1) + 1

    @netobj.exposed
    def thing(self) -> Thing:
        return Thing()

    @netobj.exposed
    def fail(self) -> None:
        raise ValueError("as it should")

    @netobj.exposed(stream=True)
    def stream(self) -> Iterator[int]:
        yield from range(3)

    @netobj.exposed
    def echo(self, value: Any) -> Any:
        return value


class Talk:
    """What has come of a conversation: each step to its result, or to the end of the connection."""

    def __init__(self) -> None:
        self.good = 0
        self.lost = 0
        self.called: Counter[int] = Counter()
        self.asked = 0

    def note(self, found: object, due: object) -> None:
        assert found == due
        assert not self.lost, "something was answered behind the end"
        self.good += 1

    def note_call(self, number: int, lost: bool) -> None:
        self.called[number] += 1


def talk_in_threads(port: int, big: bool) -> Talk:
    """The conversation, from threads."""
    talk = Talk()
    try:
        conn = netobj.connect("127.0.0.1", port, config={"log_exceptions": False})
    except (netobj.ConnectionLost, ConnectionResetError):  # the latter, while it connects
        return talk
    with conn:
        for step in _BIG if big else _STEPS:
            try:
                step(conn, talk)
            except netobj.ConnectionLost:
                talk.lost += 1
        wait_until(lambda: len(talk.called) == talk.asked)
    return talk


def _asynchronous(conn: Any, talk: Talk) -> None:
    ask = netobj.async_(conn.root.add)
    results = []
    for number in range(3):
        result = ask(number, 1)
        talk.asked += 1
        result.add_callback(lambda result, n=number: talk.note_call(n, result.error))
        results.append(result)
    talk.note([one.value for one in results], [1, 2, 3])


def _failing(conn: Any, talk: Talk) -> None:
    try:
        conn.root.fail()
    except ValueError as exc:
        talk.note(str(exc), "as it should")


_STEPS: list[Callable[[Any, Talk], None]] = [
    lambda conn, talk: talk.note(conn.root.add(1, 2), 3),
    lambda conn, talk: talk.note(conn.root.back(lambda n: n + 1), 3),
    _asynchronous,
    lambda conn, talk: talk.note(conn.root.thing().number(), 7),
    lambda conn, talk: talk.note(list(conn.root.stream()), [0, 1, 2]),
    _failing,
]
_BIG: list[Callable[[Any, Talk], None]] = [
    lambda conn, talk: talk.note(conn.root.echo(BIG), BIG),
    lambda conn, talk: talk.note(conn.root.add(1, 2), 3),
]


def talk_on_loop(port: int, big: bool) -> Talk:
    """The same from tasks."""
    return asyncio.run(_talk_on_loop(port, big))


async def _talk_on_loop(port: int, big: bool) -> Talk:
    talk = Talk()
    try:
        conn = await aio.connect("127.0.0.1", port, config={"log_exceptions": False})
    except (netobj.ConnectionLost, ConnectionResetError):  # the latter, while it connects
        return talk
    async with conn:
        for step in _BIG_AIO if big else _STEPS_AIO:
            try:
                await asyncio.wait_for(step(conn.root, talk), HANG)
            except netobj.ConnectionLost:
                talk.lost += 1
        await asyncio.sleep(0)
    return talk


async def _add_aio(root: Any, talk: Talk) -> None:
    talk.note(await root.add(1, 2), 3)


async def _back_aio(root: Any, talk: Talk) -> None:
    async def back(number: int) -> int:
        return number + 1

    talk.note(await root.back(lambda number: number + 1), 3)
    talk.note(await root.back_async(back), 3)


async def _asynchronous_aio(root: Any, talk: Talk) -> None:
    async def add(number: int) -> int:
        return int(await root.add(number, 1))

    tasks = []
    for number in range(3):
        task = asyncio.create_task(add(number))
        talk.asked += 1
        task.add_done_callback(lambda task, n=number: talk.note_call(n, bool(task.exception())))
        tasks.append(task)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    for error in found:
        if isinstance(error, BaseException):
            raise error
    talk.note(found, [1, 2, 3])


async def _thing_aio(root: Any, talk: Talk) -> None:
    thing = await root.thing()
    talk.note(await thing.number(), 7)


async def _stream_aio(root: Any, talk: Talk) -> None:
    talk.note([item async for item in root.stream()], [0, 1, 2])


async def _failing_aio(root: Any, talk: Talk) -> None:
    try:
        await root.fail()
    except ValueError as exc:
        talk.note(str(exc), "as it should")


async def _echo_aio(root: Any, talk: Talk) -> None:
    talk.note(await root.echo(BIG), BIG)


_STEPS_AIO = [_add_aio, _back_aio, _asynchronous_aio, _thing_aio, _stream_aio, _failing_aio]
_BIG_AIO = [_echo_aio, _add_aio]
TALKS = {"blocking": talk_in_threads, "aio": talk_on_loop}


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    logger = logging.Logger("cut")  # which nobody reads
    logger.addHandler(logging.NullHandler())
    config = {"log_exceptions": False}
    kind = getattr(netobj, request.param)
    with kind(Talks(), hostname="127.0.0.1", logger=logger, protocol_config=config) as server:
        yield server


def length(port: int, talk: Callable[[int, bool], Talk], big: bool) -> dict[str, int]:
    """How many bytes each side says where nothing fails."""
    with FaultyWire(port) as wire:
        whole = talk(wire.port, big)
        passed = wire.passed
    assert whole.lost == 0
    assert set(whole.called.values()) <= {1}
    return passed


def check(
    server: Any, talk: Callable[[int, bool], Talk], big: bool, faults: dict[str, Fault]
) -> None:
    with FaultyWire(server.port, **faults) as wire:
        found = talk(wire.port, big)
    assert len(found.called) == found.asked
    assert set(found.called.values()) <= {1}


@pytest.mark.parametrize("direction", [QUESTIONS, ANSWERS])
@pytest.mark.parametrize("client", TALKS)
def test_at_every_byte(server: Any, client: str, direction: str, scale: int) -> None:
    talk = TALKS[client]
    most = length(server.port, talk, False)[direction]
    assert most > 300
    with nothing_left(KEPT.get(type(server).__name__, 0)):
        # A pool server differs in who reads only.
        step = 3 if type(server) is netobj.ThreadPoolServer and scale == 1 else 1
        for at in range(0, most, step):
            how = "reset" if at % 5 == 4 else "cut"
            check(server, talk, False, {direction: Fault(at=at, how=how)})
        wait_until(lambda: not server.connections)


@pytest.mark.parametrize("direction", [QUESTIONS, ANSWERS])
@pytest.mark.parametrize("client", TALKS)
def test_amid_big_values(server: Any, client: str, direction: str, scale: int) -> None:
    talk = TALKS[client]
    most = length(server.port, talk, True)[direction]
    assert most > len(BIG)
    with nothing_left(KEPT.get(type(server).__name__, 0)):
        for at in range(0, most, 4999 // scale):
            check(server, talk, True, {direction: Fault(at=at)})
        wait_until(lambda: not server.connections)


@pytest.mark.parametrize("client", TALKS)
def test_slowly_in_pieces(server: Any, client: str) -> None:
    talk = TALKS[client]
    slow = {QUESTIONS: Fault(throttle=10_000), ANSWERS: Fault(throttle=30_000)}
    with nothing_left(KEPT.get(type(server).__name__, 0)):
        with FaultyWire(server.port, **slow) as wire:
            found = talk(wire.port, False)
        assert found.lost == 0
        wait_until(lambda: not server.connections)
