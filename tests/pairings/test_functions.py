"""Services of registered functions, called from and served by both skins."""

from __future__ import annotations

import asyncio
import functools
import math
import os
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import netobj
from netobj import aio
from netobj.errors import AccessDenied, Busy, WorkerCrashed
from pairings import Pair, Pairing, wait_until
from patience import HANG


class Account:
    """An object that a service has in it."""

    def __init__(self) -> None:
        self.balance = 0

    @netobj.exposed
    def deposit(self, amount: int) -> int:
        """Put *amount* into it."""
        self.balance += amount
        return self.balance

    def exposed_total(self) -> int:
        return self.balance

    async def wait(self) -> str:
        await asyncio.sleep(0)
        return "waited"

    def close(self) -> str:
        return "closed"


class Parts:
    """What tests look at of the service: gates that let go who waits."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.began = threading.Semaphore(0)


def make(parts: Parts) -> netobj.FunctionService:
    """Twenty functions of every kind."""
    svc = netobj.FunctionService("calc", processes=1)

    @svc.register
    def add(a: int, b: int = 1) -> int:
        """Add two numbers."""
        return a + b

    @svc.register(name="twice")
    def _double(x: Any) -> Any:
        return 2 * x

    @svc.register
    async def later(x: Any) -> Any:
        await asyncio.sleep(0)
        return x

    @svc.register
    def count(n: int) -> Iterator[int]:
        yield from range(n)

    @svc.register
    async def count_later(n: int) -> AsyncIterator[int]:
        for i in range(n):
            await asyncio.sleep(0)
            yield i

    @svc.register(limit=1)
    def busy() -> str:
        parts.began.release()
        assert parts.gate.wait(HANG)
        return "done"

    @svc.register(timeout=0.01)
    async def late() -> None:
        await asyncio.Event().wait()

    @svc.register(group="texts")
    def upper(text: str) -> str:
        return text.upper()

    @svc.register(group="texts.deep")
    async def lower(text: str) -> str:
        return text.lower()

    @svc.register(group="texts.deep")
    def letters(text: str) -> Iterator[str]:
        yield from text

    @svc.register(run="thread")
    def thread() -> int:
        return threading.get_ident()

    @svc.register(run="loop")
    def loop() -> bool:
        return asyncio.get_running_loop() is not None

    @svc.register(by_value=True)
    def rows() -> list[int]:
        return [1, 2, 3]

    @svc.register(arguments_by_value=True)
    def total(numbers: list[int]) -> int:
        assert type(numbers) is list
        return sum(numbers)

    @svc.register(concurrent=True)
    def beside() -> str:
        return "beside"

    @svc.register(local_only=True)
    def here() -> str:
        return "here"

    svc.register(lambda x: x + 1, name="next", doc="The next number.")
    svc.register(len)
    svc.register(functools.partial(add, 10), name="add_ten")
    svc.register(Account().deposit, name="deposit_elsewhere")
    svc.register(Account().wait)
    svc.register(math.factorial, run="process")
    svc.register(os._exit, name="crash", run="process")
    svc.mount("account", Account())
    svc.mount("texts.account", Account(), public=True)
    inner = netobj.FunctionService("inner")
    inner.register(abs)
    svc.mount("inner", inner)
    return svc


@pytest.fixture
def calc(pairing: Pairing) -> tuple[Pair, Parts]:
    parts = Parts()
    return pairing.join(make(parts)), parts


@pytest.mark.parametrize(
    ("path", "args", "expected"),
    [
        ("add", (1,), 2),
        ("add", (1, 2), 3),
        ("twice", ("ab",), "abab"),
        ("later", (5,), 5),
        ("thread", None, None),
        ("loop", (), True),
        ("beside", (), "beside"),
        ("here", (), "here"),
        ("next", (1,), 2),
        ("len", ("abc",), 3),
        ("add_ten", (5,), 15),
        ("deposit_elsewhere", (5,), 5),
        ("wait", (), "waited"),
        ("texts.upper", ("a",), "A"),
        ("texts.deep.lower", ("A",), "a"),
        ("account.deposit", (5,), 5),
        ("account.total", (), 0),
        ("texts.account.close", (), "closed"),
        ("texts.account.wait", (), "waited"),
        ("inner.abs", (-1,), 1),
        ("get_service_name", (), "CALC"),
    ],
)
def test_functions_of_every_kind(
    calc: tuple[Pair, Parts], path: str, args: tuple[Any, ...] | None, expected: Any
) -> None:
    pair, _parts = calc
    method: Any = pair.root
    for name in path.split("."):
        method = getattr(method, name)
    if args is None:
        assert pair.get(method()) != threading.get_ident()
    else:
        assert pair.get(method(*args)) == expected


@pytest.mark.parametrize("name", ["count", "count_later"])
def test_generators_are_streams(calc: tuple[Pair, Parts], name: str) -> None:
    pair, _parts = calc
    assert list(pair.items(pair.get(getattr(pair.root, name)(4)))) == [0, 1, 2, 3]


def test_generators_in_groups(calc: tuple[Pair, Parts]) -> None:
    pair, _parts = calc
    assert list(pair.items(pair.get(pair.root.texts.deep.letters("abc")))) == ["a", "b", "c"]


def test_limits_and_time_limits(calc: tuple[Pair, Parts]) -> None:
    pair, parts = calc
    call = pair.start(pair.root.busy)
    assert parts.began.acquire(timeout=HANG)
    with pytest.raises(Busy, match=r"runs 1 calls of calc\.busy, which is its limit"):
        pair.get(pair.root.busy())
    parts.gate.set()
    assert call.result() == "done"
    with pytest.raises(TimeoutError, match=r"calc\.late ran longer"):
        pair.get(pair.root.late())


def test_a_process_that_crashes_fails_its_call_and_the_next_works(
    calc: tuple[Pair, Parts],
) -> None:
    pair, _parts = calc
    assert pair.get(pair.root.factorial(20)) == math.factorial(20)
    with pytest.raises(WorkerCrashed, match=r"calc\.crash"):
        pair.get(pair.root.crash(3))
    assert pair.get(pair.root.factorial(5)) == 120
    with pytest.raises(ValueError, match="negative"):
        pair.get(pair.root.factorial(-1))


def test_what_belongs_to_the_peer_does_not_go_to_a_process(pairing: Pairing) -> None:
    config = {"log_exceptions": False}  # a log keeps the frames, and what is in them
    pair = pairing.join(make(Parts()), config=config)
    with pytest.raises(TypeError, match=r"calc\.factorial runs in another process"):
        pair.get(pair.root.factorial(pair.function(lambda: iter(()))))


def test_the_names_are_shown(calc: tuple[Pair, Parts]) -> None:
    pair, _parts = calc
    names = pair.act("dir", pair.root)
    assert {"add", "twice", "texts", "account", "inner"} <= set(names)
    assert "_double" not in names
    assert "register" not in names
    assert "mount" not in names


def test_other_names_are_refused(calc: tuple[Pair, Parts]) -> None:
    pair, _parts = calc
    for name in ("register", "mount", "_double", "PROCESSES", "nothing"):
        with pytest.raises(AccessDenied):
            pair.get(getattr(pair.root, name))
    with pytest.raises(AccessDenied):
        pair.get(pair.root.texts.nothing())
    with pytest.raises(AccessDenied):
        pair.get(pair.root.account.close())


def test_what_is_for_this_machine_is_not_there_for_others(pairing: Pairing) -> None:
    svc = make(Parts())
    elsewhere = (("10.0.0.1", 1), ("10.0.0.2", 2))
    near, far = pairing.join(svc), pairing.join(svc, config={"endpoints": elsewhere})
    assert near.get(near.root.here()) == "here"
    with pytest.raises(AccessDenied) as refused:
        far.get(far.root.here())
    with pytest.raises(AccessDenied) as unknown:
        far.get(far.root.nowhere())
    assert str(refused.value) == str(unknown.value).replace("nowhere", "here")
    assert "here" in near.act("dir", near.root)
    assert "here" not in far.act("dir", far.root)
    for pair, seen in ((near, True), (far, False)):
        handle = pair.root.____handle__
        assert ("here" in handle.imported.description.methods) is seen


def test_who_was_given_what_he_cannot_see_may_not_call_it(pairing: Pairing) -> None:
    @netobj.exposed(local_only=True)
    def secret() -> str:
        return "secret"

    svc = netobj.FunctionService("calc")
    svc.register(lambda: secret, name="give")
    elsewhere = (("10.0.0.1", 1), ("10.0.0.2", 2))
    far = pairing.join(svc, config={"endpoints": elsewhere})
    function = far.get(far.root.give())
    with pytest.raises(AccessDenied, match="refuses to call"):
        far.get(function())


def test_a_function_in_a_group_takes_one_round_trip(calc: tuple[Pair, Parts]) -> None:
    pair, _parts = calc
    root = pair.root
    sequence = pair.client.connection.session._sequence
    before = next(sequence)
    assert pair.get(root.texts.deep.lower("A")) == "a"
    assert next(sequence) == before + 2  # its request, and what this looks with


def test_what_is_registered_later_is_there_for_new_connections(pairing: Pairing) -> None:
    svc = netobj.FunctionService("calc")
    pair = pairing.join(svc)
    svc.register(len)
    svc.register(abs, group="numbers")
    assert pair.get(pair.root.len("abc")) == 3
    other = pairing.connect(pair.server.port)
    assert other.get(other.root.len("abc")) == 3
    assert other.get(other.root.numbers.abs(-3)) == 3
    other.close()


@pytest.mark.parametrize("skin", ["blocking", "aio"])
def test_the_limit_is_exact_under_many_calls(skin: str) -> None:
    """64 threads, and 1,000 calls of an event loop: never more than 4 inside, and none is lost."""
    svc = netobj.FunctionService("calc")
    lock = threading.Lock()
    inside, most, ever = 0, 0, 0
    four = threading.Barrier(4)  # nobody leaves before there are four

    @svc.register(limit=4, queue=1000, concurrent=True)
    def work() -> None:
        nonlocal inside, most, ever
        with lock:
            inside += 1
            ever += 1
            most = max(most, inside)
        four.wait(HANG)
        with lock:
            inside -= 1

    async def go() -> None:
        async with (
            aio.Server(svc, "127.0.0.1") as server,
            aio.connect("127.0.0.1", server.port) as conn,
        ):
            await asyncio.gather(*(conn.root.work() for _ in range(1000)))

    if skin == "aio":
        asyncio.run(go())
        assert ever == 1000
    else:
        with netobj.ThreadedServer(svc, hostname="127.0.0.1") as server:
            connections = [netobj.connect("127.0.0.1", server.port) for _ in range(64)]
            threads = [threading.Thread(target=conn.root.work) for conn in connections]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(HANG)
            for conn in connections:
                conn.close()
        assert ever == 64
    assert (inside, most) == (0, 4)


def test_a_server_that_closes_ends_the_processes(pairing: Pairing) -> None:
    svc = netobj.FunctionService("calc", processes=1)
    svc.register(os.getpid, run="process")
    pair = pairing.join(svc)
    child = pair.get(pair.root.getpid())
    assert child != os.getpid()
    pair.server.close()
    wait_until(lambda: not os.path.exists(f"/proc/{child}") or _is_zombie(child))


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
