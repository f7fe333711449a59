"""The machine that is measured on, and how much of it others took meanwhile (on Linux)."""

from __future__ import annotations

import os
import platform
import resource
import time


def describe() -> dict[str, object]:
    """What it is."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


class Others:
    """How busy the machine is with what is not ours, from the making of this object on."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._busy = _busy_seconds()
        self._ours = _our_seconds()

    def share(self) -> float:
        """The part of all processor time that others took: 0.0 to 1.0."""
        passed = (time.monotonic() - self._begin) * (os.cpu_count() or 1)
        busy = _busy_seconds() - self._busy
        return max(0.0, (busy - (_our_seconds() - self._ours)) / passed)


def _busy_seconds() -> float:
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(text) for text in file.readline().split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")


def _our_seconds() -> float:
    """Of this process, and of those children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
