"""Calls in flight by the hundred that are given up at random moments, from either skin."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

import netobj
from netobj.aio import chains
from netobj.blocking import waiting
from netobj.errors import CallCancelled

LONGEST = 0.3  # seconds until a call is given up
CALLS = ("later", "wait", "thing", "back", "back_on_loop")
STREAMS = ("plain_stream", "asynchronous_stream", "plain_generator", "asynchronous_generator")
THREADS = 20
MOST_THREADS = 100
HANG = 60.0
"""Seconds after which what is not over is said to hang."""
QUIET = {"log_exceptions": False}
CHAINS = (waiting.chains, chains.waiting, chains.outermost)
"""The tables of the calls in whose chains this process waits, of both skins."""

Expected = Mapping[str, tuple[type[BaseException], ...]]
"""How a call is given up -> what may be raised then."""
ON_LOOP: Expected = {
    "cancelled": (asyncio.CancelledError, CallCancelled),
    "timed out": (asyncio.TimeoutError,),
    "past the deadline": (netobj.AsyncResultTimeout,),
    "waited for": (),
}
IN_THREADS: Expected = {
    "cancelled": (CallCancelled,),
    "timed out": (netobj.AsyncResultTimeout,),
    "past the deadline": (netobj.AsyncResultTimeout,),
    "waited for": (),
}


class Thing:
    """An object that goes by reference."""

    def __init__(self, number: int) -> None:
        self._number = number

    @netobj.exposed
    def number(self) -> int:
        return self._number


class Tally:
    """What became of the calls; any thread may count (each step is one under ``_lock``)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count()
        self._end = 0.0
        self.ends: Counter[str] = Counter()
        self.faults: list[str] = []

    def begin(self, seconds: float) -> None:
        """From here on new calls are to be made, for so long."""
        self._end = time.monotonic() + seconds

    @property
    def goes_on(self) -> bool:
        """New calls are to be made."""
        return time.monotonic() < self._end

    @property
    def patience(self) -> float:
        """Seconds until everything must be over."""
        return max(0.0, self._end + HANG - time.monotonic())

    def number(self) -> int:
        """A number for a call, to know its answer by."""
        with self._lock:
            return next(self._numbers)

    def note(self, end: str) -> None:
        """A call has come to this *end*."""
        with self._lock:
            self.ends[end] += 1

    def fault(self, text: str) -> None:
        """Something that must not be."""
        with self._lock:
            self.faults.append(text)

    def check(self, what: str, found: object, due: object) -> None:
        """The answer of *what* was *found*."""
        if found != due:
            self.fault(f"{what} was answered by {found!r} in the place of {due!r}")

    def judge(self, what: str, way: str, exc: BaseException, expected: Expected) -> None:
        """*what*, which was given up in that *way*, raised *exc*."""
        if isinstance(exc, expected[way]):
            self.note(f"{what} {way}")
        else:
            self.fault(f"{what}, {way}, raised {exc!r}")


# --- on an event loop -----------------------------------------------------------------------------


async def storm_on_loop(conn: Any, tally: Tally, width: int, rng: random.Random) -> None:
    """Keep *width* calls in flight until the time is over, then see all of them end."""

    async def keep_one() -> None:
        while tally.goes_on:
            await _one_on_loop(conn, tally, rng)

    tasks = [asyncio.create_task(keep_one()) for _ in range(width)]
    _, left = await asyncio.wait(tasks, timeout=tally.patience)
    if left:
        tally.fault(f"{len(left)} tasks hang: {conn.dump_pending()}")
    for task in tasks:
        if task.done() and task.exception() is not None:
            tally.fault(f"a task ended by {task.exception()!r}")


async def _one_on_loop(conn: Any, tally: Tally, rng: random.Random) -> None:
    number, moment = tally.number(), rng.random() * LONGEST
    name = rng.choice(CALLS + STREAMS)
    work = (_stream_on_loop if name in STREAMS else _call_on_loop)(conn, tally, name, number, rng)
    way = rng.choice(("waited for", "cancelled", "timed out", "past the deadline"))
    try:
        if way == "cancelled":
            await _cancelled(work, moment)
        elif way == "timed out":
            await asyncio.wait_for(work, moment)
        elif way == "past the deadline":
            with netobj.deadline(moment):
                await work
        else:
            await work
    except BaseException as exc:
        tally.judge(name, way, exc, ON_LOOP)
    else:
        tally.note(f"{name} answered")


async def _cancelled(work: Awaitable[None], moment: float) -> None:
    task = asyncio.ensure_future(work)
    await asyncio.wait((task,), timeout=moment)
    task.cancel()
    await task


async def _call_on_loop(
    conn: Any, tally: Tally, name: str, number: int, rng: random.Random
) -> None:
    root, seconds = conn.root, rng.random() * LONGEST / 10
    if name in ("later", "wait"):
        tally.check(name, await getattr(root, name)(number, seconds), number)
    elif name == "thing":
        tally.check(name, await root.thing(number).number(), number)
    else:

        async def on_loop(value: int) -> int:
            await asyncio.sleep(seconds / 10)
            return value + 1

        callback: Callable[[int], Any] = on_loop if rng.random() < 0.5 else _plain_callback()
        tally.check(name, await getattr(root, name)(callback, number), number + 1)


def _plain_callback() -> Callable[[int], int]:
    return lambda value: value + 1  # one of its own for each call, so that it is exported anew


async def _stream_on_loop(
    conn: Any, tally: Tally, name: str, number: int, rng: random.Random
) -> None:
    leave = rng.randrange(60)
    due = 0
    async for item in getattr(conn.root, name)(number, 40):
        tally.check(name, tuple(item), (number, due))
        due += 1
        if due == leave:
            return
    tally.check(f"the end of {name}", due, 40)


async def close_on_loop(conn: Any, tally: Tally, width: int, rng: random.Random) -> None:
    """Close *conn* while *width* calls are in flight: each is answered, or fails with the end."""

    async def ask() -> None:
        name, number = rng.choice(CALLS + STREAMS), tally.number()
        work = _stream_on_loop if name in STREAMS else _call_on_loop
        try:
            await work(conn, tally, name, number, rng)
        except netobj.ConnectionLost:
            tally.note(f"{name} lost with its connection")
        except BaseException as exc:
            tally.fault(f"{name} raised {exc!r} when its connection was closed")
        else:
            tally.note(f"{name} answered")

    tasks = [asyncio.create_task(ask()) for _ in range(width)]
    await asyncio.sleep(rng.random() * LONGEST)
    await conn.close()
    _, left = await asyncio.wait(tasks, timeout=HANG)
    if left:
        tally.fault(f"{len(left)} tasks hang though their connection was closed")


# --- in threads -----------------------------------------------------------------------------------


def storm_in_threads(conn: Any, tally: Tally, width: int, rng: random.Random) -> None:
    """The same from threads, each with a part of the calls in flight."""

    def keep_some(own: random.Random) -> None:
        try:
            while tally.goes_on:
                _some_asynchronous(conn, tally, width // THREADS, own)
                for _ in range(3):
                    _one_synchronous(conn, tally, own)
        except BaseException as exc:
            tally.fault(f"a thread ended by {exc!r}")
            raise

    threads = [
        threading.Thread(target=keep_some, args=(random.Random(rng.random()),), daemon=True)
        for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(tally.patience)
    left = sum(thread.is_alive() for thread in threads)
    if left:
        tally.fault(f"{left} threads hang: {conn.dump_pending()}")


def _some_asynchronous(conn: Any, tally: Tally, width: int, rng: random.Random) -> None:
    calls = [
        _ask(conn, tally, rng.choice(("waited for", "cancelled", "timed out")), rng)
        for _ in range(width)
    ]
    rng.shuffle(calls)
    for _, way, _, result in calls:
        if way == "cancelled":
            time.sleep(rng.random() * LONGEST / width)
            result.cancel()
    for name, way, due, result in calls:
        try:
            tally.check(name, result.value, due)
        except Exception as exc:
            tally.judge(name, way, exc, IN_THREADS)
        else:
            tally.note(f"{name} answered")


def _ask(conn: Any, tally: Tally, way: str, rng: random.Random) -> tuple[str, str, int, Any]:
    """Begin a call; its name, the way, the right answer, and the result."""
    name, number = rng.choice(("later", "wait", "back", "back_on_loop")), tally.number()
    method = getattr(conn.root, name)
    if way == "timed out":
        method = netobj.timed(method, rng.random() * LONGEST)
    else:
        method = netobj.async_(method)
    if name in ("later", "wait"):
        return name, way, number, method(number, rng.random() * LONGEST / 2)
    return name, way, number + 1, method(_plain_callback(), number)


def close_in_threads(conn: Any, tally: Tally, width: int, rng: random.Random) -> None:
    """As :func:`close_on_loop`, from threads: half of the calls wait, each in its own."""

    def ask(own: random.Random) -> None:
        name = own.choice(CALLS + STREAMS)
        try:
            _wait_for_one(conn, tally, name, tally.number(), own)
        except netobj.ConnectionLost:
            tally.note(f"{name} lost with its connection")
        except BaseException as exc:
            tally.fault(f"{name} raised {exc!r} when its connection was closed")

    threads = [
        threading.Thread(target=ask, args=(random.Random(rng.random()),), daemon=True)
        for _ in range(min(width // 2, MOST_THREADS))
    ]
    for thread in threads:
        thread.start()
    calls = [_ask(conn, tally, "waited for", rng) for _ in range(width // 2)]
    time.sleep(rng.random() * LONGEST)
    conn.close()
    for name, _, due, result in calls:
        try:
            tally.check(name, result.value, due)
        except netobj.ConnectionLost:
            tally.note(f"{name} lost with its connection")
    for thread in threads:
        thread.join(HANG)
        if thread.is_alive():
            tally.fault("a thread hangs though its connection was closed")


def _one_synchronous(conn: Any, tally: Tally, rng: random.Random) -> None:
    number, name = tally.number(), rng.choice(CALLS + STREAMS)
    way = rng.choice(("waited for", "past the deadline"))
    try:
        if way == "past the deadline":
            with netobj.deadline(rng.random() * LONGEST):
                _wait_for_one(conn, tally, name, number, rng)
        else:
            _wait_for_one(conn, tally, name, number, rng)
    except Exception as exc:
        tally.judge(name, way, exc, IN_THREADS)
    else:
        tally.note(f"{name} answered")


def _wait_for_one(conn: Any, tally: Tally, name: str, number: int, rng: random.Random) -> None:
    root = conn.root
    if name in ("later", "wait"):
        tally.check(name, getattr(root, name)(number, rng.random() * LONGEST / 10), number)
    elif name == "thing":
        tally.check(name, root.thing(number).number(), number)
    elif name in STREAMS:
        leave = rng.randrange(60)
        due = 0
        for item in getattr(root, name)(number, 40):
            tally.check(name, tuple(item), (number, due))
            due += 1
            if due == leave:
                return
        tally.check(f"the end of {name}", due, 40)
    else:
        tally.check(name, getattr(root, name)(_plain_callback(), number), number + 1)
