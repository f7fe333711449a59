"""Does spinning pay where it cannot? What it costs in processor time where no core is free.

``python benchmarks/spinning.py [rounds]``: user and system time of both processes for a call, with
the default settings and with ``{"spin_time": 0}``, in paired rounds: both sides pinned to one core,
and with eight busy processes on the two cores. The median of the ratios is to be at most 1.10.
30 rounds, which is the default, take some ten minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from netobj.core.config import Config
from processes import Verdict
from rounds import Rounds, measure
from workloads import SPINNING, Candidate, Workload

MOST = 1.10
BUSY = 8
CORES = 2
SECONDS = (0.4, 1.5)  # for each measurement: alone, and where others have most of the cores
SPINS = Candidate("spins", "netobj_peer")
NEVER = Candidate("never spins", "netobj_peer", "nospin")


@contextmanager
def busy(count: int) -> Iterator[None]:
    """*count* processes that want a core each."""
    program = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(program) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure_rounds(workload: Workload, count: int, seconds: float) -> Rounds:
    """*count* paired rounds."""
    rounds = Rounds()

    def measure_one(candidate: Candidate, workload: Workload) -> dict[str, Any]:
        return measure(candidate, workload, seconds, (0, 0))

    for _ in range(count):
        rounds.run((workload,), (SPINS, NEVER), measure_one)
    return rounds


def show(workload: Workload, rounds: Rounds, verdict: Verdict) -> None:
    """Print the medians, and the median of the paired ratios beside what it is held to."""
    figures = rounds.figures()
    print(workload.title)
    for candidate in (SPINS, NEVER):
        verdict.show(f"    {candidate.name}", figures[workload.name, candidate.name], unit="us")
    ratio = rounds.ratio(workload.name, SPINS.name, NEVER.name)
    assert ratio is not None
    verdict.show("    median of the ratios", ratio, MOST)


def main(count: int) -> None:
    """Print both."""
    if "spin_time" not in Config._fields:
        print("this netobj has no setting spin_time: both sides of each pair are the same")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # for the children, too
    verdict = Verdict()
    pinned, beside = SPINNING
    alone = measure_rounds(pinned, count, SECONDS[0])
    with busy(BUSY):
        crowded = measure_rounds(beside, count, SECONDS[1])
    show(pinned, alone, verdict)
    show(beside, crowded, verdict)
    verdict.exit()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
