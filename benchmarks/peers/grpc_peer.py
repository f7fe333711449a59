"""gRPC: functions, with msgpack in the place of generated code. Kinds: "" (threads), "aio"."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import msgpack
import numpy as np

from measuring import Job, Operation
from peers.calling import HOLDS_NOTHING, consume
from peers.service import FLOATS_ARRAY, NUMBERS, increment
from processes import run_on
from workloads import CALLBACKS, ECHOED, IN_FLIGHT, NESTED, THREADS, How, Workload

VERSION = grpc.__version__
LACKS = {
    "attribute": "functions only",
    **HOLDS_NOTHING,
}
OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # a connection for each channel
    ("grpc.so_reuseport", 0),
)
pack: Callable[[Any], bytes] = msgpack.packb
unpack: Callable[[bytes], Any] = msgpack.unpackb


def _ask(replies: Iterator[int], context: Any) -> Iterator[int | None]:
    """A stream both ways: the server asks, the client replies."""
    next(replies)  # the client has called
    for number in range(CALLBACKS):
        yield number
        next(replies)
    yield None


UNARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda values, _: values[0] + values[1],
    "nested": lambda values, _: len(values),
    "numbers": lambda _, __: NUMBERS,
}
RAW: dict[str, Callable[[Any, Any], Any]] = {  # bytes as they are
    "echo": lambda data, _: data,
    "floats": lambda _, __: FLOATS_ARRAY.tobytes(),
}


async def _add_on_loop(values: Any, context: Any) -> Any:
    return values[0] + values[1]


def _handlers(on_loop: bool) -> Any:
    unary, coded = grpc.unary_unary_rpc_method_handler, (unpack, pack)
    methods = {name: unary(function, *coded) for name, function in UNARY.items()}
    methods |= {name: unary(function) for name, function in RAW.items()}
    methods["each"] = grpc.unary_stream_rpc_method_handler(lambda _, __: iter(NUMBERS), *coded)
    methods["ask"] = grpc.stream_stream_rpc_method_handler(_ask, *coded)
    if on_loop:
        methods["add"] = unary(_add_on_loop, *coded)
    return grpc.method_handlers_generic_handler("Bench", methods)


def serve(job: Job, workload: Workload) -> None:
    """Serve until the process ends."""
    if job.kind == "aio" or workload.how is How.ASYNC:
        run_on(workload.loop or "asyncio", _serve_on_loop())
        return
    server = grpc.server(ThreadPoolExecutor(THREADS), options=OPTIONS)
    server.add_generic_rpc_handlers((_handlers(False),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


async def _serve_on_loop() -> None:
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((_handlers(True),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


class Stub:
    """What generated code would be."""

    def __init__(self, channel: Any) -> None:
        self.add = channel.unary_unary("/Bench/add", pack, unpack)
        self.nested = channel.unary_unary("/Bench/nested", pack, unpack)
        self.numbers = channel.unary_unary("/Bench/numbers", pack, unpack)
        self.each = channel.unary_stream("/Bench/each", pack, unpack)
        self.ask = channel.stream_stream("/Bench/ask", pack, unpack)
        self.echo = channel.unary_unary("/Bench/echo")
        self.floats = channel.unary_unary("/Bench/floats")


class Client:
    """A client."""

    def __init__(self, job: Job) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{job.address}", OPTIONS)
        self._stub = Stub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def plain(self) -> Operation:
        stub = self._stub
        return lambda: stub.add((1, 2))

    def bound(self) -> Operation:
        add = self._stub.add
        return lambda: add((1, 2))

    threads = bound

    def nested(self) -> Operation:
        nested = self._stub.nested
        return lambda: nested(NESTED)

    def callbacks(self) -> Operation:
        ask = self._stub.ask

        def calls() -> None:
            replies: queue.SimpleQueue[int | None] = queue.SimpleQueue()
            replies.put(0)
            for number in ask(iter(replies.get, None)):
                replies.put(None if number is None else increment(number))

        return calls

    def iterate(self) -> Operation:
        each = self._stub.each
        return lambda: consume(each(0))

    def buffiter(self) -> Operation:
        numbers = self._stub.numbers
        return lambda: consume(numbers(0))

    def in_flight(self) -> Operation:
        call = self._stub.add.future

        def calls() -> None:
            results = [call((1, 2)) for _ in range(IN_FLIGHT)]
            for result in results:
                result.result()

        return calls

    def echo(self) -> Operation:
        data, echo = os.urandom(ECHOED), self._stub.echo
        return lambda: echo(data)

    def array(self) -> Operation:
        floats = self._stub.floats
        return lambda: np.frombuffer(floats(b""))


async def open_call(job: Job) -> Any:
    """A call on an event loop."""
    add = Stub(grpc.aio.insecure_channel(f"127.0.0.1:{job.address}", OPTIONS)).add
    return lambda: add((1, 2))
