"""CPython's own tests with the type under test replaced by the one of another process.

A :class:`Suite` says which test class, and how the remote type takes the local one's place: as a
class attribute (``type2test``) or as a global of the module of tests. Each test gets a connection
of its own, as classic.unix_connect makes it but with pickling switched on; what does not end
within its time loses it, and so fails.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
import threading
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, TracebackType
from typing import Any, Final, NamedTuple
from unittest import mock

from netobj import classic
from netobj.errors import ConnectionLost

LIMIT: Final = 10.0
"""Seconds that each test may take."""

_SERVER: Final = """
import netobj, sys
server = netobj.ThreadedServer(netobj.SlaveService, socket_path=sys.argv[1])
server.fileno()  # binds
print("ready", flush=True)
server.start()
"""


class Peer:
    """Another Python process that serves classic mode to whoever connects."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self._path = os.path.join(self._directory.name, "peer")
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, self._path], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """End the process, in whatever it is."""
        self._process.kill()

    def close(self) -> None:
        """End the process and take what it left."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._directory.cleanup()

    @contextmanager
    def connection(self, limit: float) -> Iterator[Any]:
        """A connection that is lost after *limit* seconds at the latest."""
        if self._process.poll() is not None:
            self.close()
            self._start()
        conn = classic.unix_connect(self._path, {"allow_pickle": True})
        watchdog = threading.Timer(limit, self.kill)
        watchdog.start()
        try:
            yield conn
        finally:
            watchdog.cancel()
            watchdog.join()
            conn.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Suite(NamedTuple):
    """One class of CPython's tests; *remote* gives the type that takes the local one's place.

    It does so as the class's *attribute*, or where there is none, as the *global* of its module.
    """

    module: str
    name: str
    remote: Callable[[Any], Any]
    attribute: str = ""
    global_name: str = ""

    def cls(self) -> type[unittest.TestCase]:
        """The class of tests as CPython has it."""
        found: type[unittest.TestCase] = getattr(self._imported(), self.name)
        return found

    def _imported(self) -> ModuleType:
        return importlib.import_module(f"test.{self.module}")

    def tests(self) -> list[str]:
        """The names of its tests."""
        return list(unittest.TestLoader().getTestCaseNames(self.cls()))

    @contextmanager
    def replaced(self, conn: Any) -> Iterator[type[unittest.TestCase]]:
        """The class of tests, using the remote type meanwhile."""
        cls = self.cls()
        remote = self.remote(conn)
        if self.attribute:
            yield type(cls.__name__, (cls,), {self.attribute: remote})
            return
        with mock.patch.object(self._imported(), self.global_name, remote):
            yield cls


SUITES: Final = (
    Suite("test_list", "ListTest", lambda conn: conn.builtins.list, "type2test"),
    Suite("test_dict", "GeneralMappingTests", lambda conn: conn.builtins.dict, "type2test"),
    Suite("test_set", "TestSet", lambda conn: conn.builtins.set, "thetype"),
    Suite("test_memoryio", "CBytesIOTest", lambda conn: conn.modules.io.BytesIO, "ioclass"),
    Suite(
        "test_collections",
        "TestCounter",
        lambda conn: conn.modules.collections.Counter,
        global_name="Counter",
    ),
)


class _Keeper(unittest.TestResult):
    """Keeps the exceptions themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.raised: list[BaseException] = []

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        self.raised.append(err[1])

    addFailure = addError  # noqa: N815

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        self.raised.append(unittest.SkipTest(reason))

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        if err is not None:
            self.raised.append(err[1])


def run(peer: Peer, suite: Suite, test: str, limit: float = LIMIT) -> BaseException | None:
    """What the test raised with the remote type (a SkipTest, too), or None if it passed."""
    result = _Keeper()
    try:
        with peer.connection(limit) as conn, suite.replaced(conn) as cls:
            cls(test).run(result)
    except ConnectionLost as exc:
        return exc
    return result.raised[0] if result.raised else None
