"""Child processes by multiprocessing, started in each way that there is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import netobj
from counting import CountingService, PlainService
from listening import listening
from netobj import classic
from patience import HANG, wait_until

ROOT = Path(__file__).parents[1]

# The test runner has threads; a child that is forked from it uses none of what they hold.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A way to start processes, which is the program's for the time of a test."""
    before = multiprocessing.get_start_method(allow_none=True)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")]))
    multiprocessing.set_start_method(request.param, force=True)
    yield request.param
    multiprocessing.set_start_method(before, force=True)


def test_connect_multiprocess(way: str) -> None:
    counter = multiprocessing.Value("i", 40)
    with netobj.connect_multiprocess(
        remote_service=CountingService, args={"counter": counter}
    ) as conn:
        assert conn.root.pid() == conn.proc.pid != os.getpid()
        assert conn.root.add(2) == 42
        assert counter.value == 42
        assert "counter" in conn.root.namespace
    conn.proc.join(HANG)
    assert conn.proc.exitcode == 0


def test_classic_connect_multiprocess(way: str) -> None:
    with classic.connect_multiprocess({"base": [1, 2]}) as conn:
        assert conn.modules.os.getpid() == conn.proc.pid
        conn.execute("base.append(3)")
        assert list(conn.namespace["base"]) == [1, 2, 3]
        assert conn.eval("sum(map(lambda n: n * n, base))") == 14
    conn.proc.join(HANG)


def test_nobody_else_can_reach_the_child(way: str) -> None:
    with netobj.connect_multiprocess(remote_service=CountingService) as conn:
        child = conn.root.pid()
        # A fork has copies of what listens here, which is not its own.
        assert set(listening(child)) <= set(listening(os.getpid()))
    conn.proc.join(HANG)


def test_a_child_whose_parent_is_killed_ends(way: str, tmp_path: Path) -> None:
    program = (
        "import multiprocessing, netobj, time\n"
        "from counting import CountingService\n"
        "if __name__ == '__main__':\n"
        f"    multiprocessing.set_start_method({way!r})\n"
        "    conns = [netobj.connect_multiprocess(remote_service=CountingService)\n"
        "             for _ in range(2)]\n"
        "    print(*[conn.root.pid() for conn in conns], flush=True)\n"
        "    time.sleep(60)\n"
    )
    path = tmp_path / "program.py"
    path.write_text(program)
    with subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        parent.kill()
        parent.wait(HANG)
    for pid in pids:
        wait_until(lambda pid=pid: not is_alive(pid))


def is_alive(pid: int) -> bool:
    """Whether the process runs: one that nobody reaps may stay as a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return text.rsplit(")", 1)[1].split()[0] not in "ZX"


def test_a_service_without_a_namespace_is_given_one() -> None:
    with netobj.connect_multiprocess(remote_service=PlainService, args={"n": 7}) as conn:
        assert conn.root.namespace["n"] == 7
    conn.proc.join(HANG)
    with (
        netobj.connect_multiprocess(remote_service=PlainService) as conn,
        pytest.raises(AttributeError),
    ):
        conn.root.namespace  # noqa: B018
    conn.proc.join(HANG)


def test_both_sides_show_their_services_with_their_settings() -> None:
    class Here(netobj.Service):
        def exposed_square(self, n: int) -> int:
            return n * n

    class There(netobj.Service):
        def on_connect(self, conn: netobj.Connection) -> None:
            self.conn = conn

        def public(self, n: int) -> int:
            return int(self.conn.root.square(n)) + 1

    if multiprocessing.get_start_method() != "fork":
        pytest.skip("a class in a function can only be inherited")
    with netobj.connect_multiprocess(Here, {}, There, {"allow_public_attrs": True}) as conn:
        assert conn.root.public(3) == 10
    conn.proc.join(HANG)


def test_a_service_that_cannot_be_sent_leaves_nothing_behind() -> None:
    class Local(netobj.Service):
        pass

    before = multiprocessing.get_start_method()
    open_before = set(os.listdir("/proc/self/fd"))
    multiprocessing.set_start_method("spawn", force=True)
    try:
        with pytest.raises((AttributeError, TypeError, ValueError), match=r"Local|pickle"):
            netobj.connect_multiprocess(remote_service=Local)
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert len(os.listdir("/proc/self/fd")) <= len(open_before) + 1  # the resource tracker's


def test_a_killed_child_is_a_lost_connection() -> None:
    with netobj.connect_multiprocess(remote_service=CountingService) as conn:
        result = netobj.async_(conn.root.hang)()
        conn.ping(timeout=HANG)
        os.kill(conn.proc.pid, signal.SIGKILL)
        with pytest.raises(netobj.ConnectionLost):
            result.value  # noqa: B018
    conn.proc.join(HANG)
    assert conn.proc.exitcode == -signal.SIGKILL


PROGRAM = """
import multiprocessing, os, sys
import netobj, netobj.multiprocess
from counting import CountingService

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    netobj.multiprocess.GRACE = 0.2
    conn = netobj.connect_multiprocess(remote_service=CountingService)
    print(conn.root.pid())
    if sys.argv[2] == "hangs":
        netobj.async_(conn.root.hang)()
        conn.ping(timeout=None)
"""


@pytest.mark.parametrize("state", ["idle", "hangs"])
def test_a_program_that_closes_nothing_ends_and_so_does_its_child(
    way: str, state: str, tmp_path: Path
) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(path), way, state], capture_output=True, text=True, timeout=HANG
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not is_alive(int(done.stdout))
