"""Hours in minutes: mixed load of both skins with random cuts, and what grows under it.

``python benchmarks/soak.py [--seconds 600] [--seed 1]``: clients in threads and on a loop call, are
called back, stream, send big values, hold proxies, raise, and give up, against one server of each
kind at once, each in a process of its own. Half of the connections break at a random moment. In
between it is calm a few times: then memory, descriptors, threads and tables of all five processes
must be what they were, but for memory that the allocator keeps.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import netobj
import visits
from load import ERRORS, LoadService, Watch, end_idle_workers_soon
from processes import (
    SERVERS,
    Server,
    Verdict,
    raise_file_limit,
    resident_kib,
    serve,
    server_process,
)
from storms import HANG, QUIET, Tally
from visits import visit_in_thread, visit_on_loop

THREADS = 10
TASKS = 10
ROUNDS = 6
LONGEST = 0.2
"""Seconds until a connection that is to break has broken, at most."""
STEPS = 30
BIG = 300_000
MOST_GROWTH = 16.0
"""MiB by which a process may grow from the second round to the last: threads come and go, and the
allocator keeps what each has had."""


class SoakService(LoadService):
    """What the clients come for."""

    @netobj.exposed
    def echo(self, value: Any) -> Any:
        return value

    @netobj.exposed
    def fail(self, number: int) -> None:
        raise ValueError(number)

    @netobj.exposed
    async def back_async(self, callback: Any, number: int) -> Any:
        return await callback(number)

    @netobj.exposed(stream=True)
    async def count(self, most: int) -> Any:
        for number in range(most):
            yield number


# --- in threads -----------------------------------------------------------------------------------


def _fails(root: Any, number: int, tally: Tally) -> None:
    try:
        root.fail(number)
    except ValueError as exc:
        tally.check("fail", exc.args, (number,))


def _results(root: Any, number: int, tally: Tally) -> None:
    told: list[Any] = []
    ask = netobj.async_(root.add)
    results = [ask(number, n) for n in range(10)]
    for result in results:
        result.add_callback(told.append)
    try:
        for n, result in enumerate(results):
            tally.check("add", result.value, number + n)
    finally:
        end = time.monotonic() + HANG
        while len(told) < len(results) and time.monotonic() < end:
            time.sleep(0.001)
        tally.check("callbacks called", Counter(map(id, told)), Counter(map(id, results)))


def _gives_up(root: Any, number: int, tally: Tally) -> None:
    try:
        netobj.timed(root.wait, 0.001)(0.01).value  # noqa: B018
    except netobj.AsyncResultTimeout:
        pass


def _holds(root: Any, number: int, tally: Tally) -> None:
    things = [root.thing(n) for n in range(5)]
    tally.check("things", [thing.number() for thing in things], [0, 1, 2, 3, 4])


def _nested(root: Any, number: int, tally: Tally) -> None:
    def back(depth: int) -> Any:
        return root.back(back, depth - 1) + 1 if depth else 0

    tally.check("nested", back(4), 4)


IN_THREADS: tuple[Callable[[Any, int, Tally], None], ...] = (
    lambda root, number, tally: tally.check("add", root.add(number, 1), number + 1),
    lambda root, number, tally: tally.check("echo", root.echo(bytes(BIG)), bytes(BIG)),
    lambda root, number, tally: tally.check("count", list(root.count(50)), list(range(50))),
    _nested, _fails, _results, _gives_up, _holds,
)  # fmt: skip


def travel_in_thread(port: int, tally: Tally, rng: random.Random) -> None:
    """Make one connection, take some steps over it, and perhaps lose it on the way."""
    with netobj.connect("127.0.0.1", port, config=QUIET) as conn:
        timer = threading.Timer(rng.random() * LONGEST, conn.stream.shutdown)
        timer.daemon = True
        breaks = rng.random() < 0.5
        if breaks:
            timer.start()
        try:
            for _ in range(rng.randrange(STEPS)):
                rng.choice(IN_THREADS)(conn.root, tally.number(), tally)
            tally.note("arrived")
        except EOFError:
            tally.note("lost")
            if not breaks:
                tally.fault("a connection was lost by itself")
        finally:
            timer.cancel()


# --- on a loop ------------------------------------------------------------------------------------


async def _add_aio(root: Any, number: int, tally: Tally) -> None:
    tally.check("add", await root.add(number, 1), number + 1)


async def _echo_aio(root: Any, number: int, tally: Tally) -> None:
    tally.check("echo", await root.echo(bytes(BIG)), bytes(BIG))


async def _count_aio(root: Any, number: int, tally: Tally) -> None:
    tally.check("count", [item async for item in root.count(50)], list(range(50)))


async def _nested_aio(root: Any, number: int, tally: Tally) -> None:
    async def back(depth: int) -> Any:
        return await root.back_async(back, depth - 1) + 1 if depth else 0

    tally.check("nested", await back(4), 4)


async def _fails_aio(root: Any, number: int, tally: Tally) -> None:
    try:
        await root.fail(number)
    except ValueError as exc:
        tally.check("fail", exc.args, (number,))


async def _many_aio(root: Any, number: int, tally: Tally) -> None:
    found = await asyncio.gather(*(_awaited(root.add(number, n)) for n in range(20)))
    tally.check("adds", found, [number + n for n in range(20)])


async def _awaited(node: Any) -> Any:
    return await node


async def _gives_up_aio(root: Any, number: int, tally: Tally) -> None:
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_awaited(root.wait(0.01)), 0.001)


async def _holds_aio(root: Any, number: int, tally: Tally) -> None:
    things = [await root.thing(n) for n in range(5)]
    tally.check("things", [await thing.number() for thing in things], [0, 1, 2, 3, 4])


ON_LOOP: tuple[Callable[[Any, int, Tally], Awaitable[None]], ...] = (
    _add_aio, _echo_aio, _count_aio, _nested_aio, _fails_aio, _many_aio, _gives_up_aio, _holds_aio,
)  # fmt: skip


async def travel_on_loop(port: int, tally: Tally, rng: random.Random) -> None:
    """The same from a task."""
    async with netobj.aio.connect("127.0.0.1", port, config=QUIET) as conn:
        breaks = rng.random() < 0.5
        timer = None
        if breaks:
            moment = rng.random() * LONGEST
            timer = asyncio.get_running_loop().call_later(moment, conn.transport.abort)
        try:
            for _ in range(rng.randrange(STEPS)):
                await rng.choice(ON_LOOP)(conn.root, tally.number(), tally)
            tally.note("arrived on the loop")
        except EOFError:
            tally.note("lost on the loop")
            if not breaks:
                tally.fault("a connection on the loop was lost by itself")
        finally:
            if timer is not None:
                timer.cancel()


def warm_up(port: int) -> None:
    """Do everything once, so that what is made once is made."""
    tally = Tally()
    for number, visit in enumerate(visits.IN_THREADS):
        visit(port, number, tally)
    with netobj.connect("127.0.0.1", port, config=QUIET) as conn:
        for number, step in enumerate(IN_THREADS):
            step(conn.root, number, tally)
    asyncio.run(_warm_up_on_loop(port, tally))


async def _warm_up_on_loop(port: int, tally: Tally) -> None:
    for number, visit in enumerate(visits.ON_LOOP):
        await visit(port, number, tally)
    async with netobj.aio.connect("127.0.0.1", port, config=QUIET) as conn:
        for number, step in enumerate(ON_LOOP):
            await step(conn.root, number, tally)


# --- all together ---------------------------------------------------------------------------------


def one_round(servers: list[Server], tally: Tally, seconds: float, seed: int) -> None:
    """Travel for so many *seconds*."""
    tally.begin(seconds)
    threads = [
        threading.Thread(target=_in_thread, args=(servers, tally, seed * 1000 + n), daemon=True)
        for n in range(THREADS)
    ]
    threads.append(
        threading.Thread(target=lambda: asyncio.run(_on_loop(servers, tally, seed)), daemon=True)
    )
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(tally.patience)
        if thread.is_alive():
            tally.fault("a thread hangs")


def _in_thread(servers: list[Server], tally: Tally, seed: int) -> None:
    rng = random.Random(seed)
    while tally.goes_on:
        travel = rng.choice((travel_in_thread, travel_in_thread, visit_in_thread))
        try:
            travel(rng.choice(servers).port, tally, rng)
        except Exception as exc:
            tally.fault(f"in a thread: {exc!r}")


async def _on_loop(servers: list[Server], tally: Tally, seed: int) -> None:
    async def travels(number: int) -> None:
        rng = random.Random(seed * 1000 + 500 + number)
        while tally.goes_on:
            travel = rng.choice((travel_on_loop, travel_on_loop, visit_on_loop))
            try:
                await travel(rng.choice(servers).port, tally, rng)
            except Exception as exc:
                tally.fault(f"on the loop: {exc!r}")

    await asyncio.gather(*map(travels, range(TASKS)))


class Found(NamedTuple):
    """What a soak has come to."""

    ends: Counter[str]
    faults: list[str]
    left: dict[str, dict[str, int]]
    """Of each server, and of this process against it: what is more than before."""
    kib: dict[str, list[int]]
    """Of each process: its memory after each round."""


def soak(seconds: float, seed: int = 1, rounds: int = ROUNDS) -> Found:
    """Soak all servers for so many *seconds* in so many *rounds*."""
    end_idle_workers_soon()
    tally = Tally()
    with contextlib.ExitStack() as stack:
        servers = {kind: stack.enter_context(server_process(__file__, kind)) for kind in SERVERS}
        watches = {kind: Watch(server, kind) for kind, server in servers.items()}
        pids = {"clients": os.getpid(), **{kind: one.pid for kind, one in servers.items()}}
        kib: dict[str, list[int]] = {name: [] for name in pids}
        for server in servers.values():
            warm_up(server.port)
        one_round([*servers.values()], Tally(), min(2.0, seconds / rounds), seed)
        for watch in watches.values():
            watch.begin()
        for number in range(rounds):
            one_round([*servers.values()], tally, seconds / rounds, seed + number)
            for name, pid in pids.items():
                kib[name].append(resident_kib(pid))
        left = {kind: dict(watch.left()) for kind, watch in watches.items()}
        faults = [*tally.faults, *(text for watch in watches.values() for text in watch.errors())]
    return Found(tally.ends, faults + ERRORS.texts, left, kib)


def main(seconds: float, seed: int) -> None:
    """Print what came of it."""
    raise_file_limit()
    logging.getLogger().addHandler(ERRORS)
    verdict = Verdict()
    found = soak(seconds, seed)
    print(f"{sum(found.ends.values()):,} connections in {seconds:g} s (seed {seed})")
    for name, count in sorted(found.ends.items()):
        verdict.show(f"    {name}", count)
    verdict.show("faults", len(found.faults), 0)
    for text, count in Counter(found.faults).most_common(5):
        print(f"    {count} x {text}")
    for kind, left in found.left.items():
        verdict.show(f"{kind}: kinds of things left behind", len(left), 0)
        for name, count in left.items():
            print(f"    {name}: {count}")
    for name, sizes in found.kib.items():
        print(f"{name}: MiB after each round: " + ", ".join(f"{one / 1024:.1f}" for one in sizes))
        verdict.show(f"{name}: grown by", (sizes[-1] - sizes[1]) / 1024, MOST_GROWTH, "MiB")
    verdict.exit()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        logging.getLogger().addHandler(ERRORS)
        end_idle_workers_soon()
        serve(SoakService, *sys.argv[2:])
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--seconds", type=float, default=600.0)
        parser.add_argument("--seed", type=int, default=1)
        given = parser.parse_args()
        main(given.seconds, given.seed)
