"""RPyC 6. Kinds: "" (as it is by default), "nodelay" (TCP_NODELAY on both sides)."""

from __future__ import annotations

import socket
from importlib.metadata import version

import rpyc
from rpyc.utils.helpers import buffiter

from measuring import Job
from peers.transparent import ExposedBench, TransparentClient
from workloads import Workload

VERSION = version("rpyc")
LACKS: dict[str, str] = {"call": "no asyncio"}
CONFIG = {"allow_pickle": True, "allow_public_attrs": True}  # which arrays need


class BenchService(ExposedBench, rpyc.Service):
    """What is measured."""


class NoDelayServer(rpyc.ThreadedServer):
    """Without Nagle's algorithm."""

    def _accept_method(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super()._accept_method(sock)


def serve(job: Job, workload: Workload) -> None:
    """Serve until the process ends."""
    kind = NoDelayServer if job.kind == "nodelay" else rpyc.ThreadedServer
    server = kind(BenchService, hostname="127.0.0.1", port=0, protocol_config=CONFIG)
    print(server.port, flush=True)
    server.start()


class Client(TransparentClient):
    """A client."""

    def __init__(self, job: Job) -> None:
        nodelay = job.kind == "nodelay"
        stream = rpyc.SocketStream.connect("127.0.0.1", int(job.address), nodelay=nodelay)
        super().__init__(rpyc.connect_stream(stream, config=CONFIG), rpyc.async_, buffiter)
