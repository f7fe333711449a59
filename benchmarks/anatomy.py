"""Where the time of one call goes: function by function, on both sides.

``python benchmarks/anatomy.py``: counts the bytecodes that each function executes for one plain
call, ``conn.root.add(1, 2)``, in a client and a server process. These counts are exact: they do
not depend on what else the machine does. Beside each stands its share of the processor time that
a call takes beyond the bare socket's ping-pong of the same bytes, both pinned to one core: shared
out in proportion to the bytecodes, since a profiler's clock would cost more than what it measures.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import netobj

CALLS = 200  # that are counted
TIMED = 4000  # that are timed, at a time
TIMES = 7
REQUEST, REPLY = 32, 9  # bytes of a plain call's messages
NO_SPINNING = {"spin_time": 0}


class Service(netobj.Service):
    """What is called."""

    @netobj.exposed
    def add(self, a: int, b: int) -> int:
        """The sum."""
        return a + b


class Counting:
    """Counts the bytecodes that threads execute, by function, while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.counts: Counter[str] = Counter()
        self.order: dict[str, None] = {}

    def trace(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        """For ``sys.settrace``."""
        frame.f_trace_opcodes = True
        if self.on:
            home = frame.f_globals.get("__name__", "")
            name = f"{home.removeprefix('netobj.')}.{frame.f_code.co_qualname}"
            self.order.setdefault(name)
            self.counts[name] += event == "opcode"
        return self.trace

    def lines(self) -> list[str]:
        """``COUNT NAME`` of each function that was called each time, in order."""
        means = {name: self.counts[name] / CALLS for name in self.order}
        return [f"{mean:.0f} {name}" for name, mean in means.items() if mean >= 1]


def serve(traced: bool) -> None:
    """Serve; with *traced*, count while told so, and print what was counted."""
    counting = Counting()
    if traced:
        threading.settrace(counting.trace)
    server = netobj.ThreadedServer(Service, "127.0.0.1", protocol_config=NO_SPINNING)
    print(server.port, flush=True)
    threading.Thread(target=server.start, daemon=True).start()
    for line in sys.stdin:
        counting.on = line == "on\n"
        print("\n".join(counting.lines() if not counting.on else ()) or "-", "end", sep="\n")
        sys.stdout.flush()
    os._exit(0)


def serve_raw() -> None:
    """The same bytes over a bare socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while sock.recv(65536):
            sock.send(bytes(REPLY))


class Server:
    """A server in a process of its own."""

    def __init__(self, kind: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def tell(self, text: str) -> list[str]:
        """Say *text*; returns what the server says."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()
        return list(iter(self._line, "end"))

    def cpu(self) -> float:
        """Seconds of processor time that it has had, by all threads (Linux)."""
        tasks = f"/proc/{self._process.pid}/task"
        total = 0
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def count() -> tuple[list[str], list[str]]:
    """The functions of the client and of the server."""
    server = Server("traced")
    try:
        with netobj.connect("127.0.0.1", server.port, config=NO_SPINNING) as connection:
            root, counting = connection.root, Counting()
            _repeat(lambda: root.add(1, 2), CALLS)
            sys.settrace(counting.trace)
            counting.on = True
            _repeat(lambda: root.add(1, 2), CALLS)
            counting.on = False
            sys.settrace(None)
            server.tell("on")
            _repeat(lambda: root.add(1, 2), CALLS)
            return _netobj(counting.lines()), _netobj(server.tell("off"))
    finally:
        server.end()


def _netobj(lines: list[str]) -> list[str]:
    aside = ("__main__", "selectors", "blocking.io_thread", "threading")
    return [line for line in lines if not line.split()[1].startswith(aside)]


def _repeat(operation: Callable[[], object], times: int) -> None:
    for _ in range(times):
        operation()


def cpu_of_call(kind: str) -> float:
    """Microseconds of processor time of both sides for a call, everything on one core."""
    best = float("inf")
    server = Server(kind)
    try:
        with (_connect_raw if kind == "raw" else _connect)(server.port) as connection:
            if kind == "raw":
                request = bytes(REQUEST)
                operation = lambda: (connection.send(request), connection.recv(65536))  # noqa: E731
            else:
                operation = lambda: connection.root.add(1, 2)  # noqa: E731
            _repeat(operation, TIMED)
            for _ in range(TIMES):
                before = server.cpu() + _own_cpu()
                _repeat(operation, TIMED)
                best = min(best, (server.cpu() + _own_cpu() - before) / TIMED * 1e6)
    finally:
        server.end()
    return best


def _own_cpu() -> float:
    times = os.times()
    return times.user + times.system


def _connect(port: int) -> Any:
    return netobj.connect("127.0.0.1", port)


def _connect_raw(port: int) -> Any:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def show(side: str, lines: list[str], each: float) -> None:
    """Print the functions of one side; a bytecode takes *each* microseconds."""
    total = sum(int(line.split()[0]) for line in lines)
    print(f"\n{side}: {total} bytecodes, {total * each:.1f} us")
    for line in lines:
        number, name = line.split()
        microseconds = int(number) * each
        print(f"  {name:<52} {number:>4} {microseconds:5.2f} us {'#' * round(microseconds * 20)}")


def main() -> None:
    """Measure and print."""
    client, server = count()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # the servers inherit it
    raw, call = cpu_of_call("raw"), cpu_of_call("served")
    bytecodes = sum(int(line.split()[0]) for line in client + server)
    each = (call - raw) / bytecodes
    print(f"the bare socket: {raw:.1f} us; a call: {call:.1f} us, {call / raw:.2f} times as much")
    print(f"a bytecode: {each * 1000:.1f} ns, what it calls in C included")
    show("the client", client, each)
    show("the server", server, each)


if __name__ == "__main__":
    roles = {"traced": lambda: serve(True), "served": lambda: serve(False), "raw": serve_raw}
    roles.get(sys.argv[1] if len(sys.argv) > 1 else "", main)()
