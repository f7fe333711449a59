"""A server in a process of its own that is killed and comes back on the same port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import netobj
from patience import HANG

WORD = b"listening\n"


class Desk:
    """What is reached by name from the root; each server has its own."""

    def exposed_pid(self) -> int:
        return os.getpid()


class Phoenix(netobj.Service):
    """Notes in a file what it runs, so that the next one knows, too."""

    def __init__(self, notes: str) -> None:
        self._notes = notes
        self._desk = Desk()
        self._drawer = Desk()
        self._desk.exposed_drawer = self._drawer  # type: ignore[attr-defined]

    @property
    def exposed_desk(self) -> Desk:
        return self._desk

    def exposed_make(self) -> Desk:
        return Desk()

    def exposed_is_desk(self, desk: Any) -> bool:
        return desk is self._desk

    def exposed_pid(self) -> int:
        return os.getpid()

    def _note(self, word: str) -> int:
        with open(self._notes, "a+") as notes:
            print(word, file=notes)
            notes.seek(0)
            return notes.read().split().count(word)

    @netobj.exposed
    def once(self, word: str) -> int:
        """Note *word*; the first who does so is to be killed: it never returns."""
        count = self._note(word)
        if count == 1:
            time.sleep(HANG)
        return count

    @netobj.exposed(idempotent=True)
    def often(self, word: str) -> int:
        """The same, of which the author says that it may be called again."""
        return self.once(word)

    @netobj.exposed(idempotent=True)
    def never(self, word: str) -> int:
        """The process ends each time."""
        self._note(word)
        os._exit(1)


class Server:
    """Runs a :class:`Phoenix` of *kind*; ``kill()`` ends it at once, ``start()`` brings it back."""

    def __init__(self, notes: Any, kind: str = "ThreadedServer") -> None:
        self.notes = str(notes)
        self._kind = kind
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Bring it back, and wait until it listens."""
        args = [sys.executable, __file__, self._kind, str(self.port), self.notes]
        paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.process = subprocess.Popen(args, stdout=subprocess.PIPE, env={**os.environ, **paths})
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == WORD

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(HANG)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def kill_at(self, word: str, again: bool = True) -> threading.Thread:
        """In the background: kill it once it has noted *word*, and start it *again*."""

        def work() -> None:
            end = time.monotonic() + HANG
            while word not in self.read():
                assert time.monotonic() < end
                time.sleep(0.001)
            self.kill()
            if again:
                self.start()

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def read(self) -> list[str]:
        """What was noted."""
        if not os.path.exists(self.notes):
            return []
        with open(self.notes) as notes:
            return notes.read().split()


def _main(kind: str, port: str, notes: str) -> None:
    with getattr(netobj, kind)(Phoenix(notes), hostname="127.0.0.1", port=int(port)) as server:
        assert server.port
        sys.stdout.buffer.write(WORD)
        sys.stdout.buffer.flush()
        time.sleep(10 * HANG)


if __name__ == "__main__":
    _main(*sys.argv[1:])
