"""A process that ends with calls under way: soon, and without a word."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

import netobj

HEAD = """
import asyncio, atexit, sys, threading, time
import netobj
from netobj import aio

PORT = int(sys.argv[1])

class S(netobj.Service):
    @netobj.exposed
    def wait(self): time.sleep(3600)
    @netobj.exposed
    async def wait_async(self): await asyncio.sleep(3600)
    @netobj.exposed
    def call(self, callback): return callback()

async def awaited(node):
    return await node

def in_threads(count, function, *args):
    for _ in range(count):
        threading.Thread(target=function, args=args, daemon=True).start()

def until(condition):
    while not condition():
        time.sleep(0.001)
"""
ASK = HEAD + "conn = netobj.connect('127.0.0.1', PORT)\n"
PROGRAMS = {
    "daemon threads wait": """
in_threads(20, conn.root.wait)
until(lambda: len(conn.session.pending) == 20)
""",
    "other threads wait": """
for _ in range(20):
    threading.Thread(target=conn.root.nap).start()
""",
    "callbacks wait": """
results = [netobj.async_(conn.root.wait)() for _ in range(50)]
for result in results:
    result.add_callback(lambda result: result.value)
""",
    "futures wait": """
future = netobj.async_(conn.root.wait)().future()
timed = netobj.timed(conn.root.wait, 3600)().future()
""",
    "proxies are held": """
things = [conn.root.thing() for _ in range(100)]
sys.modules["a proxy"] = conn.root.thing()
local = threading.local()
local.thing = conn.root.thing()
""",
    "proxies in cycles": """
class Held: pass
for _ in range(100):
    held = Held()
    held.thing, held.held, held.conn = conn.root.thing(), held, conn
""",
    "finalizers that call": """
class Calls:
    def __init__(self): self.thing = conn.root.thing()
    def __del__(self):
        try:
            self.thing.touch()
        except EOFError:  # netobj's own may be gone
            pass
one, other = Calls(), Calls()
other.itself = other
""",
    "finalizers that close": """
class Closes:
    def __init__(self, conn): self.conn = conn
    def __del__(self): self.conn.close()
conn.closer = Closes(conn)
others = [Closes(netobj.connect('127.0.0.1', PORT)) for _ in range(10)]
""",
    "calls at exit": """
import os
thing = conn.root.thing()
def bye():
    thing.touch()
    conn.close()
atexit.register(bye)
""",
    "callbacks run": """
def callback(): time.sleep(3600)
in_threads(1, conn.root.call, callback)
netobj.async_(conn.root.call)(callback)
until(lambda: len(conn.session.running) == 2)
""",
    "an async callback runs": """
async def callback(): await asyncio.sleep(3600)
result = netobj.async_(conn.root.call_async)(callback)
until(lambda: conn.session.running)
""",
    "a storm of callbacks": """
def work():
    while True: conn.root.call(lambda: 1)
in_threads(8, work)
time.sleep(0.2)
""",
    "a storm of results": """
def work():
    ask = netobj.async_(conn.root.call)
    while True:
        results = [ask(lambda: 1) for _ in range(50)]
        for result in results: result.add_callback(lambda result: None)
        results[-1].wait()
in_threads(8, work)
time.sleep(0.2)
""",
    "streams flow": """
def work():
    for _ in conn.root.stream(): pass
in_threads(4, work)
held = iter(conn.root.stream())
next(held)
""",
    "servers serve": """
for kind in (netobj.ThreadedServer, netobj.ThreadPoolServer, netobj.AsyncServer):
    server = kind(S, hostname="127.0.0.1")
    server.__enter__()
    here = netobj.connect("127.0.0.1", server.port)
    in_threads(2, here.root.wait)
    in_threads(2, here.root.wait_async)
    netobj.async_(here.root.call)(lambda: time.sleep(3600))
    until(lambda: sum(len(one.calls) for one in server.connections) >= 5)
""",
    "an exit amid it": """
netobj.async_(conn.root.wait)()
sys.exit(0)
""",
}
ON_LOOP = {
    "tasks wait": """
async def main():
    conn = await aio.connect("127.0.0.1", PORT)
    tasks = [asyncio.create_task(awaited(conn.root.wait())) for _ in range(20)]
    while len(conn.session.pending) < 20: await asyncio.sleep(0.001)
asyncio.run(main())
""",
    "the loop is closed": """
loop = asyncio.new_event_loop()
async def main():
    global conn, things, call
    conn = await aio.connect("127.0.0.1", PORT)
    things = [await conn.root.thing() for _ in range(10)]
    call = asyncio.ensure_future(awaited(conn.root.wait()))
    await asyncio.sleep(0.05)
    call.cancel()
    await asyncio.wait((call,))
loop.run_until_complete(main())
loop.close()
del things
""",
    "a loop in a daemon thread": """
async def main():
    global conn
    conn = await aio.connect("127.0.0.1", PORT)
    await asyncio.gather(*[awaited(conn.root.wait()) for _ in range(20)])
conn = None
in_threads(1, asyncio.run, main())
until(lambda: conn and len(conn.session.pending) == 20)
""",
    "a stream flows": """
async def main():
    global held
    conn = await aio.connect("127.0.0.1", PORT)
    async for item in conn.root.stream():
        if item == 10: break
    held = conn.root.stream().__aiter__(), conn
    await held[0].__anext__()
asyncio.run(main())
""",
    "a server serves": """
def blocked(): time.sleep(3600)
async def main():
    server = aio.Server(S, "127.0.0.1")
    await server.start()
    conn = await aio.connect("127.0.0.1", server.port)
    calls = [conn.root.wait(), conn.root.wait_async()]
    calls.append(conn.root.call(netobj.exposed(slow=True)(blocked)))
    tasks = [asyncio.create_task(awaited(call)) for call in calls]
    while sum(len(one.calls) for one in server.connections) < 3: await asyncio.sleep(0.001)
asyncio.run(main())
""",
}


class Patient(netobj.Service):
    @netobj.exposed
    def wait(self) -> None:
        netobj.current_call().connection.wait_closed()

    @netobj.exposed(concurrent=True)
    def nap(self) -> None:
        netobj.current_call().connection.ping()

    @netobj.exposed
    def thing(self) -> Patient:
        return Patient()

    @netobj.exposed
    def touch(self) -> None:
        pass

    @netobj.exposed(concurrent=True)
    def call(self, callback: object) -> object:
        return callback()  # type: ignore[operator]

    @netobj.exposed
    async def call_async(self, callback: object) -> object:
        return await callback()  # type: ignore[operator]

    @netobj.exposed(stream=True)
    def stream(self) -> Iterator[int]:
        yield from range(10**9)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    config = {"log_exceptions": False}
    with netobj.ThreadedServer(Patient, hostname="127.0.0.1", protocol_config=config) as server:
        yield server.port


def leaves(program: str, port: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", program, str(port)],
        capture_output=True,
        text=True,
        timeout=60,  # for hangs only
        check=False,
    )
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "")


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_process_with_connections(name: str, port: int) -> None:
    leaves(ASK + PROGRAMS[name], port)


@pytest.mark.parametrize("name", ON_LOOP)
def test_a_process_with_a_loop(name: str, port: int) -> None:
    leaves(HEAD + ON_LOOP[name], port)
