"""Who takes part: what they have, what they show one another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from fakewire import until
from netobj.core.ends import AsyncDuplex
from netobj.core.exposure import exposed
from netobj.core.handle import RemoteMethod, RemoteObject
from simulation.monitor import Violation

if TYPE_CHECKING:
    from simulation.ends import End
    from simulation.world import World


class Explosion(Exception):
    """What a thing raises; it is to come home as the very object."""


class Thing:
    """An object that is sent about; it knows its name."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.explosion: Explosion | None = None

    def exposed_touch(self, number: int) -> tuple[str, int]:
        return self.label, number + 1

    def exposed_explode(self) -> None:
        self.explosion = Explosion(self.label)
        raise self.explosion


class Party:
    """One process: its ends of connections, and what it holds of others' and its own."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.ends: list[End] = []
        self.held: list[tuple[str, Any]] = []
        self.made = 0
        self.gone = False

    def make(self) -> tuple[str, Thing]:
        self.made += 1
        label = f"{self.name}{self.made}"
        thing = Thing(label)
        self.world.things.append((label, thing))
        self.held.append((label, thing))
        return label, thing


class Root:
    """What an end shows to its peer."""

    def __init__(self, end: End) -> None:
        self.end = end
        self.producing = 0
        self.lanes: dict[int, int] = {}  # the last call of each
        self.busy: set[int] = set()

    def exposed_add(self, *numbers: int) -> int:
        return sum(numbers)

    def exposed_fail(self, *numbers: int) -> None:
        raise KeyError("fails")

    def exposed_ordered(self, lane: int, number: int) -> int:
        self._in_order(lane, number)
        return number

    @exposed
    async def slowly(self, lane: int, number: int, pauses: int) -> int:
        self._in_order(lane, number)
        self.busy.add(lane)
        try:
            for _ in range(pauses):
                await until(lambda: True)
        finally:
            self.busy.discard(lane)
        return number

    def _in_order(self, lane: int, number: int) -> None:
        if number <= self.lanes.get(lane, -1) or lane in self.busy:
            self.end.world.violated(f"{number} in lane {lane} of {self.end.name} is out of order")
        self.lanes[lane] = number

    def exposed_swap(self, labels: tuple[str, ...], things: Any, back: int) -> Any:
        """Take *things*, and give something back."""
        party = self.end.party
        for label, thing in zip(labels, things, strict=True):
            self.end.world.check_thing(self.end, label, thing)
            party.held.append((label, thing))
        if back < 0 or not party.held:
            return None
        label, thing = party.held[back % len(party.held)]
        return label, thing

    def exposed_call(self, thing: Any, number: int) -> Any:
        """Call it here and now; whoever it belongs to may call others meanwhile."""
        return touched(thing, number)

    def exposed_detonate(self, thing: Any) -> None:
        thing.explode()

    @exposed
    async def relay(self, thing: Any, number: int) -> Any:
        """The same, without keeping anybody waiting."""
        if isinstance(thing, Thing) or not is_thing(thing):
            return touched(thing, number)
        end = thing.____handle__.link
        answer = end.ask("touch", number, target=thing.____handle__)
        del thing
        await until(lambda: answer.done)
        return answer.result()

    def exposed_big(self, data: bytes | str) -> bytes | str:
        return data[::-1]

    def exposed_timed(self, time_left: float) -> float:
        return time_left

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


def touched(thing: Any, number: int) -> Any:
    """Call *thing*, which may be a thing or a method of one, here or far away."""
    if isinstance(thing, Thing):
        return thing.exposed_touch(number)
    return thing.touch(number) if is_thing(thing) else thing(number)


def is_thing(thing: Any) -> bool:
    """Not a method of one; without asking."""
    if not issubclass(type(thing), RemoteObject):
        return isinstance(thing, Thing)
    name: str = thing.____handle__.imported.description.name
    return name == Thing.__name__ and not issubclass(type(thing), RemoteMethod)


def home_of(thing: Any) -> Thing | None:
    """The thing itself behind *thing*, over any number of connections; None if one is lost.

    Raises Violation if somebody has let go of it.
    """
    while issubclass(type(thing), RemoteObject):
        handle = thing.____handle__
        end = handle.link
        if end.session.lost is not None or end.peer.session.lost is not None:
            return None
        export = end.peer.session.boxing.exports.get(handle.id)
        if export is None:
            raise Violation(f"{end.name} holds {handle.id}, which {end.peer.name} has dropped")
        thing = export.obj
    if not isinstance(thing, Thing):
        thing = thing.__self__  # a bound method
        return home_of(thing)
    return thing
