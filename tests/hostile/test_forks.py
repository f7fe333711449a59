"""A process that has connections forks: what the child does and how it ends is none of theirs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

import netobj

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")

PROGRAM = """
import asyncio, gc, os, sys, threading, time
import netobj
from netobj import aio

PORT = int(sys.argv[1])
conn = netobj.connect("127.0.0.1", PORT)
thing = conn.root.thing()
result = netobj.async_(conn.root.wait)()
stream = iter(conn.root.stream())
assert next(stream) == 0
answers = []
thread = threading.Thread(target=lambda: answers.append(conn.root.wait()))
thread.start()
while len(conn.session.pending) < 2:
    time.sleep(0.001)

def child():
CHILD

sys.stdout.flush()
pid = os.fork()
if pid == 0:
    child()
_, status = os.waitpid(pid, 0)
thread.join()
assert os.waitstatus_to_exitcode(status) == STATUS, status
assert answers == ["waited"], answers
assert result.value == "waited"
assert list(stream) == list(range(1, 10))
assert thing.add(20, 22) == 42
conn.ping()
assert not conn.closed
print("the parent goes on")
"""
CHILDREN = {
    "leaves at once": ("os._exit(3)", 3),
    "exits": ("sys.exit(4)", 4),
    "drops everything": (
        """
        global conn, thing, result, stream
        conn = thing = result = stream = None
        gc.collect()
        sys.exit(0)
        """,
        0,
    ),
    "closes what is not its own": (
        """
        stream.close()
        conn.close()
        sys.exit(0)
        """,
        0,
    ),
    "uses what is not its own": (
        """
        for use in (lambda: conn.root.add(1, 2), lambda: thing.add(1, 2), lambda: result.value,
                    lambda: conn.ping(), lambda: next(stream), lambda: conn.root,
                    lambda: netobj.async_(conn.root.add)(1, 2)):
            try:
                use()
            except netobj.ConnectionLost as exc:
                assert "belongs to the parent process" in str(exc), exc
            except StopIteration:
                raise
        sys.exit(0)
        """,
        0,
    ),
    "connects anew": (
        """
        with netobj.connect("127.0.0.1", PORT) as own:
            assert own.root.add(1, 2) == 3
            assert netobj.async_(own.root.add)(1, 2).value == 3
        async def main():
            async with aio.connect("127.0.0.1", PORT) as own:
                assert await own.root.add(1, 2) == 3
        asyncio.run(main())
        sys.exit(0)
        """,
        0,
    ),
    "raises": ('sys.stderr = open(os.devnull, "w"); raise ValueError("of the child")', 1),
    "is killed": ("os.kill(os.getpid(), 9)", -9),
}


class Counts(netobj.Service):
    @netobj.exposed(concurrent=True)
    def wait(self) -> str:
        netobj.current_call().connection.wait_closed(_Soon())
        return "waited"

    @netobj.exposed
    def thing(self) -> Counts:
        return Counts()

    @netobj.exposed
    def add(self, a: int, b: int) -> int:
        return a + b

    @netobj.exposed(stream=True)
    def stream(self) -> Iterator[int]:
        yield from range(10)


class _Soon:
    """Is set when it is asked a second time: after a tenth of a second."""

    def __init__(self) -> None:
        self._looks = 0

    def is_set(self) -> bool:
        self._looks += 1
        return self._looks > 3


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with netobj.ThreadedServer(Counts, hostname="127.0.0.1") as server:
        yield server.port


def runs(program: str, port: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, str(port)],
        capture_output=True,
        text=True,
        timeout=60,  # for hangs only
        check=False,
    )
    expected = (0, "", "the parent goes on\n")
    assert (ended.returncode, ended.stderr, ended.stdout) == expected


@pytest.mark.parametrize("name", CHILDREN)
def test_a_child_that(name: str, port: int) -> None:
    body, status = CHILDREN[name]
    body = textwrap.indent(textwrap.dedent(body), "    ")
    runs(PROGRAM.replace("CHILD", body).replace("STATUS", str(status)), port)


MULTIPROCESSING = """
import multiprocessing, sys
import netobj

conn = netobj.connect("127.0.0.1", int(sys.argv[1]))
thing = conn.root.thing()

def work(queue):
    try:
        thing.add(1, 2)
    except netobj.ConnectionLost as exc:
        queue.put(str(exc))

context = multiprocessing.get_context("fork")
queue = context.SimpleQueue()
process = context.Process(target=work, args=(queue,))
process.start()
text = queue.get()
process.join()
assert "belongs to the parent process; connect anew" in text, text
assert process.exitcode == 0
with context.Pool(2) as pool:
    assert pool.map(abs, [-1, 2]) == [1, 2]
assert thing.add(20, 22) == 42
print("the parent goes on")
"""


def test_multiprocessing_in_the_midst_of_it(port: int) -> None:
    runs(MULTIPROCESSING, port)


ON_LOOP = """
import asyncio, os, sys
from netobj import aio
import netobj

async def main():
    conn = await aio.connect("127.0.0.1", int(sys.argv[1]))
    thing = await conn.root.thing()
    pid = os.fork()
    if pid == 0:
        HERE
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
    assert await thing.add(20, 22) == 42
    assert not conn.closed
    await conn.close()
    print("the parent goes on")

asyncio.run(main())
"""


USES = """
        try:
            await thing.add(1, 2)
        except netobj.ConnectionLost as exc:
            assert "belongs to the parent process" in str(exc)
            await conn.close()
            os._exit(0)
        os._exit(1)
"""


@pytest.mark.parametrize(
    "end", ["os._exit(0)", "sys.exit(0)", "del thing, conn; sys.exit(0)", USES]
)
def test_a_child_of_a_loop(end: str, port: int) -> None:
    runs(ON_LOOP.replace("HERE", end.strip()), port)
