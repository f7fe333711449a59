"""A long job: it tells how far it is through a callback, and ends when nobody wants it any more.

python examples/progress.py
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import beside

import netobj


class BackupService(netobj.Service):
    """Pretends to copy files."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    @netobj.exposed
    def run(self, count: int, progress: Callable[[int], object]) -> str:
        """Copy *count* files; *progress* is called with percents."""
        for number in range(1, count + 1):
            # Not waited for: a client that is slow to show it does not slow the job down.
            netobj.async_(progress)(100 * number // count)
        return f"{count} files"

    @netobj.exposed
    def endless(self) -> None:
        """Copy until the caller has given up: the deadline of its call is known here."""
        call = netobj.current_call()
        assert call is not None
        while not call.cancelled:
            self._stopped.wait(0.01)
        self._stopped.set()

    @netobj.exposed
    def wait_stopped(self) -> bool:
        return self._stopped.wait(10)


def serve() -> None:
    server = netobj.ThreadedServer(BackupService(), hostname="localhost")
    print(server.port, flush=True)
    server.start()


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        serve()
        return
    shown: list[int] = []
    all_shown = threading.Event()

    def show(percent: int) -> None:
        shown.append(percent)
        if percent == 100:
            all_shown.set()

    with beside.server(__file__) as port, netobj.connect("localhost", port) as conn:
        copied = conn.root.run(4, show)
        all_shown.wait(10)
        print("copied", copied, "in steps of", shown)
        try:
            with netobj.deadline(0.05):
                conn.root.endless()
        except TimeoutError:
            pass
        print("given up; the job has stopped:", conn.root.wait_stopped())


if __name__ == "__main__":
    main()
