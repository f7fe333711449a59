"""Calls on results that are not there yet: one round trip, whatever depends on what."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import netobj
from netobj.errors import AccessDenied
from pairings import Pair, Pairing, wait_until


class Link:
    """One of a chain of objects."""

    def __init__(self, shop: Shop, number: int) -> None:
        self.shop = shop
        self.number = number
        self.parts = {"a": [10, 20, 30]}

    def next(self) -> Link:
        self.shop.made += 1
        return Link(self.shop, self.number + 1)

    async def next_async(self) -> Link:
        return self.next()

    def total(self) -> int:
        return self.number

    def plus(self, other: Link) -> int:
        return self.number + other.number


class Shop(netobj.Service):
    CONFIG = {"allow_public_attrs": True, "allow_setattr": True}  # noqa: RUF012

    def __init__(self) -> None:
        self.made = 0
        self.gate = threading.Event()

    @netobj.exposed
    def first(self) -> Any:
        return Link(self, 0)

    @netobj.exposed
    async def first_async(self) -> Any:
        return Link(self, 0)

    @netobj.exposed
    def fail(self, text: str) -> Any:
        raise LookupError(text)

    @netobj.exposed
    async def fail_async(self, text: str) -> Any:
        raise LookupError(text)

    @netobj.exposed
    def add(self, a: Any, b: Any) -> Any:
        return a + b

    @netobj.exposed
    def is_same(self, a: Any, b: Any) -> bool:
        return a is b

    @netobj.exposed
    def both(self) -> Any:
        return 1, Link(self, 0)

    @netobj.exposed
    def text(self) -> str:
        return "some text"

    @netobj.exposed
    def count(self) -> int:
        self.made += 1
        return self.made

    @netobj.exposed
    def wait(self) -> Any:
        assert self.gate.wait(20)
        return Link(self, 7)

    @netobj.exposed
    def echo(self, value: Any) -> Any:
        return value


SERVICE = Shop


def results_of(pair: Pair, build: Any) -> list[Any]:
    return [fetch() for fetch in pair.pipelined(build)]


class TestRoundTrips:
    @pytest.mark.parametrize("step", ["next", "next_async"])
    def test_a_chain_of_ten_calls_is_one(self, pairing: Pairing, step: str) -> None:
        service = Shop()
        pair = pairing.join(service, relay=True)
        assert pair.get(pair.root.add(1, 2)) == 3
        pair.assert_clean()
        before = pair.relay.round_trips
        pair.relay.hold("answers")

        def build(root: Any) -> Any:
            node = root.first()
            for _ in range(8):
                node = getattr(node, step)()
            return [node.total()]

        started = pair.start_pipelined(build)
        wait_until(lambda: service.made == 8)  # all of it ran, and no answer has arrived
        wait_until(lambda: not pair.served.session.running)
        assert pair.relay.round_trips == before + 1
        pair.relay.let_go()
        assert started.result() == [8]

    def test_a_path_is_one(self, pairing: Pairing) -> None:
        pair = pairing.join(Shop, relay=True)
        pair.get(pair.root.text())
        pair.assert_clean()
        before = pair.relay.round_trips
        assert results_of(pair, lambda root: [root.first().parts["a"][1]]) == [20]
        pair.assert_clean()
        assert pair.relay.round_trips <= before + 2  # the second: what the client lets go of


class TestDependence:
    def test_on_results_of_calls(self, pair: Pair) -> None:
        def build(root: Any) -> Any:
            first = root.first()
            return [first.next().next().total(), first.total(), first.number]

        assert results_of(pair, build) == [2, 0, 0]

    def test_on_attributes_and_items_of_results(self, pair: Pair) -> None:
        def build(root: Any) -> Any:
            first = root.first()
            return [first.parts["a"][2], first.next().parts["a"][0], first.next().number]

        assert results_of(pair, build) == [30, 10, 1]

    def test_on_items_of_tuples(self, pair: Pair) -> None:
        def build(root: Any) -> Any:
            both = root.both()
            return [both[0], both[1].total(), root.add(both[0], 1)]

        assert results_of(pair, build) == [1, 0, 2]

    def test_not_on_other_values(self, pair: Pair) -> None:
        (fetch,) = pair.pipelined(lambda root: [root.text().upper()])
        with pytest.raises(AccessDenied, match="a 'str' that travels by value"):
            fetch()

    def test_a_missing_attribute_is_told(self, pair: Pair) -> None:
        (fetch,) = pair.pipelined(lambda root: [root.first().nothing])
        with pytest.raises(AttributeError, match="nothing"):
            fetch()

    def test_as_arguments(self, pair: Pair) -> None:
        def build(root: Any) -> Any:
            three = root.add(1, 2)
            return [root.add(three, three), root.add(root.add(three, 1), b=10)]

        assert results_of(pair, build) == [6, 14]

    def test_references_as_arguments_are_the_objects(self, pair: Pair) -> None:
        def build(root: Any) -> Any:
            first, other = root.first(), root.first()
            return [root.is_same(first, first), root.is_same(first, other)]

        assert results_of(pair, build) == [True, False]

    def test_on_both_target_and_argument(self, pair: Pair) -> None:
        def build(root: Any) -> Any:
            first = root.first()
            return [first.next().plus(first.next().next())]

        assert results_of(pair, build) == [3]

    def test_on_asynchronous_methods(self, pair: Pair) -> None:
        def build(root: Any) -> Any:
            return [root.first_async().next_async().next().next_async().total()]

        assert results_of(pair, build) == [3]

    def test_references_that_come_of_it_can_be_used(self, pair: Pair) -> None:
        (link,) = results_of(pair, lambda root: [root.first().next()])
        assert pair.get(link.total()) == 1
        assert pair.get(link.next().total()) == 2

    def test_what_was_sent_comes_home(self, pair: Pair) -> None:
        mine = object()
        assert results_of(pair, lambda root: [root.echo(root.echo(mine))]) == [mine]

    def test_a_pending_result_as_an_argument_of_a_started_call(self, pairing: Pairing) -> None:
        service = Shop()
        pair = pairing.join(service)
        first, second = pair.start_with(pair.root.wait, (), pair.root.echo)
        assert not second.done()
        service.gate.set()
        assert second.result() is first.result()

    def test_hundreds_in_one_go(self, pair: Pair) -> None:
        def build(root: Any) -> Any:
            total = root.add(0, 0)
            for n in range(100):
                total = root.add(total, n)
            return [total, *[root.add(n, n) for n in range(200)]]

        assert results_of(pair, build) == [4950, *range(0, 400, 2)]


@pytest.mark.parametrize("method", ["fail", "fail_async"])
class TestFailure:
    def test_the_rest_fail_with_the_error_of_the_first(self, pair: Pair, method: str) -> None:
        def build(root: Any) -> Any:
            failed = getattr(root, method)("the reason")
            return [failed, failed.read(), failed.read().more["x"].y(), root.add(1, failed)]

        for fetch in pair.pipelined(build):
            with pytest.raises(LookupError, match="the reason"):
                fetch()

    def test_what_does_not_depend_on_it_goes_on(self, pair: Pair, method: str) -> None:
        def build(root: Any) -> Any:
            return [getattr(root, method)("no"), root.add(1, 2), root.first().next().total()]

        failed, *others = pair.pipelined(build)
        assert [fetch() for fetch in others] == [3, 1]
        with pytest.raises(LookupError, match="no"):
            failed()

    def test_nothing_that_depends_on_it_runs(self, pairing: Pairing, method: str) -> None:
        service = Shop()
        pair = pairing.join(service)
        fetches = pair.pipelined(lambda root: [root.count(), getattr(root, method)("no").next()])
        assert fetches[0]() == 1
        with pytest.raises(LookupError):
            fetches[1]()
        assert service.made == 1


def test_a_cut_fails_all_of_it(pairing: Pairing) -> None:
    service = Shop()
    pair = pairing.join(service, relay=True)
    pair.get(pair.root.text())
    started = pair.start_pipelined(lambda root: [root.wait().next().total()])
    wait_until(lambda: pair.served.session.running)
    pair.relay.cut()
    with pytest.raises(EOFError):
        started.result()
    service.gate.set()
