from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import pickle
import unittest.mock
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from looped import counted, joined, relayed, run, until

import netobj
from netobj import aio

NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Balance:
    def __init__(self, amount: int) -> None:
        self.amount = amount

    @netobj.exposed
    async def add(self, amount: int) -> int:
        self.amount += amount
        return self.amount

    @netobj.exposed
    def next(self) -> Balance:
        return Balance(self.amount + 1)

    @netobj.exposed
    def value(self) -> int:
        return self.amount


class Account:
    def __init__(self) -> None:
        self.exposed_balance = Balance(10)


class Held:
    def __init__(self, log: list[str]) -> None:
        self.log = log

    def __enter__(self) -> str:
        self.log.append("enter")
        return "inside"

    def __exit__(self, kind: Any, exc: Any, traceback: Any) -> bool:
        self.log.append(f"exit {kind.__name__ if kind else None}")
        return kind is LookupError


class HeldAsync(Held):
    async def __aenter__(self) -> str:
        return self.__enter__()

    async def __aexit__(self, kind: Any, exc: Any, traceback: Any) -> bool:
        return self.__exit__(kind, exc, traceback)


class Bank(netobj.Service):
    def __init__(self) -> None:
        self.exposed_accounts = {"alice": Account()}
        self.opened = 0
        self.log: list[int] = []
        self.notes: list[str] = []
        self.gate = asyncio.Event()

    @netobj.exposed
    async def open(self, amount: int = 1) -> Balance:
        self.opened += 1
        return Balance(amount)

    @netobj.exposed
    async def open_late(self) -> Balance:
        self.opened += 1
        await self.gate.wait()
        return Balance(1)

    @netobj.exposed
    async def late(self) -> int:
        self.opened += 1
        await self.gate.wait()
        return 5

    @netobj.exposed
    async def go(self) -> None:
        self.gate.set()

    @netobj.exposed
    async def double(self, value: int, more: int = 0) -> int:
        return 2 * value + more

    @netobj.exposed
    async def text(self) -> str:
        return "text"

    @netobj.exposed
    async def fail(self) -> Balance:
        self.opened += 1
        raise LookupError("there is none")

    @netobj.exposed
    def numbers(self) -> list[int]:
        return list(range(1000))

    @netobj.exposed
    def pulled(self) -> Iterator[int]:
        return counted(self.log, 100)

    @netobj.exposed(stream=True)
    def streamed(self) -> Iterator[int]:
        return counted(self.log, 100_000)

    @netobj.exposed
    async def agen(self) -> AsyncIterator[int]:
        try:
            for number in range(3):
                self.log.append((yield number) or 0)
        except LookupError as exc:
            self.notes.append(repr(exc))
            yield 99
        finally:
            self.log.append(-1)

    @netobj.exposed
    def gen(self) -> Iterator[int]:
        got = yield 1
        try:
            got = yield got + 1
        except LookupError as exc:
            self.notes.append(repr(exc))
            got = yield 99
        finally:
            self.log.append(-1)
        return 7

    @netobj.exposed
    def held(self) -> Held:
        return Held(self.notes)

    @netobj.exposed
    def held_async(self) -> Held:
        return HeldAsync(self.notes)


def test_an_expression_is_one_round_trip_also_together_with_connecting(new_loop: NewLoop) -> None:
    async def main() -> None:
        async with relayed(Bank()) as (conn, relay):
            assert await conn.root.accounts["alice"].balance.add(5) == 15
            assert relay.round_trips == 1
            relay.forget()
            assert await conn.root.accounts["alice"].balance.add(5) == 20
            assert relay.round_trips == 1

    run(main(), new_loop)


def test_ten_dependent_calls_are_one_round_trip() -> None:
    async def main() -> None:
        async with relayed(Bank()) as (conn, relay):
            await conn.root.text()
            relay.forget()
            node = conn.root.open()
            for _ in range(8):
                node = node.next()
            assert await node.value() == 9
            assert relay.round_trips == 1

    run(main())


def test_a_long_chain_does_not_recurse() -> None:
    async def main() -> None:
        async with joined(Bank()) as pair:
            node = pair.root.open()
            for _ in range(900):
                node = node.next()
            assert await node.value() == 901
            del node

    run(main())


@pytest.mark.parametrize("opening", ["open", "open_late"])
def test_a_call_is_sent_once_however_often_it_is_used(opening: str, new_loop: NewLoop) -> None:
    async def main() -> None:
        bank = Bank()
        bank.gate.set()
        async with joined(bank) as pair:
            node = getattr(pair.root, opening)()
            assert "not sent" in repr(node)
            first = await asyncio.gather(node.add(1), node.add(1), node)
            assert sorted(first[:2]) == [2, 3]
            assert await node is first[2]
            assert await node.add(1) == 4
            assert bank.opened == 1
            assert "done" in repr(node)
            del node, first

    run(main(), new_loop)


def test_a_call_under_way_can_be_built_upon() -> None:
    async def main() -> None:
        bank = Bank()
        async with joined(bank) as pair:
            node = pair.root.open_late()  # awaited first, so the answer is not kept over there
            task = asyncio.create_task(_await(node))
            await until(lambda: bank.opened)
            assert "under way" in repr(node)
            more = asyncio.create_task(_await(node.add(1)))
            as_argument = asyncio.create_task(_await(pair.root.double(more=0, value=node.value())))
            path = asyncio.create_task(_await(node.value))
            await pair.root.go()
            assert await more == 2
            await task
            await path
            assert await as_argument in (2, 4)
            assert bank.opened == 1
            del node, task, more, as_argument, path

    run(main())


async def _await(node: Any) -> Any:
    return await node


def test_values_that_were_answered_can_be_built_upon() -> None:
    async def main() -> None:
        async with joined(Bank(), server_config={"allow_all_attrs": True}) as pair:
            early = pair.root.text()
            assert await early.upper() == "TEXT"
            assert await early.upper() == "TEXT"
            late = pair.root.text()
            await late
            assert await late.upper() == "TEXT"
            del early, late

    run(main())


def test_a_pending_call_is_an_argument() -> None:
    async def main() -> None:
        async with relayed(Bank()) as (conn, relay):
            root = conn.root
            await root.text()
            relay.forget()
            assert await root.double(root.double(root.double(1)), more=root.double(2)) == 12
            assert relay.round_trips == 1
            pending = root.double(1)
            assert await root.double(pending) == 4
            assert await root.double(pending) == 4
            assert await pending == 2
            assert await root.double(root.accounts["alice"].balance.value()) == 20

    run(main())


def test_a_path_is_an_argument_too() -> None:
    async def main() -> None:
        bank = Bank()
        bank.exposed_number = 4  # type: ignore[attr-defined]
        async with joined(bank) as pair:
            assert await pair.root.double(pair.root.number) == 8
            node = pair.root.open_late()
            task = asyncio.create_task(_await(node))
            await until(lambda: bank.opened)
            passed = asyncio.create_task(_await(pair.root.echo(node.value)))
            await pair.root.go()
            await task
            with pytest.raises(AttributeError):
                await passed
            del node, task, passed

    run(main())


def test_a_pending_call_of_another_connection_is_refused() -> None:
    async def main() -> None:
        bank = Bank()
        async with joined(Bank()) as pair, joined(bank) as other:
            pending = other.root.open()
            with pytest.raises(netobj.NotEncodable, match="another connection: await it before"):
                await pair.root.double(pending)
            assert bank.opened == 0
            number = other.root.double(1)
            assert await number == 2
            assert await pair.root.double(number) == 4
            text = pair.root.text()
            with pytest.raises(netobj.NotEncodable, match="inside of another value"):
                await pair.root.double((text,))
            await text
            await pending
            del pending, text

    run(main())


def test_what_is_built_upon_a_failed_call_fails_with_its_error() -> None:
    async def main() -> None:
        bank = Bank()
        async with joined(bank) as pair:
            node = pair.root.fail()
            results = await asyncio.gather(
                node.add(1), pair.root.double(node.value()), node, return_exceptions=True
            )
            assert [type(result) for result in results] == [LookupError] * 3
            with pytest.raises(LookupError, match="there is none"):
                await node.add(1)
            with pytest.raises(LookupError, match="there is none"):
                await pair.root.double(more=node, value=1)
            assert bank.opened == 1
            del node, results

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # they were awaited, though they were not sent
        run(main())


def test_the_traceback_of_an_error_does_not_grow() -> None:
    async def main() -> None:
        async with joined(Bank()) as pair:
            node = pair.root.fail()
            lengths = set()
            for _ in range(3):
                with pytest.raises(LookupError) as info:
                    await node
                lengths.add(len(info.traceback))
            assert len(lengths) == 1
            del node, info

    run(main())


def test_a_call_that_is_never_awaited_warns() -> None:
    async def main() -> None:
        bank = Bank()
        async with joined(bank) as pair:
            with pytest.warns(RuntimeWarning, match=r"root.open\(\.\.\.\) was never awaited"):
                pair.root.open()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                await pair.root.open().next().next()
                pair.root.accounts["alice"]  # only a path
                gc.collect()
            with pytest.warns(RuntimeWarning, match="never awaited"):
                pair.root.open().next()
            assert bank.opened == 1

    run(main())


@pytest.mark.parametrize(
    ("attempt", "error", "text"),
    [
        (bool, TypeError, r"op\.truth"),
        (lambda ref: setattr(ref, "x", 1), AttributeError, r"op\.setattr\(ref, 'x', value\)"),
        (lambda ref: delattr(ref, "x"), AttributeError, r"op\.delattr\(ref, 'x'\)"),
        (lambda ref: ref.__setitem__(1, 2), TypeError, r"op\.setitem"),
        (lambda ref: ref.__delitem__(1), TypeError, r"op\.delitem"),
        (lambda ref: 1 in ref, TypeError, r"op\.contains"),
        (len, TypeError, r"op\.len"),
        (list, TypeError, "async for"),
        (lambda ref: ref + 1, TypeError, r"op\.add"),
        (lambda ref: 1 - ref, TypeError, r"op\.sub"),
        (lambda ref: ref & 1, TypeError, r"op\.and_"),
        (lambda ref: ref < 1, TypeError, r"op\.lt"),
        (lambda ref: divmod(ref, 1), TypeError, r"op\.divmod"),
        (copy.copy, TypeError, r"aio\.copy_of"),
        (copy.deepcopy, TypeError, r"aio\.copy_of"),
        (pickle.dumps, TypeError, r"aio\.copy_of"),
        (lambda ref: ref.__wrapped__, AttributeError, r"op\.getattr"),
        (lambda ref: ref._repr_html_, AttributeError, ""),
        (lambda ref: ref._ipython_display_, AttributeError, ""),
    ],
)
@pytest.mark.parametrize("kind", ["reference", "path", "call"])
def test_what_would_need_io_says_so_at_once(
    kind: str, attempt: Callable[[Any], object], error: type[Exception], text: str
) -> None:
    async def main() -> None:
        async with relayed(Bank()) as (conn, relay):
            ref = await conn.root.open()
            node = {"reference": ref, "path": ref.x, "call": ref.add(1)}[kind]
            relay.forget()
            with pytest.raises(error, match=text):
                attempt(node)
            assert relay.round_trips == 0

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the calls that are not sent
        run(main())


def test_comparison_is_identity_for_references_and_an_error_for_what_is_not_sent() -> None:
    async def main() -> None:
        async with joined(Bank()) as pair:
            one, other = await pair.root.open(), await pair.root.open()
            assert one == one
            assert one != other
            assert len({one, other}) == 2
            path = one.x
            assert path == path
            with pytest.raises(TypeError, match=r"op\.eq"):
                path == one  # noqa: B015
            assert hash(path) == hash(path)
            del one, other, path

    run(main())


def test_introspection_does_no_io() -> None:
    async def main() -> None:
        async with relayed(Bank()) as (conn, relay):
            ref = await conn.root.open()
            call = ref.add(1)
            relay.forget()
            assert {"add", "next", "value"} <= set(dir(ref))
            assert "Balance" in repr(ref)
            assert "Balance.add" in repr(call)
            assert "Balance.a[1].b" in repr(ref.a[1].b)
            assert repr(conn.root) == str(conn.root)
            for node in (ref, ref.x, call):
                assert inspect.isawaitable(node)
                assert not inspect.iscoroutinefunction(node)
                assert not asyncio.iscoroutinefunction(node)
                assert inspect.unwrap(node) is node
                assert not inspect.isclass(node)
                assert callable(node)
                assert isinstance(node, aio.Reference) is (node is ref)
                inspect.getmembers(type(node))
                unittest.mock.call(node)
            assert relay.round_trips == 0
            await call

    run(main())


def test_a_reference_is_awaited_to_itself() -> None:
    async def main() -> None:
        async with joined(Bank()) as pair:
            ref = await pair.root.open()
            assert await ref is ref
            del ref

    run(main())


# --- iteration ----------------------------------------------------------------------------------


def test_a_container_comes_in_chunks() -> None:
    async def main() -> None:
        async with relayed(Bank()) as (conn, relay):
            assert [item async for item in conn.root.numbers()] == list(range(1000))
            assert relay.round_trips <= 8

    run(main())


def test_an_iterator_is_asked_for_one_item_at_a_time() -> None:
    async def main() -> None:
        bank = Bank()
        async with joined(bank) as pair:
            async for item in pair.root.pulled():
                assert bank.log == list(range(item + 1))
                if item == 5:
                    break
            await until(lambda: bank.log[-1] == -1)  # it is let go
            iterator = aiter(pair.root.pulled())
            assert await anext(iterator) == 0
            await iterator.aclose()
            assert bank.log[-1] == -1
            with pytest.raises(StopAsyncIteration):
                await anext(iterator)
            await iterator.aclose()
            del iterator

    run(main())


def test_leaving_a_stream_early_closes_it_at_once() -> None:
    async def main() -> None:
        bank = Bank()
        async with joined(bank) as pair:
            iterator = aiter(pair.root.streamed())
            assert await anext(iterator) == 0
            await iterator.aclose()
            await until(lambda: bank.log[-1] == -1)
            assert len(bank.log) < 1000
            with pytest.raises(StopAsyncIteration):
                await anext(iterator)
            bank.log.clear()
            async for _ in pair.root.streamed():
                break
            await until(lambda: bank.log and bank.log[-1] == -1)
            del iterator

    run(main())


def test_a_value_that_came_whole_is_iterated_here() -> None:
    async def main() -> None:
        async with joined(Bank()) as pair:
            assert [letter async for letter in pair.root.text()] == list("text")
            with pytest.raises(TypeError, match="not iterable"):
                async for _ in pair.root.double(1):
                    pass
            with pytest.raises(LookupError):
                async for _ in pair.root.fail():
                    pass

    run(main())


def test_send_throw_and_close_of_a_generator() -> None:
    async def main() -> None:
        bank = Bank()
        async with joined(bank) as pair:
            gen = await pair.root.gen()
            assert await gen.send(None) == 1
            assert await gen.send(5) == 6
            assert await gen.throw(LookupError("thrown")) == 99
            with pytest.raises(StopAsyncIteration) as info:
                await gen.send(None)
            assert info.value.args == (7,)
            assert bank.notes == ["LookupError('thrown')"]
            gen = await pair.root.gen()
            await gen.send(None)
            await gen.send(0)
            await gen.close()
            assert bank.log == [-1, -1]
            del gen, info

    run(main())


def test_asend_athrow_and_aclose_of_an_asynchronous_generator() -> None:
    async def main() -> None:
        bank = Bank()
        async with joined(bank) as pair:
            gen = await pair.root.agen()
            assert await gen.asend(None) == 0
            assert await gen.asend(5) == 1
            assert await gen.athrow(LookupError, LookupError("thrown")) == 99
            await gen.aclose()
            assert bank.log == [5, -1]
            thrown = LookupError("comes home")
            gen = await pair.root.gen()
            await gen.send(None)
            with pytest.raises(LookupError) as info:
                await gen.throw(thrown)
            assert info.value is thrown
            del gen, info, thrown

    run(main())


# --- context managers ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["held", "held_async"])
def test_async_with(name: str) -> None:
    async def main() -> None:
        bank = Bank()
        async with joined(bank) as pair:
            async with getattr(pair.root, name)() as value:
                assert value == "inside"
            async with getattr(pair.root, name)():
                raise LookupError("swallowed over there")
            held = await getattr(pair.root, name)()
            thrown = ValueError("comes home")
            with pytest.raises(ValueError, match="comes home") as info:
                async with held:
                    raise thrown
            assert info.value is thrown
            assert bank.notes == ["enter", "exit None", "enter", "exit LookupError"] + [
                "enter",
                "exit ValueError",
            ]
            assert not [ref for ref in gc.get_referrers(held) if ref is held]
            del held, info, thrown

    run(main())
