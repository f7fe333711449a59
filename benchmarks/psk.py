"""What encryption costs: calls and bytes in the open, over TLS and with a pre-shared key.

::

    python benchmarks/psk.py                 # both skins
    python benchmarks/psk.py --rounds 20 blocking

One process serves, another one calls; the three ways take turns in each round. A figure is the
median of the rounds: the time that passes, and beside it the processor time of both processes,
which other load on the machine disturbs less. Connecting is measured, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import trustme

import netobj
from netobj import aio, auth

HERE = Path(__file__).parent
CALLS = 300
BULK = 8 * 2**20
BULKS = 4
CONNECTS = 10
WAYS = ("plain", "tls", "psk")

Ways = dict[str, dict[str, Any]]


class Peer(netobj.Service):
    """What is called."""

    def exposed_add(self, one: int, other: int) -> int:
        return one + other

    def exposed_take(self, data: bytes) -> int:
        return len(data)

    def exposed_cpu(self) -> float:
        return time.process_time()


class LoopPeer(Peer):
    """The same on an event loop."""

    async def exposed_add(self, one: int, other: int) -> int:  # type: ignore[override]
        return one + other

    async def exposed_take(self, data: bytes) -> int:  # type: ignore[override]
        return len(data)

    async def exposed_cpu(self) -> float:  # type: ignore[override]
        return time.process_time()


def server_ways(folder: Path) -> Ways:
    context = auth.server_context(str(folder / "server.pem"), str(folder / "server.key"))
    psk = auth.PreSharedKey(auth.read_key(folder / "key"))
    return {"plain": {}, "tls": {"ssl_context": context}, "psk": {"psk": psk}}


def client_ways(folder: Path) -> Ways:
    context: ssl.SSLContext = auth.client_context(str(folder / "ca.pem"))
    psk = auth.PreSharedKey(auth.read_key(folder / "key"))
    return {"plain": {}, "tls": {"ssl_context": context}, "psk": {"psk": psk}}


def make_secrets(folder: Path) -> None:
    """A certificate and a key for both sides."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    signed = authority.issue_cert("localhost")
    signed.cert_chain_pems[0].write_to_path(folder / "server.pem")
    signed.private_key_pem.write_to_path(folder / "server.key")
    path = folder / "key"
    path.touch(0o600)
    path.write_text(auth.new_key().hex())


def serve(skin: str, folder: Path) -> None:
    """Serve in all ways until standard input ends; prints the ports."""
    kind, service = {
        "blocking": (netobj.ThreadedServer, Peer),
        "aio": (netobj.AsyncServer, LoopPeer),
    }[skin]
    with ExitStack() as stack:
        servers = {
            way: stack.enter_context(kind(service, hostname="localhost", **how))  # type: ignore[operator]
            for way, how in server_ways(folder).items()
        }
        print(json.dumps({way: server.port for way, server in servers.items()}), flush=True)
        sys.stdin.read()


Figures = dict[str, dict[str, list[float]]]
"""Of each way the figures of all rounds, by name."""


def note(figures: Figures, way: str, name: str, count: int, wall: float, cpu: float) -> None:
    figures[way].setdefault(f"{name}, time", []).append(wall / count)
    figures[way].setdefault(f"{name}, processor", []).append(cpu / count)


def measure_blocking(ports: dict[str, int], ways: Ways, rounds: int) -> Figures:
    figures: Figures = {way: {} for way in WAYS}
    data = bytes(BULK)
    with ExitStack() as stack:

        def connect(way: str) -> netobj.Connection:
            return netobj.connect("localhost", ports[way], **ways[way])

        conns = {way: stack.enter_context(connect(way)) for way in WAYS}

        def timed(way: str, name: str, count: int, work: Callable[[], object]) -> None:
            root = conns[way].root
            cpu, begin = root.cpu() + time.process_time(), time.perf_counter()
            for _ in range(count):
                work()
            wall = time.perf_counter() - begin
            note(figures, way, name, count, wall, root.cpu() + time.process_time() - cpu)

        for _ in range(rounds):
            for way in WAYS:
                root = conns[way].root
                timed(way, "call", CALLS, lambda root=root: root.add(1, 2))  # type: ignore[misc]
                timed(way, "8 MiB", BULKS, lambda root=root: root.take(data))  # type: ignore[misc]
                timed(way, "connect", CONNECTS, lambda way=way: _visit(connect(way)))  # type: ignore[misc]
    return figures


def _visit(conn: netobj.Connection) -> None:
    with conn:
        conn.root.add(1, 2)


async def measure_aio(ports: dict[str, int], ways: Ways, rounds: int) -> Figures:
    figures: Figures = {way: {} for way in WAYS}
    data = bytes(BULK)
    conns = {way: await aio.connect("localhost", ports[way], **ways[way]) for way in WAYS}

    async def timed(way: str, name: str, count: int, work: Callable[[], Any]) -> None:
        root = conns[way].root
        cpu, begin = await root.cpu() + time.process_time(), time.perf_counter()
        for _ in range(count):
            await work()
        wall = time.perf_counter() - begin
        note(figures, way, name, count, wall, await root.cpu() + time.process_time() - cpu)

    async def visit(way: str) -> None:
        async with aio.connect("localhost", ports[way], **ways[way]) as conn:
            await conn.root.add(1, 2)

    for _ in range(rounds):
        for way in WAYS:
            root = conns[way].root
            await timed(way, "call", CALLS, lambda root=root: root.add(1, 2))  # type: ignore[misc]
            await timed(way, "8 MiB", BULKS, lambda root=root: root.take(data))  # type: ignore[misc]
            await timed(way, "connect", CONNECTS, lambda way=way: visit(way))  # type: ignore[misc]
    for conn in conns.values():
        await conn.close()
    return figures


def report(skin: str, figures: Figures) -> None:
    print(f"{skin:24}" + "".join(f"{way:>12}" for way in WAYS) + "    tls/plain  psk/plain")
    for name in figures["plain"]:
        found = {way: statistics.median(figures[way][name]) for way in WAYS}
        shown = "".join(f"{found[way] * 1e6:9.1f} us" for way in WAYS)
        ratios = "".join(f"{found[way] / found['plain']:11.2f}" for way in WAYS[1:])
        print(f"  {name:22}{shown}  {ratios}")
    for way in WAYS:
        rate = BULK / statistics.median(figures[way]["8 MiB, time"]) / 2**20
        print(f"  {way}: {rate:.0f} MiB/s")


def main() -> None:
    parser = argparse.ArgumentParser(description="What encryption costs.")
    parser.add_argument("skin", nargs="*", default=["blocking", "aio"])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.skin[0], Path(options.serve))
        return
    for skin in options.skin:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_secrets(folder)
            server = subprocess.Popen(
                [sys.executable, __file__, skin, "--serve", name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert server.stdout is not None
            ports = json.loads(server.stdout.readline())
            ways = client_ways(folder)
            if skin == "blocking":
                figures = measure_blocking(ports, ways, options.rounds)
            else:
                figures = asyncio.run(measure_aio(ports, ways, options.rounds))
            server.communicate()
            report(skin, figures)


if __name__ == "__main__":
    main()
