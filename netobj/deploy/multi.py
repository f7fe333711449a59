"""Servers on several machines, as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final

from netobj.blocking.connection import Connection
from netobj.core.closing import Closing
from netobj.core.config import EMPTY, Settings
from netobj.core.service import VoidService
from netobj.deploy.progress import Report, reporter
from netobj.deploy.server import DeployedServer

_AT_ONCE: Final = 8


class MultiServerDeployment(Closing):
    """A :class:`DeployedServer` on each of *remote_machines*, eight at a time; a sequence of them.

    *server_class* and *options* are those of each. *progress* is called with the bytes of all,
    perhaps from other threads. Raises what the first of them raises; the others are closed then.
    """

    def __init__(
        self,
        remote_machines: Iterable[Any],
        server_class: str = "netobj.utils.server.ThreadedServer",
        *,
        progress: Report | bool | None = None,
        **options: Any,
    ) -> None:
        self.remote_machines = list(remote_machines)
        share = _Shares(reporter(progress), len(self.remote_machines)).share
        with ThreadPoolExecutor(_AT_ONCE, "netobj deploy") as pool, ExitStack() as started:
            tasks = [
                pool.submit(
                    DeployedServer, machine, server_class, progress=share(number), **options
                )
                for number, machine in enumerate(self.remote_machines)
            ]
            started.callback(_close, (task.result() for task in tasks if not task.exception()))
            self.servers = [task.result() for task in tasks]
            started.pop_all()

    def __len__(self) -> int:
        return len(self.servers)

    def __iter__(self) -> Iterator[DeployedServer]:
        return iter(self.servers)

    def __getitem__(self, index: int) -> DeployedServer:
        return self.servers[index]

    def connect_all(self, service: Any = VoidService, config: Settings = EMPTY) -> list[Connection]:
        """A connection to each, in their order; if one fails, none stays."""
        return _all(server.connect(service, config) for server in self.servers)

    def classic_connect_all(self, config: Settings = EMPTY) -> list[Connection]:
        """A classic connection to each, in their order; if one fails, none stays."""
        return _all(server.classic_connect(config) for server in self.servers)

    def close(self, timeout: float | None = None) -> None:
        """Close all of them, at once; see :meth:`DeployedServer.close`."""
        servers, self.servers = self.servers, []
        _close(servers, timeout)


def _all(connections: Iterable[Connection]) -> list[Connection]:
    with ExitStack() as stack:
        found = [stack.enter_context(connection) for connection in connections]
        stack.pop_all()
    return found


def _close(servers: Iterable[DeployedServer], timeout: float | None = None) -> None:
    with ExitStack() as stack:  # all of them, whatever one of them raises
        for server in servers:
            server.let_go()
            stack.callback(server.close, timeout)


class _Shares:
    """The bytes of several copies, added up."""

    def __init__(self, report: Report, count: int) -> None:
        self._report = report
        self._done = [0] * count

    def share(self, number: int) -> Report:
        def report(done: int, total: int) -> None:
            self._done[number] = done
            self._report(sum(self._done), total * len(self._done))  # the same goes to each

        return report
