"""What may happen in a world: what its parties do, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from netobj.core.boxing import ByValue
from netobj.core.consts import BIG_VALUE
from netobj.errors import Busy, CallCancelled, ConnectionLost
from simulation.monitor import Violation
from simulation.parties import Thing, is_thing, touched

if TYPE_CHECKING:
    from simulation.ends import End
    from simulation.world import World

MOST_HELD = 12
LOST = (ConnectionLost,)


def _end(world: World) -> End | None:
    ends = world.open_ends()
    return world.chance.choice(ends) if ends else None


def equals(expected: object) -> Callable[[Any], None]:
    def check(result: Any) -> None:
        if result != expected:
            raise Violation(f"{result!r:.80} was answered in place of {expected!r:.80}")

    return check


def nothing(result: Any) -> None:
    """Any result is right."""


def _lane(world: World) -> dict[str, Any]:
    """How a call is made: in a lane, kept, or neither."""
    way = world.chance.randrange(4)
    return {"lane": world.chance.randrange(2)} if way == 0 else {"kept": way == 1}


def add(world: World) -> None:
    """A sum of numbers and of answers that may not be there yet, or a failure."""
    end = _end(world)
    if end is None:
        return
    chance = world.chance
    fails = chance.random() < 0.2
    known = [call for call in world.calls[-20:] if call.link is end and call.kept and call.is_sum]
    named = chance.sample(known, min(len(known), chance.randrange(4)))
    total = 1 + sum(call.sum or 0 for call in named)
    good = not fails and all(call.sum is not None for call in named)
    failures = () if good else (KeyError,)
    if any(call.cancelled for call in named):
        failures = (KeyError, CallCancelled)
    try:
        call = end.call(
            "fail" if fails else "add",
            1,
            *named,
            expected=equals(total) if good else None,
            failures=failures,
            plain=not named and chance.random() < 0.5,
            **_lane(world),
        )
    except (KeyError, CallCancelled):  # of an answer that has come
        return
    call.is_sum = True
    call.sum = total if good else None


def ordered(world: World) -> None:
    """A call whose place in its lane is checked."""
    end = _end(world)
    if end is None:
        return
    lane = world.chance.randrange(3)
    number = world.next_number()
    if world.chance.random() < 0.5:
        end.call("ordered", lane, number, expected=equals(number), lane=lane)
    else:
        pauses = world.chance.randrange(4)
        end.call("slowly", lane, number, pauses, expected=equals(number), lane=lane)


def swap(world: World) -> None:
    """Send some of what there is; something may come back."""
    end = _end(world)
    if end is None:
        return
    chance = world.chance
    party = end.party
    if not party.held or chance.random() < 0.4:
        party.make()
    chosen = [chance.choice(party.held) for _ in range(chance.randrange(4))]
    things: Any = tuple(thing for _, thing in chosen)
    if chance.random() < 0.2:
        things = ByValue(list(things))

    def check(result: Any) -> None:
        if result is not None:
            world.check_thing(end, *result)
            if len(party.held) < MOST_HELD:
                party.held.append(result)

    back = chance.randrange(-1, 5)
    labels = tuple(label for label, _ in chosen)
    end.call("swap", labels, things, back, expected=check, **_lane(world))


def take_method(world: World) -> None:
    party = world.chance.choice(world.parties)
    if party.held and len(party.held) < MOST_HELD:
        label, thing = world.chance.choice(party.held)
        if type(thing) is Thing:
            party.held.append((label, thing.exposed_touch))
        elif is_thing(thing):
            party.held.append((label, thing.touch))


def touch(world: World) -> None:
    """A synchronous call of something that is held."""
    party = world.chance.choice(world.parties)
    if party.held:
        label, thing = world.chance.choice(party.held)
        number = world.next_number()
        try:
            result = touched(thing, number)
        except ConnectionLost:
            if not world.losses:
                raise
        else:
            equals((label, number + 1))(result)


def call_back(world: World) -> None:
    """The peer calls something of this side's, or of somebody else's, in the midst of our call."""
    end = _end(world)
    if end is None or not end.party.held:
        return
    label, thing = world.chance.choice(end.party.held)
    number = world.next_number()
    end.call(
        world.chance.choice(("call", "relay")),
        thing,
        number,
        expected=equals((label, number + 1)),
        failures=LOST,
        **_lane(world),
    )


def explode(world: World) -> None:
    """An exception goes out and comes home, as the very object."""
    end = _end(world)
    if end is None:
        return
    _, thing = end.party.make()
    end.party.held.pop()
    try:
        end.root_now.detonate(thing)
    except Exception as exc:
        if exc is not thing.explosion and not end.lost:
            raise Violation(f"in the place of an exception of ours came {exc!r}") from exc
    else:
        raise Violation("an exception was lost")
    if thing.explosion is not None:
        thing.explosion.__traceback__ = None
        thing.explosion = None


def big(world: World) -> None:
    """A value that travels in raw frames."""
    end = _end(world)
    if end is None:
        return
    size = BIG_VALUE + world.chance.randrange(3)
    data: Any = b"\0" * size + b"end"
    if world.chance.random() < 0.5:
        data = "\xe4" * (size // 2) + "end"
    end.call("big", data, expected=equals(data[::-1]), **_lane(world))


def stream(world: World) -> None:
    end = _end(world)
    if end is None:
        return
    chance = world.chance
    method = chance.choice(("rows", "later"))
    count, fails = chance.choice((0, 1, 5, 16, 17, 100)), chance.random() < 0.2
    call = end.call(method, count, fails, expected=nothing, failures=(Busy,))
    world.opening.append((call, count, fails))


def talk(world: World) -> None:
    end = _end(world)
    if end is not None:
        call = end.call(["echo", "open"], expected=nothing, failures=(Busy,))
        world.opening.append((call, None, False))


def use_streams(world: World) -> None:
    """Take, send, end, close or drop."""
    world.open_streams()
    chance = world.chance
    for one in world.streams:
        for _ in range(chance.choice((0, 3, 40))):
            if not one.take():
                break
        if one.count is None and not one.closed:
            for _ in range(chance.choice((0, 1, 20))):
                flow = one.flow
                if flow.sent_end or flow.refused or flow.lost or not flow.may_send():
                    break
                one.end.send(one.sent)
                one.sent += 1
            if chance.random() < 0.1:
                one.end.end()
    if world.streams and chance.random() < 0.2:
        one = chance.choice(world.streams)
        if chance.random() < 0.5:
            one.closed = True
            one.end.close()
        else:
            world.streams.remove(one)


def cancel(world: World) -> None:
    """Of a call that is under way, or has ended."""
    if world.calls:
        call = world.chance.choice(world.calls[-12:])
        if not call.done:
            call.cancelled = True
        call.link.session.cancel(call.seq)


def timed(world: World) -> None:
    end = _end(world)
    if end is not None:
        time_left = float(world.chance.randrange(1, 60))
        end.call("timed", time_left, expected=equals(time_left), time_left=time_left)


def ping(world: World) -> None:
    end = _end(world)
    if end is not None:
        token = world.next_number()
        end.pings.append(token)
        end.session.ping(token)


def drop(world: World) -> None:
    held = world.chance.choice(world.parties).held
    if held:
        start = world.chance.randrange(len(held))
        del held[start : start + world.chance.randrange(1, 6)]


def release(world: World) -> None:
    end = _end(world)
    if end is not None:
        end.session.flush_releases()


def refuse(world: World) -> None:
    """A message that cannot be sent after all takes its references back."""
    end = _end(world)
    if end is None:
        return
    boxing = end.session.boxing
    before = {number: export.count for number, export in boxing.exports.items()}
    loop: list[Any] = []
    loop.append(loop)
    things = tuple(thing for _, thing in end.party.held)
    try:
        end.call("swap", (), (things, ByValue(loop)), 0, expected=None)
    except TypeError:
        pass
    else:
        raise Violation("a container that contains itself was sent")
    if {number: export.count for number, export in boxing.exports.items()} != before:
        raise Violation("a message that was not sent has left references behind")


def wait(world: World) -> None:
    """Time passes, and the heartbeat beats."""
    world.now += world.chance.random() * 15
    end = _end(world)
    if end is not None:
        world.tick(end)


OPERATIONS: dict[str, Callable[[World], object]] = {
    function.__name__: function
    for function in (
        add, ordered, swap, take_method, touch, call_back, explode, big, stream, talk, use_streams,
        cancel, timed, ping, drop, release, refuse, wait,
    )
}  # fmt: skip


def cut(world: World) -> None:
    """A connection breaks: each side may still get some of what is under way."""
    end = _end(world)
    if end is not None:
        world.losses += 1
        end.peer.pipe.break_off(world.chance)
        end.pipe.break_off(world.chance)


def close(world: World) -> None:
    """One side ends it, and says so."""
    end = _end(world)
    if end is not None:
        world.losses += 1
        end.session.goodbye("it has had enough")
        end.close("this side has closed it", cut=world.chance.random() < 0.3)


def crash(world: World) -> None:
    """A party is gone at once."""
    there = [party for party in world.parties if not party.gone]
    if len(there) < 2 or world.chance.random() < 0.7:
        return
    world.losses += 1
    party = world.chance.choice(there)
    party.gone = True
    world.say(f"{party.name} has crashed")
    party.held.clear()
    for end in party.ends:
        if not end.lost:
            end.close("the process is gone", cut=True)


def stall(world: World) -> None:
    """What one side sends does not arrive for a while."""
    end = _end(world)
    if end is not None:
        end.pipe.stalled = not end.pipe.stalled


def connect(world: World) -> None:
    world.connect_some()


FAULTS: dict[str, Callable[[World], object]] = {
    function.__name__: function for function in (cut, close, crash, stall, connect)
}
