"""A plugin in a process of its own: the host and it call each other over its standard streams.

python examples/plugin.py
"""

from __future__ import annotations

import os
import sys

import netobj


class Host(netobj.Service):
    """What a plugin may ask of the program that runs it."""

    def __init__(self) -> None:
        self.title = "untitled"

    @netobj.exposed
    def rename(self, title: str) -> None:
        self.title = title

    @netobj.exposed
    def pid(self) -> int:
        return os.getpid()


class Plugin(netobj.Service):
    """What a plugin offers to the program that runs it."""

    def on_connect(self, conn: netobj.Connection) -> None:
        self._conn = conn

    @netobj.exposed
    def run(self, text: str) -> int:
        """Count words; and give the document the first of them as its title."""
        print("a plugin may print: that does not get between the messages")
        words = text.split()
        self._conn.root.rename(words[0])
        return len(words)

    @netobj.exposed
    def is_apart(self) -> bool:
        return bool(self._conn.root.pid() != os.getpid())


def be_plugin() -> None:
    """The program of the other process."""
    netobj.connect_stdpipes(Plugin).serve_all()


def main() -> None:
    if sys.argv[1:] == ["plugin"]:
        be_plugin()
        return
    host = Host()
    with netobj.connect_subproc([sys.executable, __file__, "plugin"], host) as conn:
        print("words:", conn.root.run("Objects at a distance"))
        print("title:", host.title)
        print("in a process of its own:", conn.root.is_apart())
    print("it ended with", conn.proc.wait())


if __name__ == "__main__":
    main()
