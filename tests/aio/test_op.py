from __future__ import annotations

import operator
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from looped import run

import netobj
from netobj import aio
from netobj.aio import op


class Number:
    def __init__(self, value: int) -> None:
        self.value = value

    def __hash__(self) -> int:
        return self.value

    def __iter__(self) -> Iterator[int]:
        yield self.value


def _binary(name: str) -> Any:
    def method(self: Number, other: Any) -> Any:
        if isinstance(other, str):
            return NotImplemented
        return f"{name} {other.value if isinstance(other, Number) else other}"

    return method


for _name in (*netobj.core.consts.BINARY_SPECIALS, *netobj.core.consts.REFLECTED_SPECIALS):
    setattr(Number, _name, _binary(_name))
for _name in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"):
    setattr(Number, _name, _binary(_name))
for _name in ("neg", "pos", "invert", "abs"):
    setattr(Number, f"__{_name}__", lambda self, _name=_name: f"{_name} {self.value}")


class Far(netobj.Service):
    def __init__(self) -> None:
        self.exposed_number = Number(7)
        self.exposed_five = 5
        self.exposed_items = [3, 1, 2]
        self.exposed_table = {"a": [1]}
        self.exposed_object = object()
        self.exposed_data = bytearray(b"abc")
        self.exposed_Number = Number

    @netobj.exposed
    async def number_late(self) -> Number:
        return self.exposed_number

    @netobj.exposed
    def five_late(self) -> int:
        return 5


@asynccontextmanager
async def far(**config: Any) -> AsyncIterator[Any]:
    async with (
        aio.Server(Far(), "localhost", config=config) as server,
        aio.connect("localhost", server.port) as conn,
    ):
        yield conn.root


BINARY = "add sub mul matmul mod pow truediv floordiv lshift rshift and_ or_ xor divmod".split()


def test_binary_operators() -> None:
    async def main() -> None:
        async with far() as root:
            number = await root.number
            for name in BINARY:
                bare = name.strip("_")
                function = getattr(op, name)
                assert await function(number, 1) == f"__{bare}__ 1"
                assert await function(1, number) == f"__r{bare}__ 1"
                assert await function(root.number_late(), root.five) == f"__{bare}__ 5"
                assert await function(number, number) == f"__{bare}__ 7"
                with pytest.raises(TypeError, match=f"supports {bare}"):
                    await function(number, "text")
                assert name in function.__doc__
                assert function.__name__ == name
            for name, other in (("lt", "gt"), ("le", "ge"), ("gt", "lt"), ("ge", "le")):
                assert await getattr(op, name)(number, 1) == f"__{name}__ 1"
                assert await getattr(op, name)(1, number) == f"__{other}__ 1"
            assert await op.eq(number, 1) == "__eq__ 1"
            assert await op.ne(1, number) == "__ne__ 1"

    run(main())


def test_equality_falls_back_to_identity() -> None:
    async def main() -> None:
        async with far() as root:
            one = await root.object
            assert await op.eq(one, one) is True
            assert await op.eq(one, root.object) is True
            assert await op.eq(one, 5) is False
            assert await op.ne(one, 5) is True
            assert await op.eq(await root.number, "text") is False
            assert await op.eq(root.items, [3, 1, 2]) is True
            assert await op.eq([3, 1, 2], root.items) is True

    run(main())


def test_what_turns_out_to_be_here_is_computed_here() -> None:
    async def main() -> None:
        async with far() as root:
            for name in BINARY:
                if name != "matmul":
                    local = divmod if name == "divmod" else getattr(operator, name)
                    assert await getattr(op, name)(root.five, 3) == local(5, 3)
                    assert await getattr(op, name)(3, root.five_late()) == local(3, 5)
            assert await op.eq(root.five, 5)
            assert await op.iadd(root.five, 1) == 6
            assert await op.truth(root.five) is True

    run(main())


def test_unary_operators_and_conversions() -> None:
    async def main() -> None:
        async with far() as root:
            number = await root.number
            for name in ("neg", "pos", "invert", "abs"):
                assert await getattr(op, name)(number) == f"{name} 7"
            assert await op.hash(number) == 7
            assert await op.str(root.items) == await op.repr(root.items) == "[3, 1, 2]"
            assert await op.len(root.items) == 3
            assert await op.int(root.five) == await op.index(root.five) == 5
            assert await op.float(root.five) == 5.0
            assert await op.truth(root.items) is True
            assert await op.truth(root.object) is True
            assert await op.truth(await root.table) is True
            assert await op.bytes(root.data) == b"abc"
            assert "__len__" in await op.dir(root.items)

    run(main())


def test_attributes_and_items() -> None:
    async def main() -> None:
        async with far(allow_setattr=True, allow_delattr=True, allow_public_attrs=True) as root:
            await op.setattr(root, "more", 5)
            assert await op.getattr(root, "more") == 5
            await op.delattr(root, "more")
            with pytest.raises(AttributeError):
                await root.more
            await op.setitem(root.items, 0, 9)
            assert await op.getitem(root.items, 0) == await root.items[0] == 9
            await op.delitem(root.items, 0)
            assert await op.contains(root.items, 2)
            assert not await op.contains(root.items, 9)
            assert await op.isinstance(root.number, root.Number)
            assert not await op.isinstance(5, root.Number)

    run(main())


def test_in_place_operators() -> None:
    async def main() -> None:
        async with far() as root:
            items = await root.items
            assert await op.iadd(items, [4]) is items
            assert await op.iadd(root.items, [5]) is items
            assert await op.imul(items, 1) is items
            assert await aio.copy_of(items) == [3, 1, 2, 4, 5]
            assert await op.isub(await root.number, 2) == "__sub__ 2"
            table = await root.table
            assert await op.ior(table, {"b": 2}) is table
            assert await op.len(table) == 2

    run(main())


def test_copy_of() -> None:
    async def main() -> None:
        async with far() as root:
            assert await aio.copy_of(root.table) == {"a": [1]}
            assert await aio.copy_of(await root.items) == [3, 1, 2]
            assert await aio.copy_of([1]) == [1]
            assert await aio.copy_of(root.five) == 5
            with pytest.raises(netobj.NotEncodable, match="copies plain data"):
                await aio.copy_of(root.object)

    run(main())


def test_a_call_of_an_operator_that_is_not_awaited_warns() -> None:
    async def main() -> None:
        async with far() as root:
            with pytest.warns(RuntimeWarning, match="never awaited"):
                op.setitem(root.items, 0, 1)

    run(main())
