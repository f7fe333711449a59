"""A server in a process of its own that has come out of this one, with all that the server has."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from patience import wait_until


class Apart:
    """Runs *server*, a ForkingServer, in the main thread of a fork.

    It is to fork from a process that does nothing else. Here clients have threads: what one of them
    locks while the server forks, in OpenSSL for example, is locked in the child for ever.
    """

    connections = ()

    def __init__(self, server: Any) -> None:
        self._server = server
        self._pid = 0

    def __enter__(self) -> Apart:
        server = self._server
        server.grace = 0
        server.fileno()  # binds it
        self.port, self.host = server.port, server.host
        self._pid = os.fork()
        if self._pid == 0:
            _serve(server)
        server._listening.forget()  # it is the other's
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def processes(self) -> tuple[int, ...]:
        """The processes that serve clients."""
        children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text()
        return tuple(int(number) for number in children.split())

    def close(self) -> None:
        """End it; returns when it has ended."""
        pid, self._pid = self._pid, 0
        if pid:
            os.kill(pid, signal.SIGTERM)
            try:
                wait_until(lambda: os.waitpid(pid, os.WNOHANG) != (0, 0))
            except AssertionError:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise


def _serve(server: Any) -> NoReturn:
    try:
        server.start()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)
