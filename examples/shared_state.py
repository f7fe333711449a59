"""State of the server and state of a connection: an instance is shared, a class is not.

python examples/shared_state.py
"""

from __future__ import annotations

import sys
import threading
from collections import Counter

import beside

import netobj


class Ballot:
    """What all clients share. Their calls run in different threads, so a lock guards it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._votes: Counter[str] = Counter()

    def count(self, name: str) -> None:
        with self._lock:
            self._votes[name] += 1

    def result(self) -> tuple[tuple[str, int], ...]:
        with self._lock:
            return tuple(self._votes.most_common())


class VoteService(netobj.Service):
    """One for each connection, so what it remembers is that client's."""

    def __init__(self, ballot: Ballot) -> None:
        self._ballot = ballot
        self._has_voted = False

    @netobj.exposed
    def vote(self, name: str) -> None:
        if self._has_voted:
            raise PermissionError("one vote each")
        self._has_voted = True
        self._ballot.count(name)

    @netobj.exposed
    def result(self) -> tuple[tuple[str, int], ...]:
        return self._ballot.result()


def serve() -> None:
    service = netobj.classpartial(VoteService, Ballot())
    # What clients do wrong is theirs to know, and not for the server's log.
    quiet = {"log_exceptions": False}
    server = netobj.ThreadedServer(service, hostname="localhost", protocol_config=quiet)
    print(server.port, flush=True)
    server.start()


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        serve()
        return
    with beside.server(__file__) as port:
        for name in ("ada", "bob", "ada"):
            with netobj.connect("localhost", port) as conn:
                conn.root.vote(name)
        with netobj.connect("localhost", port) as conn:
            conn.root.vote("ada")
            try:
                conn.root.vote("ada")
            except PermissionError as error:
                print("refused:", error)
            print("result:", conn.root.result())


if __name__ == "__main__":
    main()
