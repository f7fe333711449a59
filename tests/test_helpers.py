from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import netobj
from netobj import helpers


@pytest.fixture
def conn() -> Iterator[netobj.Connection]:
    with netobj.connect_thread(remote_service=netobj.SlaveService) as connection:
        yield connection


# --- async_ and timed ---------------------------------------------------------------------------


def test_async_needs_a_remote_object(conn: netobj.Connection) -> None:
    with pytest.raises(TypeError, match="async_ needs a remote object, not a 'builtin_function"):
        netobj.async_(len)
    with pytest.raises(TypeError, match="needs a remote object"):
        netobj.timed(print, 1)


def test_timed_is_not_for_what_is_awaited() -> None:
    async def main() -> None:
        async with (
            netobj.aio.Server(netobj.SlaveService, "localhost") as server,
            netobj.aio.connect("localhost", server.port) as conn,
        ):
            with pytest.raises(TypeError, match=r"await its call in a `with netobj\.deadline"):
                netobj.timed(conn.root.eval, 1)

    asyncio.run(main())


def test_async_of_functions_methods_and_wrappers(conn: netobj.Connection) -> None:
    function = conn.root.eval("lambda *a, **k: (a, k)")
    a, k = netobj.async_(function)(1, x=2).value
    assert (a, netobj.copy_of(k)) == ((1,), {"x": 2})
    items = conn.root.eval("[3, 1, 2]")
    netobj.async_(items.sort)(reverse=True).wait()
    assert list(items) == [3, 2, 1]
    wrapper = netobj.async_(items.pop)
    assert netobj.async_(wrapper)().value == 1
    assert repr(wrapper).startswith("async_(")


def test_a_call_is_not_lost_when_nobody_keeps_anything(conn: netobj.Connection) -> None:
    called = threading.Event()
    netobj.async_(conn.root.eval("lambda f: f()"))(called.set)
    assert called.wait(20)


def test_async_leads_on_by_attributes_and_items(conn: netobj.Connection) -> None:
    conn.root.execute("class Box:\n    def __init__(self): self.items = {'a': [3, 1, 2]}")
    box = conn.root.eval("Box()")
    further = netobj.async_(box).items["a"].index
    assert further(1).value == 1
    assert further(2).value == 2
    assert repr(further) == f"async_({box!r}).items['a'].index"
    assert further.proxy is box
    assert netobj.async_(box.items)["a"].count(3).value == 1
    assert netobj.async_(netobj.async_(box).items).get("b", 7).value == 7
    assert netobj.timed(netobj.async_(box).items.get, 20)("b", 8).value == 8


def test_async_of_a_result_that_is_not_there_yet(conn: netobj.Connection) -> None:
    conn.root.execute("class Box:\n    def __init__(self): self.items = {'a': [3, 1, 2]}")
    box = netobj.async_(conn.root).eval("Box")
    made = netobj.async_(box)()
    items = netobj.async_(made).items
    pop = items["a"].pop
    assert [pop().value, pop(0).value] == [2, 3]
    with pytest.raises(AttributeError):
        netobj.async_(made).nothing().value  # noqa: B018


def test_awaiting_async_reads(conn: netobj.Connection) -> None:
    numbers = conn.root.eval("[3, 1, 2]")

    async def main() -> tuple[int, int]:
        return await netobj.async_(numbers)[1], await netobj.async_(conn.root.eval("3j")).imag

    async def item() -> int:
        value: int = await netobj.async_(numbers)[1]
        return value

    assert asyncio.run(item()) == 1
    with pytest.raises(TypeError, match="not a 'complex'"):
        asyncio.run(main())


def test_what_async_does_not_lead_to(conn: netobj.Connection) -> None:
    wrapper = netobj.async_(conn.root)
    with pytest.raises(AttributeError, match="begin with '_'"):
        wrapper._private  # noqa: B018
    with pytest.raises(AttributeError):
        wrapper.name = 1  # type: ignore[assignment]
    with pytest.raises(TypeError):
        iter(wrapper)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        1 in wrapper  # type: ignore[operator]  # noqa: B015


# --- buffiter -----------------------------------------------------------------------------------


def test_async_of_what_is_awaited_anyway_is_that() -> None:
    async def main() -> None:
        async with (
            netobj.aio.Server(netobj.SlaveService, "localhost") as server,
            netobj.aio.connect("localhost", server.port) as conn,
        ):
            reference = conn.root
            assert netobj.async_(reference) is reference
            function = reference.eval
            assert netobj.async_(function) is function
            call = function("6 * 7")
            assert netobj.async_(call) is call
            assert await netobj.async_(function)("6 * 7") == await call == 42

    asyncio.run(main())


def test_buffiter(conn: netobj.Connection) -> None:
    conn.root.execute("def count(n):\n    for i in range(n): yield i")
    count = conn.root.eval("count")
    for size in (0, 1, 9, 10, 11, 500):
        assert list(netobj.buffiter(count(size))) == list(range(size))
    assert list(netobj.buffiter(count(50), chunk=1, max_chunk=1, factor=1)) == list(range(50))
    assert list(netobj.buffiter(conn.root.eval("[1, 2, 3]"))) == [1, 2, 3]
    assert list(netobj.buffiter([1, 2])) == [1, 2]


@pytest.mark.parametrize("numbers", [(0, 10, 2), (5, 4, 2), (1, 10, 0.5)])
def test_buffiter_refuses_nonsense(conn: netobj.Connection, numbers: Any) -> None:
    with pytest.raises(ValueError, match="buffiter"):
        netobj.buffiter(conn.root.eval("[]"), *numbers)


def test_buffiter_takes_few_round_trips(
    conn: netobj.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = conn.root.eval("iter(range(1000))")
    requests: list[int] = []
    request = conn.request
    monkeypatch.setattr(
        conn, "request", lambda op, *rest, **more: requests.append(op) or request(op, *rest, **more)
    )
    assert sum(netobj.buffiter(items, chunk=100, factor=2)) == 499_500
    assert len(requests) <= 6


def test_an_error_of_the_iterator_comes_after_its_items(conn: netobj.Connection) -> None:
    conn.root.execute("def fail():\n    yield 1\n    yield 2\n    raise LookupError('third')")
    items = netobj.buffiter(conn.root.eval("fail")())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(LookupError, match="third"):
        next(items)


# --- copy_of ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "[1, 'two', b'three', None, 4.5, (6, [7])]",
        "{'a': {1: [2, {3}]}, (4, 5): frozenset({6})}",
        "bytearray(b'abc')",
        "({1, 2}, [3])",
        "[10 ** 50, 1j, slice(1, 2), range(3), ...]",
    ],
)
def test_copies_are_equal_and_of_the_same_types(conn: netobj.Connection, text: str) -> None:
    copy = netobj.copy_of(conn.root.eval(text))
    expected = eval(text)
    assert copy == expected
    assert type(copy) is type(expected)
    assert repr(copy) == repr(expected)


def test_references_inside_a_copy_stay_references(conn: netobj.Connection) -> None:
    conn.root.execute("class Thing:\n    x = 1\nthing = Thing()")
    copy = netobj.copy_of(conn.root.eval("{'thing': thing, 'list': [thing, 2]}"))
    assert type(copy) is dict
    assert type(copy["list"]) is list
    assert copy["thing"] is copy["list"][0]
    assert copy["thing"].x == 1


def test_a_copy_of_what_is_no_plain_data(conn: netobj.Connection) -> None:
    with pytest.raises(netobj.NotEncodable, match="copy_of copies plain data"):
        netobj.copy_of(conn.root.eval("object()"))


def test_a_copy_larger_than_a_frame(conn: netobj.Connection) -> None:
    copy = netobj.copy_of(conn.root.eval("[str(i) * 10 for i in range(400_000)]"))
    assert len(copy) == 400_000
    assert copy[-1] == "399999" * 10


def test_a_local_value_is_its_own_copy() -> None:
    value = [1]
    assert netobj.copy_of(value) is value


# --- restricted ---------------------------------------------------------------------------------


class Account:
    def __init__(self) -> None:
        self.balance = 1
        self.secret = 2

    def pay(self) -> str:
        return "paid"


def test_restricted_here() -> None:
    view = netobj.restricted(Account(), ["balance", "pay"], ["balance"])
    assert view.balance == 1
    assert view.pay() == "paid"
    view.balance = 5
    assert view.balance == 5
    with pytest.raises(AttributeError, match="'secret' of a restricted object cannot be read"):
        view.secret  # noqa: B018
    with pytest.raises(netobj.AccessDenied, match="'pay' of a restricted object cannot be set"):
        view.pay = None


def test_two_views_of_one_class_from_the_other_side() -> None:
    account = Account()

    class Bank(netobj.Service):
        def exposed_views(self) -> tuple[Any, Any]:
            return (
                netobj.restricted(account, ["balance"]),
                netobj.restricted(account, ["pay", "secret"], []),
            )

    with netobj.connect_thread(remote_service=Bank) as conn:
        one, other = conn.root.views()
        assert one.balance == 1
        one.balance = 7
        assert account.balance == 7
        assert other.pay() == "paid"
        assert other.secret == 2
        for view, name in ((one, "pay"), (one, "secret"), (other, "balance")):
            with pytest.raises(AttributeError, match=name):
                getattr(view, name)
        with pytest.raises(AttributeError, match="secret"):
            other.secret = 3
        with pytest.raises(AttributeError):
            one.__netobj_object__  # noqa: B018
        assert account.secret == 2


# --- BgServingThread, classpartial and the rest -------------------------------------------------


def test_a_background_thread_serves_by_hand() -> None:
    with netobj.connect_thread(config={"serve": "caller"}, remote_service=netobj.SlaveService) as c:
        names: list[str] = []
        called = threading.Event()

        def event() -> None:
            names.append(threading.current_thread().name)
            called.set()

        serving = netobj.BgServingThread(c)
        c.root.execute("import threading")
        c.root.eval("lambda f: threading.Thread(target=f).start()")(event)
        assert called.wait(20)
        assert names == ["netobj serving"]
        serving.stop()
        with pytest.raises(RuntimeError, match="stopped before"):
            serving.stop()
        assert not c.closed


@pytest.mark.parametrize("serve", ["auto", "caller"])
def test_a_background_thread_tells_of_the_end(serve: str) -> None:
    told = threading.Event()
    conn = netobj.connect_thread(config={"serve": serve}, remote_service=netobj.SlaveService)
    serving = netobj.BgServingThread(conn, told.set)
    conn.close()
    assert told.wait(20)
    serving.stop()


def test_classpartial_for_a_service_with_arguments() -> None:
    class Numbered(netobj.Service):
        ALIASES = ("NUM",)

        def __init__(self, number: int, *, step: int) -> None:
            self.number, self.step = number, step

        def exposed_next(self) -> int:
            self.number += self.step
            return self.number

    service = netobj.classpartial(Numbered, 10, step=5)
    assert issubclass(service, Numbered)
    assert service.__name__ == "Numbered"
    assert service.get_service_name() == "NUM"
    for _ in range(2):  # an instance for each connection
        with netobj.connect_thread(remote_service=service) as conn:
            assert conn.root.next() == 15


def test_spawn() -> None:
    done = threading.Event()
    thread = helpers.spawn(done.set)
    assert done.wait(20)
    assert thread.daemon
    thread.join()


def test_setup_logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    level = root.level
    path = tmp_path / "log"
    try:
        logger = helpers.setup_logger(quiet=True, logfile=str(path))
        assert logger.name == "netobj"
        logger.info("not this")
        logger.error("but this")
        assert "but this" in path.read_text()
        assert "not this" not in path.read_text()
    finally:
        for handler in root.handlers:
            handler.close()
        root.setLevel(level)
