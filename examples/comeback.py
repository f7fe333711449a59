"""A client that outlives its server: the server dies, and is started again on the same port.

python examples/comeback.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading

import netobj


class Archive(netobj.Service):
    """Keeps numbers in a file, which is what outlives it."""

    def __init__(self, path: str) -> None:
        self.path = path

    @netobj.exposed
    def add(self, number: int) -> None:
        with open(self.path, "a") as file:
            print(number, file=file)

    @netobj.exposed(idempotent=True)
    def total(self, crash: bool = False) -> int:
        """The sum of all. With *crash* the server dies of it, but only once."""
        marker = self.path + ".crashed"
        if crash and not os.path.exists(marker):
            with open(marker, "x"):
                os._exit(1)
        with open(self.path) as file:
            return sum(map(int, file))


def serve(path: str, port: int) -> None:
    """The program of the server."""
    with netobj.ThreadedServer(Archive(path), hostname="localhost", port=port) as server:
        print(server.port, flush=True)
        sys.stdin.read()  # until the keeper has gone


class Keeper:
    """Starts the server, and starts it again when it has ended."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.port = 0
        self.starts = 0
        self.over = False
        self.start()
        self.thread = threading.Thread(target=self.keep)
        self.thread.start()

    def start(self) -> None:
        command = [sys.executable, __file__, "serve", self.path, str(self.port)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.starts += 1

    def keep(self) -> None:
        while True:
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                assert pipe is not None
                pipe.close()
            if self.over:
                return
            self.start()

    def close(self) -> None:
        self.over = True
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.thread.join()


def main(path: str) -> None:
    keeper = Keeper(path)
    patient = netobj.Reconnect(attempts=60, max_delay=1)  # a busy machine starts servers slowly
    with netobj.connect("localhost", keeper.port, reconnect=patient) as conn:
        add, total = netobj.oneway(conn.root.add), conn.root.total
        for number in range(1, 11):
            add(number)  # without an answer
        print("the total:", netobj.async_(total)().value)  # when all of them have run
        keeper.process.kill()
        print("the total after it was killed:", total())
        print("the total after it has crashed in the midst of it:", total(crash=True))
    keeper.close()
    print("the server was started", keeper.starts, "times")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(os.path.join(folder, "numbers"))
