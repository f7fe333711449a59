"""Prints the figures that the core is held to; run it with ``python benchmarks/held_to.py``.

Each figure is measured against a server in a process of its own. The same functions are called,
with smaller numbers, by ``tests/test_held_to.py``.
"""

from __future__ import annotations

import contextlib
import gc
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import netobj

SERVER = """
import sys, threading, time
import netobj

class Thing:
    def __init__(self, n): self.n = n

class BenchService(netobj.Service):
    barrier = None
    def exposed_add(self, a, b): return a + b
    exposed_attribute = 7
    def exposed_fresh(self): return [1, 2, 3]
    def exposed_thing(self, n): return Thing(n)
    def exposed_call(self, f, *args): return f(*args)
    def exposed_sleep(self, seconds): time.sleep(seconds)
    def exposed_compute(self, seconds):
        end = time.perf_counter() + seconds
        n = 0
        while time.perf_counter() < end:
            n += 1
        return n
    def exposed_nest(self, callback, depth):
        return callback(depth) if depth else 0
    def exposed_later(self, callback, delay):
        threading.Timer(delay, netobj.async_(callback), ("fired",)).start()
    def exposed_events(self, callback, count):
        send = netobj.async_(callback)
        for i in range(count): send(i)
    def exposed_new_barrier(self, parties): BenchService.barrier = threading.Barrier(parties)
    @netobj.exposed(concurrent=True)
    def wait_barrier(self):
        BenchService.barrier.wait()
        return True
    def exposed_export_count(self):
        return len(self.conn.session.boxing.exports)
    def exposed_export_types(self):
        return tuple(type(e.obj).__name__ for e in self.conn.session.boxing.exports.values())
    def on_connect(self, conn): self.conn = conn

service = netobj.SlaveService if sys.argv[1] == "classic" else BenchService
server = netobj.ThreadedServer(service, hostname="127.0.0.1")
print(server.port, flush=True)
server.start()
"""


@contextlib.contextmanager
def server_process(kind: str = "bench") -> Iterator[int]:
    """A server in a process of its own; yields its port."""
    process = subprocess.Popen(
        # What it logs about bad peers is not shown.
        [sys.executable, "-c", SERVER, kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def connected(kind: str = "bench", **config: Any) -> Iterator[Any]:
    """A connection to such a server."""
    with server_process(kind) as port:
        if kind == "classic":
            conn = netobj.classic.connect("127.0.0.1", port, config=config)
        else:
            conn = netobj.connect("127.0.0.1", port, config=config)
        with conn:
            yield conn


class MessageCount:
    """Counts the requests that a connection sends."""

    def __init__(self, conn: Any) -> None:
        self._send = conn.session.request
        self._send_plain = conn.session.plain_request
        self.count = 0
        conn.session.request = self._counted
        conn.session.plain_request = self._counted_plain

    def _counted(self, *args: Any, **more: Any) -> Any:
        self.count += 1
        return self._send(*args, **more)

    def _counted_plain(self, *args: Any, **more: Any) -> Any:
        data = self._send_plain(*args, **more)
        self.count += data is not None  # else there is more to it, and it is sent by request
        return data

    def of(self, action: Callable[[], object]) -> int:
        """The requests that *action* makes."""
        before = self.count
        action()
        return self.count - before


def round_trips() -> dict[str, int]:
    """How many requests each plain spelling costs."""
    with connected("classic") as conn:
        os_module = conn.modules.os
        count = MessageCount(conn)
        known = {"conn.modules.os.getpid()": count.of(lambda: conn.modules.os.getpid())}
        known["an attribute of a module"] = count.of(lambda: os_module.sep)
    with connected() as conn:
        assert conn.root.add(1, 2) == 3
        count = MessageCount(conn)
        known["conn.root.add(1, 2)"] = count.of(lambda: conn.root.add(1, 2))
        known["conn.root.attribute"] = count.of(lambda: conn.root.attribute)
        known["a fresh list, dropped"] = count.of(lambda: conn.root.fresh())
    return known


def fresh_lists(times: int) -> dict[str, float]:
    """A call that returns a fresh list which is dropped at once, *times* times."""
    with connected() as conn:
        conn.root.fresh()
        spent = []
        for _ in range(times):
            begin = time.perf_counter()
            conn.root.fresh()
            spent.append(time.perf_counter() - begin)
        return {
            "median us": statistics.median(spent) * 1e6,
            "longest ms": max(spent) * 1e3,
            "left in the server's table": conn.root.export_count(),
        }


def shared_by_threads(threads: int, calls: int) -> dict[str, int]:
    """Threads share a connection; every second call has callbacks that call back, three deep."""
    wrong: list[object] = []
    done = []
    with connected() as conn:

        def work(number: int) -> None:
            me = threading.get_ident()

            def callback(depth: int) -> int:
                if threading.get_ident() != me:
                    wrong.append("a callback ran in another thread")
                return 1 + conn.root.nest(callback, depth - 1)

            for call in range(calls):
                if call % 2:
                    if conn.root.nest(callback, 3) != 3:
                        wrong.append("a nested call was answered wrongly")
                elif conn.root.add(number, call) != number + call:
                    wrong.append("a call was answered wrongly")
            done.append(number)

        workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    return {"threads that ended": len(done), "faults": len(wrong)}


def callback_while_asleep() -> float:
    """Milliseconds by which an event is late that comes while the client is in its own code."""
    fired: list[float] = []
    with connected() as conn:
        came = threading.Event()

        def callback(_text: str) -> None:
            fired.append(time.perf_counter())
            came.set()

        begin = time.perf_counter()
        conn.root.later(callback, 0.3)
        assert came.wait(10)  # the client's own code, which does not serve
        return (fired[0] - begin - 0.3) * 1e3


def beside_a_long_call(method: str, seconds: float, times: int) -> float:
    """The longest quick call, in ms, while *method* runs for *seconds* on the same connection."""
    with connected() as conn:
        conn.root.add(1, 2)
        longest = 0.0
        long_call = threading.Thread(target=getattr(conn.root, method), args=(seconds,))
        long_call.start()
        end = time.perf_counter() + seconds * 0.8
        for _ in range(times):
            begin = time.perf_counter()
            if begin > end:
                break
            conn.root.add(1, 2)
            longest = max(longest, time.perf_counter() - begin)
            time.sleep(seconds / times / 2)
        conn.ping(timeout=1)
        assert long_call.is_alive(), "the long call ended too soon to measure beside it"
        long_call.join()
        return longest * 1e3


def ordered_events(count: int) -> dict[str, bool]:
    """Events sent with ``async_(callback)(i)``: do they arrive in order, one at a time?"""
    with connected() as conn:
        seen: list[int] = []
        inside = threading.Lock()
        overlapped = []
        done = threading.Event()

        def callback(number: int) -> None:
            if not inside.acquire(blocking=False):
                overlapped.append(number)
                return
            seen.append(number)
            inside.release()
            if len(seen) == count:
                done.set()

        conn.root.events(callback, count)
        arrived = done.wait(20)
        return {"all arrived": arrived, "in order": seen == list(range(count)),
                "never two at once": not overlapped}  # fmt: skip


def barrier(parties: int) -> float:
    """Seconds until *parties* calls end that all wait for the last of them."""
    with connected() as conn:
        conn.root.new_barrier(parties)
        wait = netobj.async_(conn.root.wait_barrier)
        begin = time.perf_counter()
        results = [wait() for _ in range(parties)]
        assert all(result.value for result in results)
        return time.perf_counter() - begin


def objects_dropped(count: int) -> dict[str, int]:
    """Create remote objects, drop them, and look at both tables."""
    with connected() as conn:
        kept = []
        for number in range(count):
            kept.append(conn.root.thing(number))
            if len(kept) == 1000:
                kept.clear()
        kept.clear()
        gc.collect()
        conn.root.add(1, 2)
        # The service's own bound methods are not references: both tables must be empty.
        return {
            "left in the server's table": conn.root.export_count(),
            "left in the client's table": len(conn.session.boxing.imports),
        }


def bad_peers() -> dict[str, float]:
    """Milliseconds from a bad peer's bytes to the end of its connection; the server goes on."""
    hello = netobj_hello()
    cases = {
        "wrong magic": b"GET / HTTP/1.1\r\n\r\n",
        "a frame above the limit": hello + b"\x7f\xff\xff\xff",
        "garbage": hello + (8).to_bytes(4, "big") + b"\xc1" * 8,
        "an id never given": hello + framed(b"\x97\x01\x01\x05\x00\xcd\x30\x39\xc0\x90"),
        "a release too many": hello + framed(b"\x93\x05\xcd\x30\x39\x01"),
    }
    spent = {}
    with server_process() as port, netobj.connect("127.0.0.1", port) as bystander:
        for name, data in cases.items():
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(data[: len(hello)])
                begin = time.perf_counter()
                sock.sendall(data[len(hello) :])
                sock.settimeout(10)
                with contextlib.suppress(ConnectionResetError):
                    while sock.recv(65536):
                        pass
                spent[name] = (time.perf_counter() - begin) * 1e3
            assert bystander.root.add(1, 2) == 3
    return spent


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def netobj_hello() -> bytes:
    """The first bytes that a client of ours sends."""
    here, there = socket.socketpair()
    with there, netobj.connect_stream(netobj.SocketStream(here)):
        return there.recv(65536)


def lost_connection(calls: int) -> float:
    """Milliseconds from the server's death to the last of *calls* waiting calls failing."""
    failed: list[BaseException] = []
    with server_process() as port:
        conn = netobj.connect("127.0.0.1", port)
        started = threading.Barrier(calls + 1)

        def wait() -> None:
            started.wait()
            try:
                conn.root.sleep(60)
            except netobj.ConnectionLost as exc:
                failed.append(exc)

        conn.root.add(1, 2)
        threads = [threading.Thread(target=wait) for _ in range(calls)]
        for thread in threads:
            thread.start()
        started.wait()
        while len(conn.session.pending) < calls:
            time.sleep(0.001)
        begin = time.perf_counter()  # at the end of the block the server is killed
    for thread in threads:
        thread.join()
    spent = (time.perf_counter() - begin) * 1e3
    assert len(failed) == calls
    assert all(str(exc) for exc in failed)
    return spent


def import_time() -> float:
    """Milliseconds of ``import netobj`` as -X importtime counts them; the best of five."""
    best = float("inf")
    for _ in range(5):
        report = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", "import netobj"],
            capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1],
        ).stderr  # fmt: skip
        total = next(line for line in report.splitlines() if line.endswith(" netobj"))
        best = min(best, int(total.split("|")[1]) / 1000)
    return best


def show(name: str, figure: object) -> None:
    """Print one figure."""
    if isinstance(figure, dict):
        print(name)
        for key, value in figure.items():
            print(f"    {key:<32} {value:.2f}" if isinstance(value, float)
                  else f"    {key:<32} {value}")  # fmt: skip
    else:
        print(f"{name:<68} {figure:.2f}" if isinstance(figure, float) else f"{name} {figure}")
    sys.stdout.flush()


def main() -> None:
    """Print every figure."""
    show("requests on the wire for", round_trips())
    show("10,000 fresh lists, each dropped at once", fresh_lists(10_000))
    show("32 threads x 1,000 calls on one connection", shared_by_threads(32, 1_000))
    show("an event while the client is in its own code: late by ms", callback_while_asleep())
    show("the longest quick call beside a sleeping handler, ms", beside_a_long_call("sleep", 2, 50))
    show("... beside a handler that computes, ms", beside_a_long_call("compute", 2, 50))
    show("50 events with async_(callback)(i)", ordered_events(50))
    show("500 calls that wait for the last of them: seconds", barrier(500))
    show("100,000 remote objects created and dropped", objects_dropped(100_000))
    show("bad peers: ms until their connection is closed", bad_peers())
    show("100 waiting calls fail when the server is killed: ms", lost_connection(100))
    show("import netobj: ms", import_time())


if __name__ == "__main__":
    main()
