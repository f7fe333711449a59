from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable

import pytest
from looped import awaiting, joined, relayed, run, until

import netobj
from bank import Bank

NewLoop = Callable[[], asyncio.AbstractEventLoop]


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


def test_what_is_built_upon_twice_is_looked_at_once() -> None:
    class Pairs(netobj.Service):
        @netobj.exposed
        def joined(self, left: int, right: int) -> int:
            return left | right

    async def main() -> None:
        async with joined(Pairs()) as pair:
            node = pair.root.joined(1, 2)
            for _ in range(60):  # whoever went all ways would not come to an end
                node = pair.root.joined(node, node)
            assert await node == 3

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
            task = awaiting(node)
            await until(lambda: bank.opened)
            assert "under way" in repr(node)
            more = awaiting(node.add(1))
            as_argument = awaiting(pair.root.double(more=0, value=node.value()))
            path = awaiting(node.value)
            await pair.root.go()
            assert await more == 2
            await task
            await path
            assert await as_argument in (2, 4)
            assert bank.opened == 1
            del node, task, more, as_argument, path

    run(main())


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
            task = awaiting(node)
            await until(lambda: bank.opened)
            passed = awaiting(pair.root.echo(node.value))
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
