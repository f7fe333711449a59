"""A process for each client: what one does to its server, even a crash, concerns nobody else.

    python examples/isolated.py

Needs a system with fork.
"""

from __future__ import annotations

import os
import signal
import sys

import beside

import netobj


class LabService(netobj.Service):
    """Calls a library in C that sometimes takes the whole process along."""

    @netobj.exposed
    def pid(self) -> int:
        return os.getpid()

    @netobj.exposed
    def set_unit(self, unit: str) -> None:
        os.environ["LAB_UNIT"] = unit  # all of the process: here, all of one client

    @netobj.exposed
    def unit(self) -> str:
        return os.environ.get("LAB_UNIT", "volts")

    @netobj.exposed
    def crash(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def serve() -> None:
    server = netobj.ForkingServer(LabService, hostname="localhost")
    print(server.port, flush=True)
    server.start()


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        serve()
        return
    with (
        beside.server(__file__) as port,
        netobj.connect("localhost", port) as one,
        netobj.connect("localhost", port) as other,
    ):
        print("processes of their own:", one.root.pid() != other.root.pid())
        one.root.set_unit("amperes")
        print("one has", one.root.unit(), "and the other", other.root.unit())
        try:
            one.root.crash()
        except netobj.ConnectionLost:
            print("one has crashed; the other still has", other.root.unit())
        with netobj.connect("localhost", port) as third:
            print("and newcomers are served:", third.root.unit())


if __name__ == "__main__":
    main()
