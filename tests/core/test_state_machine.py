"""References, promises and streams on both sides, delivered in any order of the two byte streams.

At the end nothing leaks; on the way nothing is released early, and each answer is the right one.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fakewire import Answer, FakeWire, Side
from netobj.core.boxing import ByValue
from netobj.core.config import Config
from netobj.core.consts import Op
from netobj.core.ends import AsyncDuplex
from netobj.core.events import Pong, Reply
from netobj.core.exposure import exposed
from netobj.core.flow import Flow
from netobj.core.handle import RemoteObject


class Thing:
    """An object that is sent about; it knows its name."""

    def __init__(self, label: str) -> None:
        self.label = label

    def exposed_method(self) -> Thing:
        return self


class Root:
    """Takes what comes, under the names that its sender gave; gives something back."""

    def __init__(self, machine: References, name: str) -> None:
        self.machine = machine
        self.name = name

    def exposed_take(self, labels: tuple[str, ...], things: Any, back: int) -> Any:
        side = self.machine.side(self.name)
        held = self.machine.held[self.name]
        for label, thing in zip(labels, things, strict=True):
            self.machine.check(side, label, thing)
            held.append((label, thing))
        if back < 0 or not held:
            return None
        return held[back % len(held)][1]


sides = st.sampled_from(["left", "right"])
numbers = st.integers(0, 50)


class References(RuleBasedStateMachine):
    """Two sides, what each of them holds, and the bytes that are under way."""

    def __init__(self) -> None:
        super().__init__()
        self.wire = FakeWire(Root(self, "left"), Root(self, "right"))
        self.held: dict[str, list[tuple[str, Any]]] = {"left": [], "right": []}
        self.made = 0

    def side(self, name: str) -> Side:
        return self.wire.left if name == "left" else self.wire.right

    def check(self, side: Side, label: str, thing: Any) -> None:
        """*thing*, as *side* sees it, is the one of that *label*."""
        if issubclass(type(thing), RemoteObject):
            export = side.peer.session.boxing.exports.get(thing.____handle__.id)
            assert export is not None, f"{label} was released early"
            thing = export.obj
        if not issubclass(type(thing), Thing):
            thing = thing.__self__  # a bound method
        assert thing.label == label

    # --- rules ---------------------------------------------------------------------------------

    @rule(name=sides)
    def make(self, name: str) -> None:
        self.made += 1
        label = f"{name} {self.made}"
        self.held[name].append((label, Thing(label)))

    @rule(
        name=sides,
        which=st.lists(numbers, max_size=4),
        back=st.integers(-1, 20),
        copied=st.booleans(),
    )
    def send(self, name: str, which: list[int], back: int, copied: bool) -> None:
        """Queue a call with some of what *name* holds; the answer may bring something, too."""
        held = self.held[name]
        chosen = [held[index % len(held)] for index in which] if held else []
        labels = tuple(label for label, _ in chosen)
        things: Any = tuple(thing for _, thing in chosen)
        if copied:
            things = ByValue(list(things))
        side = self.side(name)
        side.send(Op.CALL, "take", labels, things, back, lane=1)

    @rule(name=sides, index=numbers)
    def take_a_method(self, name: str, index: int) -> None:
        held = self.held[name]
        if not held:
            return
        label, thing = held[index % len(held)]
        if type(thing) is Thing:
            held.append((label, thing.exposed_method))
        elif hasattr(type(thing), "method"):
            held.append((label, thing.method))

    @rule(name=sides)
    def carry(self, name: str) -> None:
        """One piece of what *name* has written arrives."""
        self.wire.carry(self.side(name))

    @rule(name=sides)
    def run(self, name: str) -> None:
        """One event that has arrived at *name* is handled."""
        side = self.side(name)
        if side.events:
            side.handle(side.events.popleft())

    @precondition(lambda self: any(self.held.values()))
    @rule(name=sides, index=numbers, count=st.integers(1, 5))
    def drop(self, name: str, index: int, count: int) -> None:
        held = self.held[name]
        if held:
            start = index % len(held)
            del held[start : start + count]

    @rule(name=sides)
    def release(self, name: str) -> None:
        self.side(name).session.flush_releases()

    @rule(name=sides)
    def refuse(self, name: str) -> None:
        """A message that turns out not to be sent takes its references back."""
        loop: list[Any] = []
        loop.append(loop)
        side = self.side(name)
        things = tuple(thing for _, thing in self.held[name])
        before = {n: export.count for n, export in side.session.boxing.exports.items()}
        try:
            side.session.request(Answer(), Op.CALL, None, "x", (things, ByValue(loop)), None, 1)
        except TypeError:
            pass
        assert {n: export.count for n, export in side.session.boxing.exports.items()} == before

    # --- what always holds -----------------------------------------------------------------------

    @invariant()
    def nothing_is_released_early(self) -> None:
        for name, held in self.held.items():
            side = self.side(name)
            for label, thing in held:
                self.check(side, label, thing)
        for side in self.wire.sides:
            exports = side.peer.session.boxing.exports
            for number, ref in side.session.boxing.imports.items():
                if ref() is not None:
                    assert exports[number].count >= ref.count

    def teardown(self) -> None:
        self.wire.settle()
        for held in self.held.values():
            held.clear()
        gc.collect()
        self.wire.flush()
        assert self.wire.tables() == self.wire.under_way() == (0, 0, 0, 0)
        for side in self.wire.sides:
            assert side.session.pending == side.session.running == {}
            assert not side.session.boxing.dead


TestReferences = References.TestCase
TestReferences.settings = settings(stateful_step_count=60, deadline=None)


class Pipes:
    """Adds, fails, streams, and talks back."""

    def __init__(self) -> None:
        self.producing = 0

    def exposed_add(self, *numbers: int) -> int:
        return sum(numbers)

    def exposed_fail(self, *numbers: int) -> None:
        raise KeyError("fails")

    @exposed(stream=True)
    def rows(self, count: int, fail: bool) -> Iterator[int]:
        self.producing += 1
        try:
            yield from range(count)
            if fail:
                raise KeyError("fails")
        finally:
            self.producing -= 1

    @exposed(stream=True)
    async def later(self, count: int, fail: bool) -> AsyncIterator[int]:
        self.producing += 1
        try:
            for number in range(count):
                yield number
            if fail:
                raise KeyError("fails")
        finally:
            self.producing -= 1

    @exposed
    async def echo(self, end: AsyncDuplex) -> None:
        self.producing += 1
        try:
            async for number in end:
                await end.send(number)
        finally:
            self.producing -= 1


class Asked:
    """A request that was made, and what is to come of it; None: it is to fail."""

    def __init__(self, name: str, answer: Answer, expected: int | None) -> None:
        self.name = name
        self.answer = answer
        self.expected = expected


class Consumed:
    """A stream's end, and how much has come and gone in it."""

    def __init__(self, name: str, end: Any, count: int | None, fail: bool) -> None:
        self.name = name
        self.end = end
        self.flow: Flow = end._flow
        self.count = count  # None: it goes both ways, and gives back what is sent
        self.fail = fail
        self.sent = 0
        self.taken = 0
        self.over = False


class Pipelines(RuleBasedStateMachine):
    """Requests that name the answers to others, and streams that are left at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.begin()

    def begin(self) -> None:
        config = Config(log_exceptions=False)
        self.wire = FakeWire(Pipes(), Pipes(), left_config=config, right_config=config)
        self.asked: list[Asked] = []
        self.opening: list[tuple[str, Answer, int | None, bool]] = []
        self.streams: list[Consumed] = []
        self.pings: dict[str, list[int]] = {"left": [], "right": []}

    def side(self, name: str) -> Side:
        return self.wire.left if name == "left" else self.wire.right

    # --- promises --------------------------------------------------------------------------------

    @rule(
        name=sides,
        which=st.lists(numbers, max_size=3),
        fails=st.booleans(),
        kept=st.booleans(),
        lane=st.booleans(),
    )
    def ask(self, name: str, which: list[int], fails: bool, kept: bool, lane: bool) -> None:
        """Ask for a sum, or for a failure, of numbers and of answers that may not be there."""
        known = [one for one in self.asked if one.name == name and one.answer.kept]
        named = [known[index % len(known)] for index in which] if known else []
        expected = None if fails else 1
        for one in named:
            if expected is not None:
                expected = None if one.expected is None else expected + one.expected
        more: dict[str, Any] = {"lane": 1} if lane else {}
        try:
            answer = self.side(name).send(
                Op.CALL,
                "fail" if fails else "add",
                1,
                *(one.answer for one in named),
                kept=kept,
                **more,
            )
        except KeyError:
            assert any(one.expected is None and one.answer.done for one in named)
        else:
            self.asked.append(Asked(name, answer, expected))

    @rule(index=numbers)
    def cancel(self, index: int) -> None:
        if self.asked:
            one = self.asked[index % len(self.asked)]
            self.side(one.name).session.cancel(one.answer.seq)

    @rule(index=numbers)
    def lose_interest(self, index: int) -> None:
        if self.asked:
            self.asked.pop(index % len(self.asked))

    # --- streams ---------------------------------------------------------------------------------

    @rule(
        name=sides,
        method=st.sampled_from(["rows", "later"]),
        count=st.integers(0, 200),
        fail=st.booleans(),
    )
    def stream(self, name: str, method: str, count: int, fail: bool) -> None:
        answer = self.side(name).send(Op.CALL, method, count, fail)
        self.opening.append((name, answer, count, fail))

    @rule(name=sides)
    def talk(self, name: str) -> None:
        answer = self.side(name).send(Op.CALL, ["echo", "open"])
        self.opening.append((name, answer, None, False))

    @rule()
    def open(self) -> None:
        """What has come of the streams that were asked for."""
        waiting = []
        for name, answer, count, fail in self.opening:
            if answer.done:
                self.streams.append(Consumed(name, answer.value, count, fail))
                answer.value = None
            else:
                waiting.append((name, answer, count, fail))
        self.opening = waiting

    @rule(index=numbers, times=st.integers(1, 40))
    def take(self, index: int, times: int) -> None:
        """Take what there is, without waiting."""
        if not self.streams:
            return
        one = self.streams[index % len(self.streams)]
        for _ in range(times):
            if not (one.flow.may_take() or one.end._items.__length_hint__()):
                break
            try:
                item = next(one.end)
            except StopIteration:
                assert one.over or one.taken == one.count or one.count is None
                assert not one.fail or one.over
                one.over = True
            except KeyError:
                assert one.fail
                assert one.taken == one.count
                one.over = True
            else:
                assert not one.over
                assert item == one.taken
                one.taken += 1

    @rule(index=numbers, times=st.integers(1, 40))
    def send_items(self, index: int, times: int) -> None:
        two_way = [one for one in self.streams if one.count is None]
        if not two_way:
            return
        one = two_way[index % len(two_way)]
        for _ in range(times):
            if one.flow.sent_end or not one.flow.may_send():
                break
            one.end.send(one.sent)
            one.sent += 1

    @rule(index=numbers)
    def end(self, index: int) -> None:
        two_way = [one for one in self.streams if one.count is None]
        if two_way:
            two_way[index % len(two_way)].end.end()

    @rule(index=numbers)
    def close(self, index: int) -> None:
        if self.streams:
            one = self.streams[index % len(self.streams)]
            one.end.close()
            one.over = True

    @rule(index=numbers)
    def leave(self, index: int) -> None:
        """Nobody has it any more."""
        if self.streams:
            del self.streams[index % len(self.streams)]

    # --- pings -----------------------------------------------------------------------------------

    @rule(name=sides)
    def ping(self, name: str) -> None:
        self.side(name).session.ping(len(self.pings[name]))
        self.pings[name].append(len(self.pings[name]))

    # --- the wire --------------------------------------------------------------------------------

    @rule(name=sides, cut=st.integers(1, 60))
    def trickle(self, name: str, cut: int) -> None:
        """One piece arrives in two parts."""
        self.wire.carry(self.side(name), cut)

    @rule(name=sides, times=st.integers(1, 5))
    def carry(self, name: str, times: int) -> None:
        for _ in range(times):
            self.wire.carry(self.side(name))

    @rule(name=sides, times=st.integers(1, 5))
    def run(self, name: str, times: int) -> None:
        side = self.side(name)
        for _ in range(times):
            if side.events:
                side.handle(side.events.popleft())

    @rule(name=sides, times=st.integers(1, 5))
    def work(self, name: str, times: int) -> None:
        for _ in range(times):
            self.side(name).work()

    @rule(name=sides)
    def release(self, name: str) -> None:
        self.side(name).session.flush_releases()

    @rule()
    def cut(self) -> None:
        """The connection ends; what waits hears of it, and nothing stays."""
        self.wire.lose()
        for side in self.wire.sides:
            assert len(side.session.flows) == 0
            for event in side.events:
                if isinstance(event, Reply):  # an answer that has come is one
                    side.handle(event)
            side.events.clear()
            while side.work():
                pass
            assert side.tasks == []
        assert all(one.answer.done for one in self.asked)
        for one in self.streams:
            assert one.flow.over
            one.end.close()
        self.streams.clear()
        self.finish()
        for side in self.wire.sides:
            side.session.discard_tables().clear()
        assert self.wire.tables() == self.wire.under_way() == (0, 0, 0, 0)
        self.begin()

    # --- what always holds -----------------------------------------------------------------------

    @invariant()
    def each_answer_is_the_right_one(self) -> None:
        for one in self.asked:
            if one.answer.done:
                assert one.answer.ok is (one.expected is not None)
                assert not one.answer.ok or one.answer.value == one.expected

    @invariant()
    def nobody_sends_without_credit(self) -> None:
        for side in self.wire.sides:
            for flow in side.session.flows:
                assert flow.sent <= flow.granted
                assert flow.consumed <= flow.received <= flow.allowed

    def finish(self) -> None:
        """No producer is left, and each has closed its generator."""
        for side in self.wire.sides:
            came = [event.token for event in side.other_events if isinstance(event, Pong)]
            assert came == self.pings[side.name][: len(came)]
            assert side.session.boxing.root.producing == 0
            assert side.session.pending == {}

    def teardown(self) -> None:
        self.wire.settle()
        self.open()
        self.streams.clear()
        gc.collect()
        self.wire.flush()
        assert self.wire.tables() == self.wire.under_way() == (0, 0, 0, 0)
        for side in self.wire.sides:
            assert side.session.running == {}
            assert not side.session.boxing.dead
            assert side.tasks == []
            pongs = [event for event in side.other_events if isinstance(event, Pong)]
            assert len(pongs) == len(self.pings[side.name])
        self.finish()


TestPipelines = Pipelines.TestCase
TestPipelines.settings = settings(stateful_step_count=60, deadline=None)
