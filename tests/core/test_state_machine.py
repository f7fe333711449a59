"""References sent, dropped and released on both sides, delivered in any order of the two streams.

At the end nothing leaks; on the way nothing is released early.
"""

from __future__ import annotations

import gc
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fakewire import Answer, FakeWire, Side
from netobj.core.boxing import ByValue
from netobj.core.consts import Op
from netobj.core.handle import Handle, RemoteObject


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
        assert side.session.root_class is not None
        root = Handle(side, 0, side.session.root_class)
        side.session.request(
            Answer(), Op.CALL, root, "take", (labels, things, back), None, None, lane=1
        )

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
        assert self.wire.tables() == (0, 0, 0, 0)
        for side in self.wire.sides:
            assert side.session.pending == side.session.running == {}
            assert not side.session.boxing.dead


TestReferences = References.TestCase
TestReferences.settings = settings(stateful_step_count=60, deadline=None)
