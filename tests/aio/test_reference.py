from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import pickle
import unittest.mock
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from looped import joined, relayed, run, until

from bank import Bank
from netobj import aio

NewLoop = Callable[[], asyncio.AbstractEventLoop]


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
