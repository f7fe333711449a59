"""The whole of it: parties, connections, and one thing happening after another."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from itertools import permutations
from random import Random
from typing import Any

from netobj.errors import ConnectionLost
from simulation.calls import Call, Consumed
from simulation.ends import INTERVAL, PATIENCE, End
from simulation.monitor import Monitor, Violation
from simulation.operations import FAULTS, OPERATIONS
from simulation.parties import Party, Thing, home_of

STEPS = 300
MOST_CONNECTIONS = 8
DEEPEST = 5  # calls that wait inside one another, before nothing new is begun
_ORDERS = tuple(permutations(("receive", "handle", "work")))


class World:
    """Everything that follows from *seed*; *say* is told of each step."""

    def __init__(self, seed: int, say: Callable[[str], object] = lambda text: None) -> None:
        self.seed = seed
        self.say = say
        self.chance = Random(seed)
        self.now = 1000.0
        self.things: list[tuple[str, Thing]] = []
        self.ends: list[End] = []
        self.calls: list[Call] = []  # all that were made
        self.opening: list[tuple[Call, int | None, bool]] = []
        self.streams: list[Consumed] = []
        self.monitors: list[tuple[Monitor, End, End]] = []
        self.depth = 0
        self.ending = False  # nothing new is begun
        self.losses = 0
        self._violations: list[str] = []
        self._number = 0
        names = "ABCD"[: self.chance.choice((2, 2, 3, 3, 4))]
        self.parties = [Party(self, name) for name in names]
        for index, party in enumerate(self.parties[1:], 1):
            self.connect(self.parties[self.chance.randrange(index)], party)
        for _ in range(self.chance.randrange(3)):
            self.connect_some()
        # Of what may happen, each world has a part, and more of some: so that rare things meet.
        self.operations = self._some(OPERATIONS)
        self.faults = self._some(FAULTS) if self.chance.random() < 0.6 else []
        self.flow_of_time = self.chance.choice((0.0, 0.01, 2.0))

    def _some(self, table: dict[str, Callable[[World], object]]) -> list[tuple[str, Any]]:
        chosen = [name for name in table if self.chance.random() < 0.6] or [next(iter(table))]
        return [
            (name, table[name]) for name in chosen for _ in range(self.chance.choice((1, 1, 4)))
        ]

    # --- who is there ----------------------------------------------------------------------------

    def connect(self, one: Party, other: Party) -> None:
        number = len(self.monitors)
        left = End(one, f"{one.name}{other.name}{number}")
        right = End(other, f"{other.name}{one.name}{number}")
        left.other, right.other = right, left
        left.peers_pipe, right.peers_pipe = right.pipe, left.pipe
        left.monitor = right.monitor = monitor = Monitor(left.name, right.name)
        self.monitors.append((monitor, left, right))
        self.ends += left, right
        self.say(f"{one.name} and {other.name} connect: {left.name}, {right.name}")

    def connect_some(self) -> None:
        there = [party for party in self.parties if not party.gone]
        if len(there) > 1 and len(self.monitors) < MOST_CONNECTIONS:
            self.connect(*self.chance.sample(there, 2))

    def open_ends(self) -> list[End]:
        return [end for end in self.ends if not end.lost and end.session.greeted]

    def next_number(self) -> int:
        self._number += 1
        return self._number

    # --- what happens ----------------------------------------------------------------------------

    def run(self) -> None:
        """Everything, to the end. Raises Violation."""
        for step in range(STEPS):
            self.step()
            if step % 16 == 0:
                self.check_held()
        self.finish()

    def step(self) -> None:
        """One thing happens."""
        chance = self.chance
        self.now += self.flow_of_time * chance.random()
        choice = chance.random()
        if choice < 0.3 and self.depth < DEEPEST:
            name, operation = chance.choice(self.operations)
            self._do(name, operation)
        elif choice < 0.31 and self.faults and self.depth < DEEPEST:
            name, operation = chance.choice(self.faults)
            self._do(name, operation)
        else:
            self.move()
        self.raise_violation()

    def _do(self, name: str, operation: Callable[[World], object]) -> None:
        self.say(f"- {name}")
        try:
            operation(self)
        except ConnectionLost:
            if not self.losses:
                raise

    def move(self) -> bool:
        """Something goes on that was begun; False if there is nothing."""
        chance = self.chance
        ends = [end for end in self.ends if not end.lost or end.tasks] or self.ends
        start = chance.randrange(len(ends))
        kinds = chance.choice(_ORDERS)
        for offset in range(len(ends)):
            end = ends[(start + offset) % len(ends)]
            for kind in kinds:
                if kind == "receive":
                    if (end.peers_pipe.filled or end.other.session.out) and end.receive():
                        return True
                elif kind == "handle":
                    if end.events:
                        event = end.events.popleft()
                        self.say(f"{end.name} handles {type(event).__name__}")
                        end.handle(event)
                        return True
                elif end.work():
                    return True
        return False

    def step_within(self) -> None:
        """One thing happens while a call waits."""
        self.depth += 1
        try:
            if self.chance.random() < 0.3 and not self.ending:
                self.step()
            elif not self.move():
                self.pass_time()
        finally:
            self.depth -= 1

    def pass_time(self) -> None:
        """Nothing moves: bytes that were held up come at last, or the heartbeat finds out."""
        stalled = [end for end in self.ends if end.pipe.stalled]
        if not stalled:
            raise Violation("somebody waits for what will not come")
        if self.chance.random() < 0.5:
            self.chance.choice(stalled).pipe.stalled = False
            return
        self.now += self.chance.random() * (INTERVAL + PATIENCE)
        self.beat()

    def beat(self) -> None:
        """The heartbeat of each connection."""
        for end in list(self.ends):
            if not end.lost:
                self.tick(end)

    def tick(self, end: End) -> None:
        heard = end.session.last_heard
        try:
            end.session.tick(self.now)
        except ConnectionLost as exc:
            if heard is None or self.now - heard < PATIENCE:
                raise Violation(f"{end.name} was given up, and was heard of at {heard}") from exc
            self.losses += 1
            end.close(str(exc), cut=True)

    # --- what must hold --------------------------------------------------------------------------

    def ask(self, call: Call) -> None:
        self.calls.append(call)
        call.link.calls[call.seq] = call

    def violated(self, text: str) -> None:
        """Called where an exception would be taken for the failure of a call."""
        self._violations.append(text)

    def raise_violation(self) -> None:
        if self._violations:
            raise Violation("; ".join(self._violations))

    def check_thing(self, end: End, label: str, thing: Any) -> None:
        """*thing* came to *end* as that of the *label*."""
        home = home_of(thing)
        if home is not None and home.label != label:
            raise Violation(f"{end.name} got {home.label} for {label}")
        if label.startswith(end.party.name) and home is not None and len(self.parties) == 2:
            if len(self.monitors) == 1 and home is not thing and not hasattr(thing, "__self__"):
                raise Violation(f"{label} came home to {end.name} as {type(thing).__name__}")

    def check_held(self) -> None:
        """Nothing that somebody holds was let go, and nobody has sent without credit."""
        for party in self.parties:
            for label, thing in party.held:
                home = home_of(thing)
                if home is not None and home.label != label:
                    raise Violation(f"{party.name} holds {home.label} as {label}")
        for end in self.ends:
            for flow in end.session.flows:
                if not (
                    flow.sent <= flow.granted and flow.consumed <= flow.received <= flow.allowed
                ):
                    raise Violation(f"{end.name} has sent, or got, more than was granted")

    def finish(self) -> None:
        """Everything comes to rest, everything is let go, and nothing is left."""
        self.say("- the end")
        self.ending = True
        for end in self.ends:
            end.pipe.stalled = False
        self.settle()
        self.check_held()
        self._use_up_streams()
        self.streams.clear()
        for party in self.parties:
            party.held.clear()
        ended = [call.times_ended for call in self.calls]
        if ended != [1] * len(ended):
            raise Violation(f"call {1 + ended.index(0)} has never ended")
        self.calls.clear()
        things = [(label, weakref.ref(thing)) for label, thing in self.things]
        self.things.clear()
        more = True
        while more:
            gc.collect()
            told = [end.session.flush_releases() for end in self.ends]
            more = any(told)
            self.settle()
        left = [label for label, ref in things if ref() is not None]
        if left:
            raise Violation(f"somebody still has {left}")
        for end in self.ends:
            self._check_empty(end)
        for monitor, one, other in self.monitors:
            if not one.lost and not other.lost:
                monitor.finish()

    def _use_up_streams(self) -> None:
        """Whoever has a stream takes what comes, to the end."""
        self.open_streams()
        for one in self.streams:
            if one.count is None and not one.closed:
                one.end.end()
        self.settle()
        more = True
        while more:
            more = False
            for one in self.streams:
                while one.take():
                    more = True
            more = self.settle() or more  # also what a consumer has granted
        for one in self.streams:
            if not (one.over or one.closed):
                raise Violation(f"a stream never ends: {one.taken} of {one.count} came")
            one.end.close()
        self.settle()

    def _check_empty(self, end: End) -> None:
        session = end.session
        boxing = session.boxing
        tables: dict[str, Any] = {
            "exports": boxing.exports,
            "imports": boxing.imports,
            "answers": boxing.answers,
            "dead": [] if end.lost else boxing.dead,
            "pending": session.pending,
            "running": session.running,
            "left": session._left,
            "flows": list(session.flows),
            "tasks": end.tasks,
            "lanes": end.lanes,
            "pings": [] if end.lost else end.pings,
        }
        left = [name for name, table in tables.items() if table]
        if left or end.my_root.producing:
            raise Violation(f"of {end.name} is left: {left} or {end.my_root.producing} producers")

    def settle(self) -> bool:
        """Go on until nothing is left to do; True if there was anything."""
        moved = False
        while self.move():
            moved = True
            self.raise_violation()
        return moved

    def open_streams(self) -> None:
        """Take what has come of the streams that were asked for."""
        waiting = []
        for call, count, fails in self.opening:
            if not call.done:
                waiting.append((call, count, fails))
            elif call.ok:
                self.streams.append(Consumed(call.value, count, fails))
                call.value = None
        self.opening = waiting


def run(seed: int, say: Callable[[str], object] = lambda text: None) -> None:
    """Run the world of *seed*. Raises Violation, or what else went wrong."""
    was_on = gc.isenabled()
    gc.disable()  # what is let go when is to follow from the seed
    try:
        World(seed, say).run()
    finally:
        if was_on:
            gc.enable()
