"""A queue of jobs: workers in processes of their own take them, and may come and go.

python examples/job_queue.py
"""

from __future__ import annotations

import queue
import subprocess
import sys

import netobj

WORKERS = 2
JOBS = 20


class QueueService(netobj.Service):
    """Shared by all workers, and used by the program that serves it."""

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()

    @netobj.exposed
    def take(self) -> int | None:
        """The next job; waits for one. None: there are no more."""
        return self.jobs.get()

    @netobj.exposed
    def finish(self, job: int, result: int) -> None:
        self.done.put((job, result))


def work(port: int) -> None:
    """The program of a worker."""
    with netobj.connect("localhost", port) as conn:
        while (job := conn.root.take()) is not None:
            conn.root.finish(job, job * job)


def main() -> None:
    if sys.argv[1:2] == ["work"]:
        work(int(sys.argv[2]))
        return
    service = QueueService()
    with netobj.ThreadedServer(service, hostname="localhost") as server:
        command = [sys.executable, __file__, "work", str(server.port)]
        workers = [subprocess.Popen(command) for _ in range(WORKERS)]
        for job in range(JOBS):
            service.jobs.put(job)
        results = dict(service.done.get() for _ in range(JOBS))
        for _ in workers:
            service.jobs.put(None)
        print("the workers ended with", [worker.wait() for worker in workers])
    print("the sum of the squares:", sum(results.values()))


if __name__ == "__main__":
    main()
