"""Servers in processes of their own, for the programs beside this one.

Each program has its service in it and serves it itself when it is called with ``--serve``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import netobj

CLIENTS = ("blocking", "aio")
SERVERS = ("ThreadedServer", "ThreadPoolServer", "AsyncServer", "aio.Server")
LOOPS = ("asyncio", "uvloop")
BLOCKING = {
    "ThreadedServer": netobj.ThreadedServer,
    "ThreadPoolServer": netobj.ThreadPoolServer,
    "ForkingServer": netobj.ForkingServer,
    "GeventServer": netobj.GeventServer,
}


class Server(NamedTuple):
    """A server in a process of its own."""

    port: int
    pid: int


@contextlib.contextmanager
def server_process(program: str, kind: str, loop: str = "asyncio") -> Iterator[Server]:
    """The server that *program* runs, of one of the SERVERS or BLOCKING, on one of the LOOPS."""
    first = ["-m", "gevent.monkey"] if kind == "GeventServer" else []
    paths = [str(Path(program).parent), os.environ.get("PYTHONPATH", "")]  # which -m leaves out
    process = subprocess.Popen(
        [sys.executable, *first, program, "--serve", kind, loop],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    assert process.stdout is not None
    try:
        yield Server(int(process.stdout.readline()), process.pid)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def serve(service: Any, kind: str, loop: str) -> None:
    """Serve until the process is killed; says the port first."""
    raise_file_limit()
    if kind == "aio.Server":
        run_on(loop, _serve_on_loop(service))
        return
    server: Any
    if kind == "AsyncServer":
        server = netobj.AsyncServer(service, "127.0.0.1", new_event_loop=_maker(loop))
    else:
        server = BLOCKING[kind](service, "127.0.0.1")
    service.server = server
    print(server.port, flush=True)
    server.start()


async def _serve_on_loop(service: Any) -> None:
    server = netobj.aio.Server(service, "127.0.0.1", backlog=10_000)
    await server.start()
    service.server = server
    print(server.port, flush=True)
    await server.serve_forever()


def _maker(loop: str) -> Any:
    if loop == "asyncio":
        return asyncio.new_event_loop
    import uvloop  # an extra

    return uvloop.new_event_loop


def run_on(loop: str, main: Any) -> Any:
    """Run the coroutine *main* on one of the LOOPS."""
    runner = _maker(loop)()
    try:
        return runner.run_until_complete(main)
    finally:
        runner.close()


def raise_file_limit() -> int:
    """Let this process have as many open files as it may; returns how many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def resident_kib(pid: int) -> int:
    """KiB of memory that the process has (on Linux)."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


class Verdict:
    """Prints figures beside what they are held to, and remembers whether all were kept."""

    def __init__(self) -> None:
        self.kept = True

    def show(
        self,
        name: str,
        figure: float,
        most: float | None = None,
        unit: str = "",
        least: float | None = None,
    ) -> None:
        """Print *figure*, which is to be at most *most*, or at least *least*."""
        text = f"{name:<64} {figure:>12,.2f} {unit}".rstrip()
        if most is not None:
            text += self._held(figure <= most, f"at most {most:.4g}")
        if least is not None:
            text += self._held(figure >= least, f"at least {least:.4g}")
        print(text, flush=True)

    def _held(self, good: bool, rule: str) -> str:
        self.kept = self.kept and good
        return f"   ({rule}: {'kept' if good else 'MISSED'})"

    def exit(self) -> None:
        """End the process; its code says whether all figures were kept."""
        sys.exit(0 if self.kept else 1)
