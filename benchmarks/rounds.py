"""Rounds of measurements, each in fresh processes, and what their medians are.

All candidates take their turn in each round, so that what else the machine does falls upon all of
them. In every other round they do so in the opposite order.
"""

from __future__ import annotations

import json
import os
import queue
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from measuring import Job
from workloads import PROCESSES, Candidate, How, Workload

HERE = Path(__file__).parent
PATIENCE = 90.0
"""Seconds after which a process hangs."""


class Failed(Exception):
    """A measurement came to nothing; says why."""


class Child:
    """A process that does a :class:`~measuring.Job` and says something about it, line by line."""

    def __init__(self, job: Job, source: str) -> None:
        path = os.pathsep.join(filter(None, (source, str(HERE.parent))))
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "measuring.py"), json.dumps(job._asdict())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.pid = self._process.pid
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._errors: list[str] = []
        self._readers = [threading.Thread(target=read) for read in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._errors = [*self._errors[-20:], line.strip()]

    def line(self) -> str:
        """The next line that it prints. Raises Failed if none comes."""
        try:
            line = self._lines.get(timeout=PATIENCE)
        except queue.Empty:
            raise Failed(f"hung for {PATIENCE:g} s") from None
        if line is None:
            self._process.wait()
            self._readers[1].join()
            raise Failed(next(filter(None, reversed(self._errors)), "ended without a word"))
        return line.strip()

    def go(self) -> None:
        """Open the gate of its job."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for file in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert file is not None
            file.close()


@contextmanager
def child(job: Job, source: str = "") -> Iterator[Child]:
    """Such a process, killed in the end."""
    process = Child(job, source)
    try:
        yield process
    finally:
        process.end()


def describe(candidate: Candidate) -> dict[str, Any]:
    """Its version, and what it lacks. Raises Failed where it is not installed."""
    with child(Job("describe", candidate.module), candidate.source) as process:
        found: dict[str, Any] = json.loads(process.line())
        return found


def measure(
    candidate: Candidate, workload: Workload, seconds: float, sizes: tuple[int, int]
) -> dict[str, Any]:
    """One measurement: the fields of a :class:`~measuring.Result`. Raises Failed."""
    where = (candidate.module, candidate.kind, workload.name, workload.cores)
    job = Job("serve", *where, sizes=sizes)
    with child(job, candidate.source) as server:
        job = job._replace(
            role="measure",
            address=server.line(),
            server_pid=server.pid,
            seconds=seconds,
            gate=workload.how is How.PROCESSES,
        )
        with ExitStack() as stack:
            clients = PROCESSES if job.gate else 1
            processes = [stack.enter_context(child(job, candidate.source)) for _ in range(clients)]
            if job.gate:
                for process in processes:
                    process.line()
                for process in processes:
                    process.go()
            results = [json.loads(process.line()) for process in processes]
    return results[0] if len(results) == 1 else over_all(results)


def over_all(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What clients that ran side by side have found, as one: time of the whole / all calls."""
    begin, end = min(r["begin"] for r in results), max(r["end"] for r in results)
    count = sum(r["count"] for r in results)
    figure = (end - begin) / count * 1e6
    return {"figure": figure, "cpu_us": None, "count": count, "begin": begin, "end": end}


class Rounds:
    """What was measured, round by round."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.lacks: dict[tuple[str, str], str] = {}
        self._number = 0

    def run(
        self,
        workloads: Sequence[Workload],
        candidates: Sequence[Candidate],
        measure_one: Callable[[Candidate, Workload], dict[str, Any]],
    ) -> None:
        """One more round. What failed once is left out from there on, and says why."""
        self._number += 1
        for workload in workloads:
            for candidate in candidates if self._number % 2 else reversed(candidates):
                key = workload.name, candidate.name
                if not candidate.takes(workload) or key in self.lacks:
                    continue
                try:
                    result = measure_one(candidate, workload)
                except Failed as exc:
                    self.lacks[key] = f"failed: {exc}"
                    said = self.lacks[key]
                else:
                    self.found.setdefault(key, []).append(result)
                    said = f"{result['figure']:,.2f} {workload.unit}"
                print(f"round {self._number}: {key[0]:<15} {key[1]:<18} {said}", flush=True)

    def figures(self, field: str = "figure") -> dict[tuple[str, str], float]:
        """(workload, candidate) -> the median of its rounds, of one field of the results."""
        found = {
            key: [result[field] for result in results if result[field] is not None]
            for key, results in self.found.items()
        }
        return {key: statistics.median(values) for key, values in found.items() if values}

    def ratio(self, workload: str, candidate: str, other: str) -> float | None:
        """The median of what *candidate*'s figure is to *other*'s in the same round."""
        pairs = zip(
            self.found.get((workload, candidate), ()),
            self.found.get((workload, other), ()),
            strict=False,  # one of them may have failed at last
        )
        ratios = [mine["figure"] / its["figure"] for mine, its in pairs]
        return statistics.median(ratios) if ratios else None
