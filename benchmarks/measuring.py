"""One side of one measurement, in a process of its own: a server, or a client that measures.

``python benchmarks/measuring.py JOB``, where JOB is a :class:`Job` as JSON. A server prints the
address that its clients are to use and serves until its standard input ends. A client prints one
line of JSON: what :class:`Result` says. Before that, if its job has a gate, it prints ``ready``
and waits for a line.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from processes import raise_file_limit, resident_kib, run_on
from workloads import BY_NAME, IDLE, THREADS, How, Workload

WARM_UP = 0.3  # of the time that is measured
BATCHES = 50  # between two looks at the clock: one of so many parts


class Job(NamedTuple):
    """What one process is to do."""

    role: str  # "describe", "serve" or "measure"
    module: str  # of peers/
    kind: str = ""  # see Candidate
    workload: str = ""
    cores: int = 0  # see Workload
    address: str = ""  # of the server
    server_pid: int = 0
    seconds: float = 0.5
    gate: bool = False
    sizes: tuple[int, int] = (0, 0)  # bytes of netobj's request and reply, for the raw floor


class Result(NamedTuple):
    """What a client has found: the figure in the workload's unit, and more."""

    figure: float
    cpu_us: float | None = None  # of both processes, for each of what is counted
    count: float = 0.0
    begin: float = 0.0  # on the machine's monotonic clock
    end: float = 0.0


Operation = Callable[[], object]


def main(job: Job) -> None:
    """Do it."""
    workload = BY_NAME.get(job.workload)
    if job.cores:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[job.role == "serve" and job.cores > 1]})
    module = importlib.import_module(f"peers.{job.module}")
    if job.role == "describe":
        print(json.dumps({"version": module.VERSION, "lacks": module.LACKS}), flush=True)
    elif job.role == "serve":
        raise_file_limit()
        threading.Thread(target=_end_with_stdin, daemon=True).start()
        module.serve(job, workload)
    else:
        assert workload is not None
        print(json.dumps(measure(module, workload, job)._asdict()), flush=True)
        os._exit(0)  # some peers leave threads behind that would be waited for


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


def measure(module: Any, workload: Workload, job: Job) -> Result:
    """The figure of *workload* with the peer that *module* is for."""
    if workload.how is How.ASYNC:
        return run_on(workload.loop, _measure_async(module, workload, job))
    if workload.how is How.CONNECT:
        return timed(lambda: _connect_call_close(module, job), workload, job)
    if workload.how is How.MEMORY:
        return _measure_memory(module, job)
    client = module.Client(job)
    operation = getattr(client, workload.operation)()
    if workload.how is How.THREADS:
        return _measure_threads(operation, job)
    return timed(operation, workload, job)


def timed(operation: Operation, workload: Workload, job: Job) -> Result:
    """Repeat *operation* for the job's seconds."""
    batch = max(1, int(_repeat(operation, job.seconds * WARM_UP)[0] / WARM_UP / BATCHES))
    _pass_gate(job)
    cpu = _cpu_seconds(job)
    begin = time.monotonic()
    count, spent = _repeat(operation, job.seconds, batch)
    return _result(workload, count, (begin, begin + spent), _cpu_seconds(job) - cpu)


def _repeat(operation: Operation, seconds: float, batch: int = 1) -> tuple[int, float]:
    """How often *operation* was done, and the seconds that took: *seconds* or a little more."""
    count, spent = 0, 0.0
    begin = time.perf_counter()
    while spent < seconds:
        for _ in range(batch):
            operation()
        count += batch
        spent = time.perf_counter() - begin
    return count, spent


def _pass_gate(job: Job) -> None:
    if job.gate:
        print("ready", flush=True)
        sys.stdin.readline()


def _result(workload: Workload, count: int, span: tuple[float, float], cpu: float) -> Result:
    counted = count * workload.per
    spent = span[1] - span[0]
    if workload.how is How.RATE:
        figure = counted / spent
    elif workload.how is How.CPU:
        figure = cpu / counted * 1e6
    else:
        figure = spent / counted * 1e6
    return Result(figure, cpu / counted * 1e6, counted, *span)


def _cpu_seconds(job: Job) -> float:
    """User and system time of this process and of the server's."""
    return sum(time.clock_gettime(cpu_clock(pid)) for pid in (os.getpid(), job.server_pid))


def cpu_clock(pid: int) -> int:
    """The clock of the processor time that a process has taken, as Linux numbers them."""
    return ~pid << 3 | 2


def _connect_call_close(module: Any, job: Job) -> None:
    client = module.Client(job)
    client.plain()()
    client.close()


def _measure_memory(module: Any, job: Job) -> Result:
    raise_file_limit()
    clients = [module.Client(job)]  # the first one loads what all need
    clients[0].plain()()
    before = resident_kib(job.server_pid)
    for _ in range(IDLE):
        clients.append(module.Client(job))
        clients[-1].plain()()
    return Result((resident_kib(job.server_pid) - before) / IDLE, count=IDLE)


def _measure_threads(operation: Operation, job: Job) -> Result:
    _repeat(operation, job.seconds * WARM_UP)
    counts = [0] * THREADS
    end = time.monotonic() + job.seconds

    def work(number: int) -> None:
        while time.monotonic() < end:
            operation()
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    cpu, begin = _cpu_seconds(job), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent, count = time.monotonic() - begin, sum(counts)
    cpu = _cpu_seconds(job) - cpu
    return Result(spent / count * 1e6, cpu / count * 1e6, count, begin, begin + spent)


async def _measure_async(module: Any, workload: Workload, job: Job) -> Result:
    call = await module.open_call(job)
    batch = await _repeat_async(call, job.seconds * WARM_UP)
    batch = (max(1, int(batch[0] / WARM_UP / BATCHES)), 0.0)
    gc.collect()
    cpu, begin = _cpu_seconds(job), time.monotonic()
    count, spent = await _repeat_async(call, job.seconds, batch[0])
    return _result(workload, count, (begin, begin + spent), _cpu_seconds(job) - cpu)


async def _repeat_async(
    call: Callable[[], Awaitable[object]], seconds: float, batch: int = 1
) -> tuple[int, float]:
    count, spent = 0, 0.0
    begin = asyncio.get_running_loop().time()
    while spent < seconds:
        for _ in range(batch):
            await call()
        count += batch
        spent = asyncio.get_running_loop().time() - begin
    return count, spent


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    main(Job(**{**given, "sizes": tuple(given["sizes"])}))
