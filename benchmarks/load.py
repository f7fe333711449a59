"""Clients that come, call and leave by the hundred: what goes wrong, and what is left behind.

``python benchmarks/load.py [seconds [clients [seed]]] [server ...]``: each skin as client, each
server (by default all kinds) in a process of its own, 200 clients at a time for so many seconds
(30 by default). Some call once, some are called back, some leave in the midst of streams and calls,
some without a word. Afterwards both processes must have as many descriptors, threads and objects as
before.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import netobj
from netobj.blocking import link, pool
from netobj.core import access
from netobj.core.describe import class_name
from processes import (
    CLIENTS,
    SERVERS,
    Server,
    Verdict,
    raise_file_limit,
    resident_kib,
    serve,
    server_process,
)
from storms import CHAINS, HANG, QUIET, Tally, Thing
from visits import visit_in_thread, visit_on_loop

KINDS = (*SERVERS, "ForkingServer", "GeventServer")
LOOK = 0.3
"""Seconds between counts; by then, those threads have ended which the last count has needed."""
SETTLE = 20.0
"""Seconds that both processes may take to let go of everything."""
STRAYS = 120
"""How many more objects of a type that is not netobj's there may be: of caches, and of the timers
that a loop of asyncio's keeps when they are cancelled (100). It is far less than one of a visit."""
KEPT = {"ThreadPoolServer": 21, "AsyncServer": 32, "aio.Server": 32}
"""Threads that a server keeps until it is closed, at most, and how they are counted."""
OF_THREADS = ("there: threads", "there: netobj.blocking.crew._Member")

Census = Mapping[str, int]


class Errors(logging.Handler):
    """Counts what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


ERRORS = Errors()


class LoadService(netobj.Service):
    """What the clients come for."""

    CONFIG: ClassVar[dict[str, Any]] = QUIET
    server: Any = None

    def __init__(self) -> None:
        self._kept: list[Any] = []

    @netobj.exposed
    def add(self, a: int, b: int) -> int:
        return a + b

    @netobj.exposed
    def thing(self, number: int) -> Thing:
        return Thing(number)

    @netobj.exposed(concurrent=True)
    def back(self, callback: Any, number: int) -> Any:
        return callback(number)

    @netobj.exposed(concurrent=True)
    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    @netobj.exposed
    def keep(self, numbers: Any, callback: Any, thing: Any) -> Any:
        """Hold on to what the client has, for as long as it is there."""
        self._kept += (numbers, callback, thing)
        return callback()

    @netobj.exposed(stream=True)
    def stream(self) -> Any:
        yield from range(100_000)

    @netobj.exposed
    def census(self) -> tuple[tuple[str, int], ...]:
        return tuple(census().items())

    @netobj.exposed
    def errors(self) -> tuple[str, ...]:
        return tuple(ERRORS.texts)


def census() -> dict[str, int]:
    """How many objects of each type this process has, and entries in its tables."""
    access._shared.clear()  # kept for whoever comes: one more, if somebody was gone at once
    gc.collect()
    found = Counter({"live connections": len(link.live), "chains": sum(len(one) for one in CHAINS)})
    kinds = [type(one) for one in gc.get_objects()]
    by_id = {id(kind): kind for kind in kinds}  # the hash of a class may be anybody's code
    for number, count in Counter(map(id, kinds)).items():
        found[".".join(class_name(by_id[number]))] += count
    return found


def system(pid: int) -> dict[str, int]:
    """How many descriptors, threads and children the process *pid* has (on Linux)."""
    process = Path("/proc", str(pid))
    tasks = list((process / "task").iterdir())
    children = 0
    for task in tasks:
        with suppress(OSError):  # a thread that has ended, or a system that does not say
            children += len((task / "children").read_text().split())
    descriptors = len(list((process / "fd").iterdir()))
    return {"descriptors": descriptors, "threads": len(tasks), "children": children}


class Load(NamedTuple):
    """How long and how strong it is."""

    seconds: float
    clients: int = 200
    seed: int = 1


def measure(client: str, kind: str, load: Load) -> dict[str, Any]:
    """What came of a load of one pairing: ``ends``, ``faults`` and what is ``left``."""
    end_idle_workers_soon()
    come = _come_on_loop if client == "aio" else _come_in_threads
    with server_process(__file__, kind) as server:
        watch = Watch(server, kind)
        for lead in (Load(0.2, 10), Load(0.3, load.clients)):  # what is made once is made
            come(server, Tally(), lead)
        watch.begin()
        tally = Tally()
        come(server, tally, load)
        left = watch.left()
        tally.faults += watch.errors()
        grown = watch.grown_kib() / 1024
    return {"ends": tally.ends, "faults": tally.faults, "left": left, "server grew": grown}


def end_idle_workers_soon() -> None:
    """Have netobj's workers of this process end without waiting for another job for long."""
    vars(pool)["IDLE_SECONDS"] = LOOK / 6


class Watch:
    """Compares two processes with what they were."""

    def __init__(self, server: Server, kind: str) -> None:
        self._server = server
        self._kind = kind
        self._before: Census = {}
        self._kib = 0

    def begin(self) -> None:
        """What there is from here on is too much: when no more goes by itself."""
        now = self._count()
        still = 0
        end = time.monotonic() + SETTLE
        while still < 2 and time.monotonic() < end:
            time.sleep(LOOK)
            before, now = now, self._count()
            changes = self._excess(now, before) or self._excess(before, now)
            still = 0 if changes else still + 1
        self._before = now
        self._kib = resident_kib(self._server.pid)

    def left(self) -> Census:
        """What there is more of than before; empty when all is well."""
        end = time.monotonic() + SETTLE
        while True:
            left = self._excess(self._count(), self._before)
            if not left or time.monotonic() > end:
                return left
            time.sleep(LOOK)

    def grown_kib(self) -> int:
        """By how much the server has grown."""
        return resident_kib(self._server.pid) - self._kib

    def errors(self) -> tuple[str, ...]:
        """What the server logged as errors."""
        with netobj.connect("127.0.0.1", self._server.port, config=QUIET) as control:
            errors: tuple[str, ...] = control.root.errors()
        return errors

    def _count(self) -> Census:
        # Over a connection of its own each time: of a server that forks for each client, the
        # child has the objects of its parent at that moment.
        with netobj.connect("127.0.0.1", self._server.port, config=QUIET) as control:
            there = dict(control.root.census())
            there |= system(self._server.pid)
            here = census() | system(os.getpid())
        sides = {"here": here, "there": there}
        return {f"{side}: {name}": n for side in sides for name, n in sides[side].items()}

    def _excess(self, now: Census, before: Census) -> Census:
        more = {name: count - before.get(name, 0) for name, count in now.items()}
        return {name: count for name, count in more.items() if count > self._allowed(name)}

    def _allowed(self, name: str) -> int:
        if name in OF_THREADS:
            return KEPT.get(self._kind, 0)
        return 0 if _is_ours(name) else STRAYS


def _is_ours(name: str) -> bool:
    """Whether there may be no more of what is called so."""
    kind = name.partition(": ")[2]
    return "." not in kind or kind.startswith(("netobj.", "__main__.", "load.", "socket."))


def _come_in_threads(server: Server, tally: Tally, load: Load) -> None:
    tally.begin(load.seconds)

    def come(number: int) -> None:
        rng = random.Random(load.seed * 1000 + number)
        while tally.goes_on:
            visit_in_thread(server.port, tally, rng)

    _run_all(come, load.clients, tally)


def _run_all(come: Callable[[int], None], clients: int, tally: Tally) -> None:
    threads = [threading.Thread(target=come, args=(n,), daemon=True) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(tally.patience)
    hanging = sum(thread.is_alive() for thread in threads)
    if hanging:
        tally.fault(f"{hanging} clients hang after {HANG:g} s")


def _come_on_loop(server: Server, tally: Tally, load: Load) -> None:
    async def come(number: int) -> None:
        rng = random.Random(load.seed * 1000 + number)
        while tally.goes_on:
            await visit_on_loop(server.port, tally, rng)

    async def all_come() -> None:
        tally.begin(load.seconds)
        tasks = [asyncio.create_task(come(number)) for number in range(load.clients)]
        _, left = await asyncio.wait(tasks, timeout=tally.patience)
        if left:
            tally.fault(f"{len(left)} clients hang after {HANG:g} s")
            for task in left:
                task.cancel()

    asyncio.run(all_come())


def main(load: Load, kinds: Sequence[str]) -> None:
    """Print what came of a load of each pairing with servers of these *kinds*."""
    raise_file_limit()
    logging.getLogger().addHandler(ERRORS)
    verdict = Verdict()
    for client in CLIENTS:
        for kind in kinds:
            found = measure(client, kind, load)
            found["faults"] += ERRORS.texts
            ERRORS.texts.clear()
            visits = sum(found["ends"].values())
            print(
                f"{client} clients, {kind}: {visits:,} visits, {load.clients} at a time, "
                f"in {load.seconds:g} s (seed {load.seed})"
            )
            for name, count in sorted(found["ends"].items()):
                verdict.show(f"    {name}", count)
            verdict.show("    the server grew by MiB", found["server grew"])
            verdict.show("    faults", len(found["faults"]), 0)
            for text, count in Counter(found["faults"]).most_common(5):
                print(f"        {count} x {text}")
            verdict.show("    kinds of things left behind", len(found["left"]), 0)
            for name, count in found["left"].items():
                print(f"        {name}: {count}")
    verdict.exit()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        logging.getLogger().addHandler(ERRORS)
        end_idle_workers_soon()
        serve(LoadService, *sys.argv[2:])
    else:
        kinds = [text for text in sys.argv[1:] if text in KINDS]
        numbers = [float(text) for text in sys.argv[1:] if text not in KINDS]
        defaults = (30.0, 200, 1)
        seconds, clients, seed = numbers + list(defaults[len(numbers) :])
        main(Load(seconds, int(clients), int(seed)), kinds or KINDS)
