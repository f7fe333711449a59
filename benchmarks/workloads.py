"""What is measured, in which unit, and what it is held to: tables, no code that measures.

A workload names an *operation*; each module of ``peers/`` has a method of that name, or says why it
has none. See :mod:`measuring` for the ways of measuring (:class:`How`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

# What both sides of a workload must agree upon.
CALLBACKS = 100
ITEMS = 10_000
IN_FLIGHT = 1_000
THREADS = 8
PROCESSES = 8
IDLE = 500
ECHOED = 16 * 2**20  # bytes
FLOATS = 2**20  # 8 MiB of them
NESTED = (
    ("order", 1042, ("Ada", "Lovelace", 36), (52.2053, 0.1218), "paid"),
    (("apples", 3, 1.25), ("pears", 5, 2.5), ("plums", 8, 0.75)),
    ("note", (1, 2.5)),
)
"""20 values in tuples: the arguments of a call whose answer is a small number."""


class How(Enum):
    """The ways of measuring."""

    LOOP = "loop"  # one operation after the other
    CPU = "cpu"  # the same; user and system time of both processes
    RATE = "rate"  # the same; how much is moved in a second
    CONNECT = "connect"  # a connection, a call, its end
    THREADS = "threads"  # threads share a connection
    PROCESSES = "processes"  # clients in processes of their own share a server
    MEMORY = "memory"  # what the server grows by with each idle connection
    ASYNC = "async"  # one await after the other, on an event loop


Figures = Mapping[tuple[str, str], float]
"""(workload, candidate) -> the median of its rounds."""


class Bound(NamedTuple):
    """What a figure is held to: a number, or so many times another figure of the same run."""

    factor: float
    of: str = ""  # a candidate; "" for a plain number
    workload: str = ""  # of that candidate's; "" for the same workload
    candidate: str = "netobj"  # whose figure is held to it

    def limit(self, workload: str, figures: Figures) -> float | None:
        """The number; None where the figure that it depends on is missing."""
        if not self.of:
            return self.factor
        other = figures.get((self.workload or workload, self.of))
        return None if other is None else self.factor * other

    def __str__(self) -> str:
        if not self.of:
            return f"{self.factor:g}"
        whose = f"{self.of}'s {self.workload}" if self.workload else self.of
        if self.factor < 1 and round(1 / self.factor, 6).is_integer():
            return f"{whose} / {round(1 / self.factor)}"
        return f"{self.factor:g} x {whose}"


class Workload(NamedTuple):
    """One line of the table."""

    name: str
    title: str
    operation: str
    how: How = How.LOOP
    cores: int = 0  # 1: both sides on one; 2: each on its own; 0: where the system puts them
    per: float = 1.0  # what is counted, in one operation
    unit: str = "us"
    loop: str = ""  # the event loop of How.ASYNC
    bounds: tuple[Bound, ...] = ()
    quick: float | None = None  # CI fails where netobj takes that many times raw's processor time

    @property
    def more_is_better(self) -> bool:
        """True for rates."""
        return self.how is How.RATE


MIB = 2.0**20
WORKLOADS: tuple[Workload, ...] = (
    Workload(
        "plain-pinned", "plain call, one core", "plain", cores=1,
        bounds=(Bound(1.4, "raw"),), quick=6,
    ),
    Workload(
        "bound-pinned", "bound call, one core", "bound", cores=1,
        bounds=(Bound(1.4, "raw"),), quick=6,
    ),
    Workload(
        "plain", "plain call, two cores", "plain", cores=2,
        bounds=(Bound(0.1, "rpyc"), Bound(1.2, "raw", candidate="netobj-nospin")),
    ),
    Workload("bound", "bound call, two cores", "bound", cores=2),
    Workload("free", "plain call, cores not chosen", "plain"),
    Workload("cpu", "plain call, two cores, processor time of both", "plain", How.CPU, cores=2),
    Workload(
        "nested", "call with 20 nested values", "nested", cores=2,
        bounds=(Bound(1 / 6, "rpyc"),), quick=7,
    ),
    Workload("attribute", "attribute read", "attribute", cores=2, quick=6),
    Workload(
        "fresh-list", "call returning a fresh list", "fresh_list", cores=2,
        bounds=(Bound(1.4, "netobj", "plain"),), quick=10,
    ),
    Workload(
        "fresh-object", "call returning a fresh object", "fresh_object", cores=2,
        bounds=(Bound(1.4, "netobj", "plain"),), quick=10,
    ),
    Workload(
        "callback", f"callback ({CALLBACKS} in one call)", "callbacks", cores=2,
        per=CALLBACKS, bounds=(Bound(0.2, "rpyc"),), quick=6,
    ),
    Workload(
        "for", f"for over a remote list of {ITEMS:,}, an item", "iterate", per=ITEMS,
        bounds=(Bound(1.5),),
    ),
    Workload(
        "buffiter", "the same through buffiter, an item", "buffiter", per=ITEMS,
        bounds=(Bound(0.08),), quick=20,
    ),
    Workload(
        "in-flight", f"{IN_FLIGHT:,} calls in flight, a call", "in_flight", per=IN_FLIGHT,
        bounds=(Bound(7),), quick=40,
    ),
    Workload(
        "threads", f"{THREADS} threads, one connection, a call", "threads", How.THREADS,
        bounds=(Bound(28),), quick=6,
    ),
    Workload(
        "processes", f"{PROCESSES} client processes, a call", "bound", How.PROCESSES,
        bounds=(Bound(20), Bound(17, candidate="netobj-selector")),
    ),
    Workload(
        "bytes", f"{ECHOED // 2**20} MiB of bytes echoed, both ways counted", "echo", How.RATE,
        per=2 * ECHOED / MIB, unit="MiB/s", bounds=(Bound(0.75, "raw"),), quick=8,
    ),
    Workload(
        "array", f"array of {FLOATS * 8 // 2**20} MiB fetched", "array", How.RATE,
        per=FLOATS * 8 / MIB, unit="MiB/s", bounds=(Bound(0.7, "raw"),), quick=8,
    ),
    Workload(
        "connect", "connect, call, close", "plain", How.CONNECT,
        bounds=(Bound(1.6, "raw"),), quick=20,
    ),
    Workload(
        "idle", f"memory of an idle connection ({IDLE})", "plain", How.MEMORY, unit="KiB",
        bounds=(Bound(26),),
    ),
    Workload(
        "asyncio-pinned", "await of async def, asyncio, one core", "call", How.ASYNC, cores=1,
        loop="asyncio", bounds=(Bound(1.35, "raw"),), quick=5,
    ),
    Workload(
        "asyncio", "await of async def, asyncio, two cores", "call", How.ASYNC, cores=2,
        loop="asyncio", bounds=(Bound(1.35, "raw"),),
    ),
    Workload(
        "uvloop-pinned", "await of async def, uvloop, one core", "call", How.ASYNC, cores=1,
        loop="uvloop", bounds=(Bound(1.7, "raw"),),
    ),
    Workload(
        "uvloop", "await of async def, uvloop, two cores", "call", How.ASYNC, cores=2,
        loop="uvloop", bounds=(Bound(1.7, "raw"),),
    ),
)  # fmt: skip
SPINNING: tuple[Workload, ...] = (
    Workload("cpu-pinned", "plain call, one core, processor time of both", "plain", How.CPU, 1),
    Workload("cpu-busy", "the same beside busy processes on both cores", "plain", How.CPU),
)
"""What :mod:`spinning` looks at."""

BY_NAME = {workload.name: workload for workload in (*WORKLOADS, *SPINNING)}


class Candidate(NamedTuple):
    """One of those that are measured: a module of ``peers/``, and how its two sides are set."""

    name: str
    module: str
    kind: str = ""  # which of its servers, or which settings; the module says
    only: tuple[str, ...] = ()  # the only workloads it takes part in; () for all
    source: str = ""  # a directory whose packages are used before those installed

    @property
    def is_peer(self) -> bool:
        """True if it is neither netobj nor the bare socket."""
        return not self.name.startswith(("raw", "netobj"))

    def takes(self, workload: Workload) -> bool:
        """Is it there for *workload*?"""
        return not self.only or workload.name in self.only


CALLS = ("plain", "bound", "free", "cpu")
CANDIDATES: tuple[Candidate, ...] = (
    Candidate("raw", "raw_peer"),
    Candidate("raw-spin", "raw_peer", "spinning", CALLS),
    Candidate("netobj", "netobj_peer"),
    Candidate("netobj-nospin", "netobj_peer", "nospin", ("plain-pinned", *CALLS)),
    Candidate(
        "netobj-selector", "netobj_peer", "selector", ("plain-pinned", "plain", "processes", "idle")
    ),
    Candidate("rpyc", "rpyc_peer"),
    Candidate("rpyc-nodelay", "rpyc_peer", "nodelay", ("fresh-list", "fresh-object")),
    Candidate("thriftpy2", "thriftpy2_peer"),
    Candidate("managers", "managers_peer"),
    Candidate("execnet", "execnet_peer"),
    Candidate("pyro5", "pyro5_peer"),
    Candidate("grpc", "grpc_peer"),
    Candidate("grpc-aio", "grpc_peer", "aio", ("idle",)),
    Candidate("zerorpc", "zerorpc_peer"),
    Candidate("dask", "dask_peer"),
)


def better(workload: Workload, figure: float, other: float) -> float:
    """How many times better *figure* is than *other*: 2.0 for half the time, or twice the rate."""
    return figure / other if workload.more_is_better else other / figure
