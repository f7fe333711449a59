"""A real Redis for the tests: on a Unix socket in a temporary folder, and nowhere else."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from patience import HANG, wait_until


def find_redis() -> str:
    """The path of redis-server; without one the test is skipped, but fails where CI is set."""
    found = shutil.which("redis-server")
    if found is None:
        text = "there is no redis-server here: on Debian, apt-get install redis-server"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    return found


class Redis:
    """A running Redis; *uri* is where it is found."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis.sock"
        self._folder = folder
        self._proc: subprocess.Popen[bytes] | None = None
        self.uri = f"redis+unix://{self._socket}"

    def start(self) -> None:
        """Listen."""
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "dir": str(self._folder),
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
        }
        arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
        with (self._folder / "redis.log").open("ab") as log:
            self._proc = subprocess.Popen(
                [find_redis(), *arguments], stdin=subprocess.DEVNULL, stdout=log
            )
        wait_until(self._listens)

    def _listens(self) -> bool:
        assert self._proc is not None
        assert self._proc.poll() is None, (self._folder / "redis.log").read_text()
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._socket)) == 0

    def names(self) -> list[bytes]:
        """The names that it has something for."""
        with redis.Redis(unix_socket_path=str(self._socket)) as client:
            found: list[bytes] = client.keys()
            return found

    def stop(self) -> None:
        """Be gone."""
        if self._proc is not None:
            self._proc.terminate()
            self._proc.wait(HANG)
            self._proc = None


@contextmanager
def running(folder: Path) -> Iterator[Redis]:
    """A Redis with its files in *folder*."""
    server = Redis(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
