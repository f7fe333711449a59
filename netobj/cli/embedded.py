"""A server of the shell's own, in a child process, over a pair of sockets nobody else can reach."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from netobj.core.closing import Closing

_GRACE = 10.0  # seconds that the child has to end by itself; it takes 5 at most
_ROOT = str(Path(__file__).resolve().parents[2])

# This very package serves the other side, wherever it was imported from, and then the child's
# sys.path is that of a fresh prompt: the current folder comes first.
_PROGRAM = f"""\
import sys
sys.path.insert(0, {_ROOT!r})
from netobj.cli import child
del sys.path[0]
child.main(int(sys.argv[1]))
"""


class EmbeddedServer(Closing):
    """Starts the child at once; ``socket`` is this side's end. For use in a ``with`` statement."""

    def __init__(self) -> None:
        if sys.platform == "win32":
            raise OSError(
                "on Windows the shell cannot start a server of its own yet: "
                "start netobj_classic, and give the shell its address"
            )
        self.socket, theirs = socket.socketpair()
        try:
            self.process = self._start(theirs)
        except BaseException:
            self.socket.close()
            raise
        finally:
            theirs.close()

    def close(self) -> None:
        """Hang up; return when the child has ended."""
        self.socket.close()
        try:
            self.process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _start(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,  # the terminal's lines are for our own prompt
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # Ctrl-C reaches it by way of us, not from the terminal
        )
