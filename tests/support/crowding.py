"""A server in a process that has few descriptors, and more clients than those are enough for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import netobj
from patience import wait_until

PROGRAM = """
import asyncio, logging, resource, sys
import netobj

class EchoService(netobj.Service):
    def exposed_echo(self, value): return value

async def serve():
    server = netobj.aio.Server(EchoService, "localhost")
    await server.start()
    print(server.port, flush=True)
    await server.serve_forever()

kind, loop, logfile = sys.argv[1:]
if loop == "uvloop":
    from uvloop import new_event_loop
else:
    from asyncio import new_event_loop
logging.basicConfig(filename=logfile)
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
if kind == "aio.Server":
    new_event_loop().run_until_complete(serve())
else:
    more = {"new_event_loop": new_event_loop} if kind == "AsyncServer" else {}
    server = getattr(netobj, kind)(EchoService, hostname="localhost", **more)
    print(server.port, flush=True)
    server.start()
"""


@contextmanager
def few_descriptors(kind: str, log: Path, loop: str = "asyncio") -> Iterator[int]:
    """The port of such a server; *log* is the file where it logs."""
    command = [sys.executable, "-c", PROGRAM, kind, loop, str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def check_who_is_served(port: int) -> None:
    """Clients come until one is refused; the others are served on, and new ones as some leave."""
    clients: list[Any] = []

    def fill() -> None:
        for number in range(100):
            clients.append(netobj.connect("localhost", port))
            assert clients[-1].root.echo(number) == number

    with pytest.raises(EOFError, match=r"refuses the connection: Too many open files"):
        fill()
    clients.pop().close()
    assert len(clients) > 5
    assert [conn.root.echo(1) for conn in clients] == [1] * len(clients)
    for conn in clients[:3]:
        conn.close()
    wait_until(lambda: is_served(port))
    assert [conn.root.echo(1) for conn in clients[3:]] == [1] * (len(clients) - 3)
    for conn in clients[3:]:
        conn.close()


def is_served(port: int) -> bool:
    """Whether a client of the service is, now."""
    try:
        with netobj.connect("localhost", port) as conn:
            return bool(conn.root.echo(True))
    except EOFError:
        return False
