"""Floods of clients that are gone again at once, in the midst of a word: the server serves on."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgpack
import pytest

import netobj
from faulty import RESET
from netobj.core.config import Config
from netobj.greetings import greeting
from patience import HANG, wait_until
from remains import nothing_left

KINDS = {"ThreadedServer": 0, "ThreadPoolServer": 21, "AsyncServer": 0}
"""The kinds of servers that can be in one process with their clients, and the threads they keep."""
COUNT = 1000
HELLO = greeting(Config(), netobj.VoidService)


class Calm(netobj.Service):
    @netobj.exposed
    def add(self, a: int, b: int) -> int:
        return a + b


def frame(*message: Any) -> bytes:
    body: bytes = msgpack.packb(message)
    return len(body).to_bytes(4, "big") + body


CALL = frame(1, 5, 5, 1, 0, "add", [1, 2])
WORDS = {
    "nothing": b"",
    "half a preamble": HELLO[:4],
    "half a hello": HELLO[:30],
    "a hello": HELLO,
    "half a call": HELLO + CALL[:9],
    "calls": HELLO + b"".join(frame(1, n, 5, 1, 0, "add", [1, 2]) for n in range(5, 25)),
    "a stranger's words": b"GET / HTTP/1.1\r\n\r\n",
}


def be_gone(port: int, words: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), HANG) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.sendall(words)


class Tracebacks(logging.Handler):
    """Counts the tracebacks that are logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.found.append(self.format(record))


def flood(port: int, words: bytes, count: int) -> None:
    """*count* clients that are gone again, and two that are served, one in the midst of it."""
    threads = [
        threading.Thread(target=lambda: [be_gone(port, words) for _ in range(count // 4)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    ask(port)
    for thread in threads:
        thread.join()
    ask(port)


def ask(port: int) -> None:
    with netobj.connect("127.0.0.1", port) as conn:
        assert conn.root.add(20, 22) == 42


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("words", WORDS)
def test_a_flood_of_resets(kind: str, words: str) -> None:
    tracebacks = Tracebacks()
    logger = logging.Logger("flooded", logging.DEBUG)
    logger.addHandler(tracebacks)
    with getattr(netobj, kind)(Calm, hostname="127.0.0.1", logger=logger) as server:
        ask(server.port)
        wait_until(lambda: not server.connections)
        with nothing_left(threads=KINDS[kind]):
            flood(server.port, WORDS[words], COUNT // len(WORDS))
            wait_until(lambda: not server.connections)
    assert tracebacks.found == []


PROGRAM = """
import logging, sys
if sys.argv[1] == "GeventServer":
    from gevent import monkey
    monkey.patch_all()
import netobj

class Calm(netobj.Service):
    @netobj.exposed
    def add(self, a, b): return a + b

logging.basicConfig(level=logging.DEBUG)
server = getattr(netobj, sys.argv[1])(Calm, hostname="127.0.0.1")
print(server.port, flush=True)
server.start()
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into Linux' /proc")
@pytest.mark.parametrize(("kind", "count"), [("ForkingServer", 20), ("GeventServer", 140)])
def test_in_a_process_of_its_own(kind: str, count: int, tmp_path: Path) -> None:
    # The children of a forking server would have copies of the sockets of clients in there.
    if kind == "GeventServer":
        pytest.importorskip("gevent")
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, kind], stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        ask(port)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(lambda: not children.read_text())
        flood(port, b"", 8)  # so that what is made once is made
        wait_until(lambda: not children.read_text())
        descriptors = len(os.listdir(f"/proc/{process.pid}/fd"))
        for words in WORDS.values():
            flood(port, words, count)
        wait_until(lambda: not children.read_text())
        wait_until(lambda: len(os.listdir(f"/proc/{process.pid}/fd")) <= descriptors)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert "Traceback" not in (tmp_path / "log").read_text()
