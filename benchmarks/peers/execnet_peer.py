"""execnet, over a socket: code of the client runs on the server and the two talk over channels.

There are no methods: a call is an item sent to a loop on the server, and the item that it answers.
"""

from __future__ import annotations

import os
import threading
from importlib.metadata import version
from typing import Any

import execnet
import numpy as np
from execnet.gateway_base import get_execmodel
from execnet.script import socketserver

from measuring import Job, Operation
from peers.calling import HOLDS_NOTHING
from workloads import CALLBACKS, ECHOED, FLOATS, IN_FLIGHT, ITEMS, NESTED, PROCESSES, Workload

VERSION = version("execnet")
LACKS = {
    "attribute": "no objects: channels of items",
    **HOLDS_NOTHING,
    "call": "no asyncio",
    "idle": "its socket server accepts one connection at a time",
}
ADD = """
for a, b in channel:
    channel.send(a + b)
"""
NESTING = """
for values in channel:
    channel.send(len(values))
"""
ASKING = """
for count in channel:
    for number in range(count):
        channel.send(number)
        channel.receive()
    channel.send(None)
"""
PUSHING = """
for count in channel:
    for number in range(count):
        channel.send(number)
"""
LISTING = """
for count in channel:
    channel.send(list(range(count)))
"""
ECHO = """
for data in channel:
    channel.send(data)
"""
BYTES = """
import os
data = os.urandom(channel.receive())
for _ in channel:
    channel.send(data)
"""


def serve(job: Job, workload: Workload) -> None:
    """Serve until the process ends: its own script, in a thread for each connection."""
    socketserver.execmodel = get_execmodel("thread")
    socketserver.print_ = lambda *_: None
    listener = socketserver.bind_and_listen(("127.0.0.1", 0), socketserver.execmodel)
    print(listener.getsockname()[1], flush=True)
    accepting = threading.Semaphore(0)
    for _ in range(PROCESSES):
        threading.Thread(target=socketserver.startserver, args=(listener, True)).start()
    accepting.acquire()


class Client:
    """A client."""

    def __init__(self, job: Job) -> None:
        self._group = execnet.Group()
        self._gateway: Any = self._group.makegateway(f"socket=127.0.0.1:{job.address}")

    def close(self) -> None:
        self._gateway.exit()
        self._group.terminate(timeout=1)

    def _call(self, source: str, item: object) -> Operation:
        channel = self._gateway.remote_exec(source)
        send, receive = channel.send, channel.receive

        def call() -> None:
            send(item)
            receive()

        return call

    def plain(self) -> Operation:
        return self._call(ADD, (1, 2))

    bound = plain

    def nested(self) -> Operation:
        return self._call(NESTING, NESTED)

    def callbacks(self) -> Operation:
        channel = self._gateway.remote_exec(ASKING)

        def calls() -> None:
            channel.send(CALLBACKS)
            while (number := channel.receive()) is not None:
                channel.send(number + 1)

        return calls

    def iterate(self) -> Operation:
        channel = self._gateway.remote_exec(PUSHING)

        def iterate() -> None:
            channel.send(ITEMS)
            for _ in range(ITEMS):
                channel.receive()

        return iterate

    def buffiter(self) -> Operation:
        channel = self._gateway.remote_exec(LISTING)

        def iterate() -> None:
            channel.send(ITEMS)
            for _ in channel.receive():
                pass

        return iterate

    def in_flight(self) -> Operation:
        channel = self._gateway.remote_exec(ADD)

        def calls() -> None:
            for _ in range(IN_FLIGHT):
                channel.send((1, 2))
            for _ in range(IN_FLIGHT):
                channel.receive()

        return calls

    def threads(self) -> Operation:
        mine = threading.local()  # a channel for each thread

        def call() -> None:
            if not hasattr(mine, "call"):
                mine.call = self.plain()
            mine.call()

        return call

    def echo(self) -> Operation:
        return self._call(ECHO, os.urandom(ECHOED))

    def array(self) -> Operation:
        channel = self._gateway.remote_exec(BYTES)
        channel.send(FLOATS * 8)

        def fetch() -> None:
            channel.send(None)
            np.frombuffer(channel.receive())

        return fetch
