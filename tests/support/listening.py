"""Where a process can be reached, as Linux tells it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_TCP_LISTEN = "0A"
_UNIX_LISTENS = 0x10000  # __SO_ACCEPTCON


def listening(pid: int) -> list[str]:
    """The addresses at which the process listens: of TCP, as the system writes them, and paths."""
    own = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that the listing itself has open
            own.add(os.readlink(path))
    return [where for where, inode in _all() if f"socket:[{inode}]" in own]


def _all() -> list[tuple[str, str]]:
    """(address, inode) of all listening sockets of this machine."""
    found = []
    for name in ("tcp", "tcp6", "unix"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            row = line.split()
            if name != "unix" and row[3] == _TCP_LISTEN:
                found.append((row[1], row[9]))
            elif name == "unix" and int(row[3], 16) & _UNIX_LISTENS:
                found.append((" ".join(row[7:]), row[6]))
    return found
