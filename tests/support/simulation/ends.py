"""One end of one connection: the session of it, and what a front-end would do."""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from fakewire import Answer, Side, Task
from netobj.core.config import Config
from netobj.core.consts import Op
from netobj.core.events import Cancel, Dropped, Event, Flowed, Goodbye, Pong, Reply, Request
from netobj.core.handle import Handle
from netobj.core.handlers import perform
from netobj.core.netref import proxy_for
from netobj.core.outcomes import Awaited, Opened, Streamed
from netobj.core.session import NOT_STARTED
from netobj.errors import CallCancelled, ConnectionLost
from simulation.calls import Call, Check
from simulation.monitor import Monitor, Violation
from simulation.parties import Party, Root
from simulation.pipes import Pipe

if TYPE_CHECKING:
    from simulation.world import World

INTERVAL, PATIENCE = 20.0, 10.0  # seconds, of the heartbeat
SETTINGS = Config(
    handshake_timeout=None,  # a stall here may last: the heartbeat alone is to find it
    frame_timeout=None,
    allow_public_attrs=True,  # so that proxies can be passed on
    log_exceptions=False,
    heartbeat_interval=INTERVAL,
    heartbeat_timeout=PATIENCE,
)


class End(Side):
    """As a Side, of one of several connections, whose bytes and events come when chance says so."""

    monitor: Monitor
    other: End  # of the same connection
    peers_pipe: Pipe

    def __init__(self, party: Party, name: str) -> None:
        self.party = party
        self.world: World = party.world
        self.my_root = Root(self)
        super().__init__(name, self.my_root, SETTINGS, ())
        self.pipe = Pipe(self)
        self.calls: dict[int, Call] = {}  # that have not ended, by seq
        self.lanes: dict[int, deque[Request]] = {}
        self.again: deque[Request] = deque()  # whose turn has come
        self.started: set[int] = set()
        self.awaiting: dict[int, Task] = {}
        self.pings: list[object] = []
        party.ends.append(self)

    @property
    def peer(self) -> End:
        return self.other

    @property
    def lost(self) -> bool:
        return self.session.lost is not None

    @property
    def root_now(self) -> Any:
        """The peer's root, whose class is known."""
        root_class = self.session.root_class
        assert root_class is not None
        return proxy_for(Handle(self, 0, root_class))

    # --- out -------------------------------------------------------------------------------------

    def request(
        self, op: int, handle: Handle, path: Any, args: tuple[Any, ...], kwargs: Any = None
    ) -> Any:
        """A synchronous call, by a proxy: meanwhile the world goes on."""
        token = Answer()
        token.link = self
        self.waiting += 1
        try:
            self.session.request(token, op, handle, path, args, kwargs, chain=1)
            while not token.done:
                self.world.step_within()
            return self.outcome(token)
        finally:
            self.waiting -= 1
            if not self.waiting:
                self.session.let_go(self.kept)
                self.kept.clear()

    def call(
        self,
        path: Any,
        *args: Any,
        expected: Check | None,
        failures: tuple[type[BaseException], ...] = (),
        plain: bool = False,
        **more: Any,
    ) -> Call:
        """Call the peer's root, and do not wait. Raises as Session.request."""
        world = self.world
        token = Call(self, world.next_number(), expected, failures)
        token.kept = more.get("kept", False) or "lane" in more
        if plain and not token.kept:
            seq = next(self.session._sequence)
            root = Handle(self, 0, self.session.root_class)  # type: ignore[arg-type]
            data = self.session.plain_request(token, seq, 1, Op.CALL, root, path, args)
            if data is not None:
                token.seq = seq
                self.session.out.append(data)
                world.ask(token)
                return token
        chain = None if "lane" in more else 1
        token.seq = self.session.request(token, Op.CALL, None, path, args, None, chain, **more)
        world.ask(token)
        return token

    def ask(self, path: Any, *args: Any, target: Handle) -> Answer:
        """Call the *target*, whose answer somebody waits for elsewhere."""
        token = Answer()
        token.link = self
        token.seq = self.session.request(token, Op.CALL, target, path, args, None, 1)
        return token

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.step_task(Task(work))

    def step_task(self, task: Task) -> None:
        """Begin *task*, and note it if it is not done at once."""
        self.tasks.append(task)
        task.step()
        if task.done:
            self.tasks.remove(task)

    def wrote(self, data: bytes) -> None:
        """*data* goes into the pipe."""
        for kind in self.monitor.sent(self.name, data):
            self.world.say(f"{self.name} > {kind}")

    # --- in --------------------------------------------------------------------------------------

    def receive(self) -> bool:
        """Some of what the peer has written arrives; False if there is nothing."""
        pipe = self.peers_pipe
        session = self.session
        if self.lost or pipe.stalled:
            return False
        pipe.take_in()
        self.pipe.take_in()  # what was written before this arrived
        if not pipe.under_way:
            if pipe.closed:
                self.end("the peer has closed the connection")
            return pipe.closed
        room = session.room()
        data = pipe.take(self.world.chance, None if room is None else len(room))
        self.peer.monitor.came(self.peer.name, len(data))
        self.world.say(f"{self.name} < {len(data)} bytes")
        if room is not None:
            room[: len(data)] = data
            del room
            events: Any = session.receive_data(len(data), self.world.now)
        else:
            wanted = next(iter(self.calls), -1)
            token = session.pending.get(wanted)
            events = session.receive_data(data, self.world.now, wanted)
            if type(events) is tuple:
                self._ended(token, True, events[2], False)
                return True
        if session.fault is not None:
            raise session.fault
        self.events.extend(events)
        return True

    def handle(self, event: Event) -> None:
        if isinstance(event, Request):
            self.take_request(event)
        elif isinstance(event, Reply):
            self._ended(event.token, event.ok, event.value, event.deferred)
        elif isinstance(event, Cancel):
            self._cancel(event.request)
        elif isinstance(event, Pong):
            if event.token is None:  # the heartbeat's
                return
            if event.token not in self.pings:
                raise Violation(f"{self.name} got a pong to {event.token!r}, which nobody sent")
            self.pings.remove(event.token)
        elif isinstance(event, Goodbye):
            for token in event.not_started:
                if token.seq in self.peer.started:
                    raise Violation(f"{self.peer.name} ran {token.seq}, and denies it")
                self._ended(token, False, NOT_STARTED, False)
            self.end(event.reason)
        elif isinstance(event, Dropped):
            event.objects.clear()
        elif isinstance(event, Flowed):
            event.flow.notify()

    def _ended(self, token: Any, ok: bool, value: Any, deferred: bool) -> None:
        if type(token) is Call:
            self.calls.pop(token.seq, None)
        token.complete(ok, value, deferred)

    # --- the calls of the peer -------------------------------------------------------------------

    def take_request(self, request: Request) -> None:
        """Run it, or queue it in its lane."""
        if request.path == "timed" and request.deadline != request.since + request.args[0]:
            self.world.violated(f"{self.name} got a deadline that was not meant")
        if request.lane is None:
            self.run(request)
        elif request.lane in self.lanes:
            self.lanes[request.lane].append(request)
        else:
            self.lanes[request.lane] = deque()
            self.run(request)

    def run(self, request: Request) -> None:
        for answer in request.awaits:
            if not answer.settled:
                answer.when_settled(lambda: self.again.append(request))
                return
        if self.lost or not request.start():  # our goodbye has claimed it
            return
        self.started.add(request.seq)
        if request.cancelled:
            self.fail(request, CallCancelled("before it began"))
            return
        try:
            self.answer(request, perform(self.session, request))
        except BaseException as exc:
            self.fail(request, exc)
        finally:
            request.args = ()

    def answer(self, request: Request, value: object) -> None:
        if isinstance(value, Awaited):
            task = Task(self._await(request, value))
            self.awaiting[request.seq] = task
            self.step_task(task)
        elif isinstance(value, Streamed | Opened):
            super().answer(request, value)
            self._is_over(request)
        else:
            data = None
            if self.world.chance.random() < 0.5:
                data = self.session.plain_reply(request, value)
            if data is not None:
                self.session.out.append(data)
            else:
                self.session.reply(request, value)
            self._is_over(request)

    def fail(self, request: Request, exc: BaseException) -> None:
        if isinstance(exc, Violation):
            self.world.violated(str(exc))
        super().fail(request, exc)
        self._is_over(request)

    def _is_over(self, request: Request) -> None:
        self.awaiting.pop(request.seq, None)
        if request.lane is not None and not self.lost:
            queue = self.lanes[request.lane]
            if queue:
                self.again.append(queue.popleft())
            else:
                del self.lanes[request.lane]

    def _cancel(self, request: Request) -> None:
        request.cancelled = True
        task = self.awaiting.get(request.seq)
        if task is not None and not task.running:
            task.throw(CallCancelled("while it was under way"))
            if task.done:
                self.tasks.remove(task)

    def work(self) -> bool:
        """Go on with one thing of this side's; False if there is nothing."""
        if self.again:
            self.run(self.again.popleft())
            return True
        return super().work()

    # --- the end ---------------------------------------------------------------------------------

    def close(self, reason: str, cut: bool) -> None:
        """End it here, at once; *cut*: what is under way to the peer is lost from some byte on."""
        if cut:
            self.pipe.break_off(self.world.chance)
        else:
            self.pipe.take_in()
            self.pipe.closed = True
        self.end(reason)

    def end(self, reason: str) -> None:
        """The connection is at its end here, and whoever waits hears of it."""
        if self.lost:
            return
        self.world.say(f"{self.name} ends: {reason}")
        session = self.session
        self.pipe.take_in()
        self.pipe.closed = True
        lost = ConnectionLost(reason)
        waiting = session.lose(reason)
        flows = session.flows.lose(reason)
        events, self.events = self.events, deque()
        for event in events:  # an answer that has come is one
            if isinstance(event, Reply | Goodbye):
                self.handle(event)
        for token in waiting:
            self._ended(token, False, lost, False)
        for flow in flows:
            flow.notify()
        self.again.clear()
        self.lanes.clear()
        session.discard_tables().clear()
