"""Connections that come back, of both skins, from servers of both."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from phoenix import Server as Phoenix

import netobj
from certificates import Certificates
from faulty import FaultyWire
from netobj import aio
from netobj.errors import AsyncResultTimeout, Busy, ConnectionLost, StaleReference
from netobj.utils.registry import UDPRegistryClient, UDPRegistryServer
from pairings import Background, Pairing, wait_until
from skins import AioClient, BlockingClient, Client

QUICK = netobj.Reconnect(attempts=200, delay=0.01, max_delay=0.05, repeats=100)
Come = Callable[..., Client]


class Desk:
    def __init__(self, number: int) -> None:
        self.exposed_number = number

    def exposed_get(self) -> int:
        return self.exposed_number


class Office(netobj.Service):
    """One object for all connections, but a desk for each."""

    def __init__(self) -> None:
        self.connects = self.disconnects = 0
        self.asked: list[Any] = []
        self.go_on = threading.Event()
        self.desks: dict[Any, Desk] = {}
        self.busy = 0

    def on_connect(self, conn: Any) -> None:
        self.connects += 1
        self.desks[conn] = Desk(self.connects)

    def on_disconnect(self, conn: Any) -> None:
        self.disconnects += 1

    @property
    def exposed_desk(self) -> Desk:
        return self.exposed_make()

    def exposed_make(self) -> Desk:
        return self.desks[netobj.current_call().connection]

    def exposed_echo(self, value: Any) -> Any:
        return value

    def exposed_is_desk(self, desk: Any) -> bool:
        return desk is self.exposed_make()

    def exposed_calls_desk(self, method: Any) -> bool:
        return bool(method() == self.exposed_make().exposed_number)

    def exposed_call(self, function: Any) -> Any:
        return function()

    def exposed_wait(self) -> None:
        self.go_on.wait(60)

    @netobj.exposed(idempotent=True)
    def crowded(self) -> int:
        self.busy += 1
        if self.busy < 4:
            raise Busy("not now")
        return self.busy

    def exposed_just_crowded(self) -> None:
        self.busy += 1
        raise Busy("not now")


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    office.go_on.set()


@pytest.fixture
def wire(pairing: Pairing, office: Office) -> Iterator[FaultyWire]:
    with FaultyWire(pairing.serve(office).port) as wire:
        yield wire


@pytest.fixture
def come(pairing: Pairing, wire: FaultyWire) -> Iterator[Come]:
    """``come(reconnect)``: a client that comes back, through ``wire``."""
    clients: list[Client] = []

    def connect(reconnect: Any = QUICK, **more: Any) -> Client:
        clients.append(joined(pairing.client, pairing.here, wire.port, reconnect, **more))
        clients[-1].ping()  # so the wire knows of it, too
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def joined(skin: str, loop: Background, port: int, reconnect: Any = QUICK, **more: Any) -> Client:
    if skin == "blocking":
        connection = netobj.connect("127.0.0.1", port, reconnect=reconnect, **more)
        return BlockingClient(connection, loop)

    async def connect() -> Any:
        return await aio.connect("127.0.0.1", port, reconnect=reconnect, **more)

    return AioClient(loop.run(connect()), loop)


def cut(client: Client, wire: FaultyWire) -> None:
    """The connection is lost, and the client knows."""
    plain = client.connection._connection
    wire.cut()
    wait_until(lambda: plain.closed)


def test_it_comes_back_with_a_new_root(come: Come, wire: FaultyWire, office: Office) -> None:
    client = come()
    assert client.get(client.root.echo(1)) == 1
    cut(client, wire)
    assert not client.connection.closed
    assert client.get(client.root.echo(2)) == 2
    assert office.connects == 2


def test_what_was_reached_by_name_is_found_again(come: Come, wire: FaultyWire) -> None:
    client = come()
    root = client.root
    desk = client.get(root.desk)
    get = desk.get
    assert client.get(get()) == 1
    cut(client, wire)
    assert client.get(get()) == 2
    assert client.get(desk.get()) == 2
    assert client.get(desk.number) == 2
    assert client.get(root.echo(1)) == 1
    cut(client, wire)
    assert client.get(desk.get()) == 3


def test_what_came_of_a_call_is_stale(come: Come, wire: FaultyWire) -> None:
    client = come()
    made = client.get(client.root.make())
    assert client.get(made.get()) == 1
    cut(client, wire)
    with pytest.raises(StaleReference, match=r"by name from conn\.root"):
        client.get(made.get())
    with pytest.raises(StaleReference):
        client.get(client.root.is_desk(made))
    with pytest.raises(StaleReference):
        client.get(client.root.echo((made,)))
    assert client.get(client.root.make().get()) == 2


def test_what_is_named_goes_home(come: Come, wire: FaultyWire) -> None:
    client = come()
    desk = client.get(client.root.desk)
    for _ in range(2):
        assert client.get(client.root.is_desk(desk))
        assert client.get(client.root.is_desk(client.root.desk))
        assert client.get(client.root.echo((desk, 1)))[1] == 1
        assert client.get(client.root.desk) is not None
        cut(client, wire)


def test_a_method_that_is_named_goes_home(pairing: Pairing, come: Come, wire: FaultyWire) -> None:
    if pairing.client == "aio":
        pytest.skip("there are no bound methods on an event loop")
    client = come()
    method = client.root.desk.get
    for _ in range(2):
        assert client.root.calls_desk(method)
        cut(client, wire)


def test_there_is_one_for_each_name(come: Come) -> None:
    client = come()
    desk = client.get(client.root.desk)
    assert client.get(client.root.desk) is desk
    assert client.root is client.root


def test_a_call_that_runs_fails_and_is_not_repeated(
    come: Come, wire: FaultyWire, office: Office
) -> None:
    client = come()
    started = client.start(client.root.wait)
    wait_until(lambda: len(client.connection._connection.session.pending) == 1)
    cut(client, wire)
    with pytest.raises(ConnectionLost):
        started.result()
    assert client.get(client.root.echo(1)) == 1


def test_many_that_notice_at_once_make_one_connection(
    come: Come, wire: FaultyWire, office: Office
) -> None:
    client = come()
    cut(client, wire)
    start = threading.Barrier(20)
    found: list[int] = []

    def use() -> None:
        start.wait()
        found.append(client.get(client.root.echo(7)))

    threads = [threading.Thread(target=use) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [7] * 20
    assert office.connects == 2


def test_callbacks_and_hooks_go_on(come: Come, wire: FaultyWire, office: Office) -> None:
    heard: list[str] = []

    class Own(netobj.Service):
        def on_connect(self, conn: Any) -> None:
            heard.append("on")

        def on_disconnect(self, conn: Any) -> None:
            heard.append("off")

    client = come(service=Own)

    @netobj.exposed
    def callback() -> int:
        return 7

    assert client.get(client.root.call(callback)) == 7
    cut(client, wire)
    assert client.get(client.root.call(callback)) == 7
    wait_until(lambda: len(heard) == 3)
    assert sorted(heard) == ["off", "on", "on"]


def test_closed_is_closed(come: Come, wire: FaultyWire, office: Office) -> None:
    client = come()
    root = client.root
    client.close()
    assert client.connection.closed
    with pytest.raises(ConnectionLost, match="closed on this side"):
        client.get(root.echo(1))
    client.close()
    assert office.connects == 1


def test_a_ping_brings_it_back(come: Come, wire: FaultyWire, office: Office) -> None:
    client = come()
    cut(client, wire)
    client.ping()
    assert office.connects == 2


def test_what_has_no_answer_and_what_is_not_waited_for(
    come: Come, wire: FaultyWire, office: Office
) -> None:
    client = come()
    for _ in range(2):
        client.oneway(client.root.echo, 1)
        assert client.start(client.root.echo, 2).result() == 2
        cut(client, wire)
    assert office.connects == 2


def test_in_a_batch(pairing: Pairing, come: Come, wire: FaultyWire) -> None:
    if pairing.client == "aio":
        pytest.skip("there are no batches on an event loop")
    client = come()
    for _ in range(2):
        with netobj.batch(client.connection):
            first = client.root.echo(1)
            second = client.root.desk.get()
        assert first.value == 1
        assert second.value in (1, 2)
        cut(client, wire)


def test_what_is_busy_is_asked_again_if_it_may(come: Come, office: Office) -> None:
    client = come()
    assert client.get(client.root.crowded()) == 4
    office.busy = 0
    with pytest.raises(Busy):
        client.get(client.root.just_crowded())
    assert office.busy == 1


def test_at_most_so_often(come: Come, office: Office) -> None:
    client = come(netobj.Reconnect(delay=0, repeats=2))
    with pytest.raises(Busy):
        client.get(client.root.crowded())
    assert office.busy == 3


def test_resets_in_the_midst(come: Come, wire: FaultyWire, office: Office) -> None:
    client = come()
    for number in range(20):
        plain = client.connection._connection
        wire.reset()
        wait_until(lambda plain=plain: plain.closed)
        assert client.get(client.root.echo(number)) == number
    assert office.connects == 21


def test_silence_is_noticed(come: Come, wire: FaultyWire, office: Office) -> None:
    client = come(config={"heartbeat_interval": 0.1, "heartbeat_timeout": 0.2})
    plain = client.connection._connection
    wire.die()
    wait_until(lambda: plain.closed)
    assert client.get(client.root.echo(1)) == 1


# --- nobody is there ------------------------------------------------------------------------------


@pytest.fixture
def lone(pairing: Pairing, office: Office) -> Iterator[Callable[..., Client]]:
    """``lone(reconnect)``: a client whose server has gone."""
    clients: list[Client] = []

    def connect(reconnect: Any = QUICK) -> Client:
        server = pairing.serve(office)
        client = joined(pairing.client, pairing.here, server.port, reconnect)
        clients.append(client)
        assert client.root is not None
        plain = client.connection._connection
        server.close()
        wait_until(lambda: plain.closed)
        return client

    yield connect
    for client in clients:
        client.close()


def test_it_is_tried_so_often(lone: Callable[..., Client]) -> None:
    client = lone(netobj.Reconnect(attempts=3, delay=0.001))
    for _ in range(2):
        with pytest.raises(ConnectionLost, match="did not come back in 3 attempts"):
            client.get(client.root.echo(1))


def test_a_deadline_bounds_it(lone: Callable[..., Client]) -> None:
    client = lone(netobj.Reconnect(delay=1000, max_delay=1000, jitter=0))
    root = client.connection._root[1] if client.skin == "blocking" else client.root
    with netobj.deadline(0.1), pytest.raises(AsyncResultTimeout, match="deadline"):
        client.get(root.echo(1))


def test_closing_ends_the_wait_for_it(lone: Callable[..., Client]) -> None:
    client = lone(netobj.Reconnect(delay=1000, max_delay=1000, jitter=0))
    errors: list[BaseException] = []

    def use() -> None:
        try:
            client.get(client.root.echo(1))
        except ConnectionLost as exc:
            errors.append(exc)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    name = "_attempt" if client.skin == "blocking" else "_connecting"
    wait_until(lambda: getattr(client.connection, name) is not None)
    client.close()
    for thread in threads:
        thread.join(60)
    assert [str(error) for error in errors] == ["the connection was closed on this side"] * 3


def test_the_first_time_it_is_an_error_at_once(pairing: Pairing) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        joined(pairing.client, pairing.here, port)


@pytest.mark.parametrize(
    "settings",
    [{"attempts": 0}, {"delay": -1}, {"jitter": 2}, {"repeats": -1}, {"max_delay": float("nan")}],
)
def test_settings_that_make_no_sense(pairing: Pairing, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Reconnect"):
        joined(pairing.client, pairing.here, 1, netobj.Reconnect(**settings))
    with pytest.raises(TypeError, match="reconnect is True"):
        joined(pairing.client, pairing.here, 1, "please")


def test_idempotent_needs_a_connection_that_comes_back(pairing: Pairing, office: Office) -> None:
    pair = pairing.join(office)
    with pytest.raises(TypeError, match="reconnect=True"):
        netobj.idempotent(pair.root.echo)


# --- kill -9 --------------------------------------------------------------------------------------


@pytest.fixture(params=["ThreadedServer", "AsyncServer"])
def phoenix(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Phoenix]:
    server = Phoenix(tmp_path / "notes", request.param)
    yield server
    server.kill()


@pytest.fixture(params=["blocking", "aio"])
def client(
    request: pytest.FixtureRequest, loops: tuple[Background, Background], phoenix: Phoenix
) -> Iterator[Client]:
    client = joined(request.param, loops[0], phoenix.port)
    yield client
    client.close()


def test_of_a_killed_server_the_next_one_is_used(client: Client, phoenix: Phoenix) -> None:
    first, desk = client.get(client.root.pid()), client.get(client.root.desk)
    drawer = client.get(desk.drawer)
    made = client.get(client.root.make())
    plain = client.connection._connection
    phoenix.kill()
    phoenix.start()
    wait_until(lambda: plain.closed)
    second = client.get(client.root.pid())
    assert second != first
    assert client.get(desk.pid()) == client.get(drawer.pid()) == second
    assert client.get(client.root.is_desk(desk))
    with pytest.raises(StaleReference):
        client.get(made.pid())


def test_what_runs_while_it_is_killed_is_lost(client: Client, phoenix: Phoenix) -> None:
    killing = phoenix.kill_at("a")
    with pytest.raises(ConnectionLost):
        client.get(client.root.once("a"))
    killing.join(60)
    assert client.get(client.root.once("a")) == 2
    assert phoenix.read() == ["a", "a"]


def test_what_is_declared_idempotent_is_repeated(client: Client, phoenix: Phoenix) -> None:
    killing = phoenix.kill_at("b")
    assert client.get(client.root.often("b")) == 2
    killing.join(60)
    assert phoenix.read() == ["b", "b"]


def test_what_the_caller_knows_to_be_idempotent_is_repeated(
    client: Client, phoenix: Phoenix
) -> None:
    killing = phoenix.kill_at("c")
    assert client.get(netobj.idempotent(client.root.once)("c")) == 2
    killing.join(60)
    assert phoenix.read() == ["c", "c"]


def test_a_deadline_ends_the_repeating(client: Client, phoenix: Phoenix) -> None:
    killing = phoenix.kill_at("d", again=False)
    root = client.root
    with netobj.deadline(3), pytest.raises(AsyncResultTimeout):
        client.get(root.often("d"))
    killing.join(60)
    assert phoenix.read() == ["d"]


# --- the other ways to connect --------------------------------------------------------------------


class Restarting:
    """A server that closes and comes back where it was; *where* as servers take it."""

    def __init__(self, **where: Any) -> None:
        self._where = where
        self._service = Office()
        self.server: Any = None
        self.start()

    def start(self) -> None:
        self.server = netobj.ThreadedServer(self._service, **self._where)
        self.server.__enter__()
        if "hostname" in self._where:
            self._where["port"] = self.server.port

    def close(self) -> None:
        self.server.__exit__(None, None, None)

    def again(self, client: Client) -> None:
        """Lose *client*, and come back."""
        plain = client.connection._connection
        self.close()
        wait_until(lambda: plain.closed)
        self.start()


def check_it_comes_back(
    skin: str, loop: Background, server: Restarting, name: str, *args: Any, **more: Any
) -> None:
    more = {"reconnect": QUICK, **more}
    if skin == "blocking":
        client: Client = BlockingClient(getattr(netobj, name)(*args, **more), loop)
    else:

        async def connect() -> Any:
            return await getattr(aio, name)(*args, **more)

        client = AioClient(loop.run(connect()), loop)
    desk = client.get(client.root.desk)
    assert client.get(desk.get()) == 1
    server.again(client)
    assert client.get(desk.get()) == 2
    client.close()


@pytest.fixture(params=["blocking", "aio"])
def skin(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def restarting() -> Iterator[Callable[..., Restarting]]:
    """``restarting(hostname=...)``: a server."""
    servers: list[Restarting] = []

    def serve(**where: Any) -> Restarting:
        servers.append(Restarting(**where))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


Loops = tuple[Background, Background]
Restart = Callable[..., Restarting]


def test_over_a_unix_socket(skin: str, loops: Loops, restarting: Restart, tmp_path: Any) -> None:
    path = str(tmp_path / "socket")
    server = restarting(socket_path=path)
    check_it_comes_back(skin, loops[0], server, "unix_connect", path)


def test_by_url(skin: str, loops: Loops, restarting: Restart) -> None:
    server = restarting(hostname="localhost")
    url = f"netobj://localhost:{server.server.port}"
    check_it_comes_back(skin, loops[0], server, "connect_url", url)


def test_over_tls_and_logged_in(
    skin: str, loops: Loops, restarting: Restart, certificates: Certificates
) -> None:
    login = netobj.TokenAuthenticator("x" * 32)
    server = restarting(hostname="localhost", ssl_context=certificates.server, authenticator=login)
    port = server.server.port
    more = {"ca_certs": certificates.ca, "authenticator": login}
    check_it_comes_back(skin, loops[0], server, "ssl_connect", "localhost", port, **more)


def test_by_the_name_of_a_service(skin: str, loops: Loops, restarting: Restart) -> None:
    with UDPRegistryServer("127.0.0.1", port=0) as registry:
        registrar = UDPRegistryClient("127.0.0.1", registry.port)
        server = restarting(hostname="localhost", registrar=registrar)
        wait_until(lambda: registry.services)
        more = {"registrar": registrar}
        check_it_comes_back(skin, loops[0], server, "connect_by_service", "OFFICE", **more)


# --- who waits ------------------------------------------------------------------------------------


def test_on_connect_uses_what_it_is_given(come: Come, wire: FaultyWire, office: Office) -> None:
    errors: list[BaseException] = []
    box: list[Client] = []

    class Own(netobj.Service):
        def on_connect(self, conn: Any) -> Any:
            if not box:
                return None
            if box[0].skin == "aio":
                return self.use_async()
            try:
                box[0].root.echo(1)
            except netobj.ReentrantCall as exc:
                errors.append(exc)
            return None

        async def use_async(self) -> None:
            try:
                await box[0].root.echo(1)
            except netobj.ReentrantCall as exc:
                errors.append(exc)

    client = come(service=Own)
    box.append(client)
    cut(client, wire)
    assert client.get(client.root.echo(1)) == 1
    assert len(errors) == 1


def test_who_is_cancelled_leaves_it_to_the_others(loops: Loops, office: Office) -> None:
    async def main() -> None:
        async with aio.Server(office, "127.0.0.1") as server:
            port = server.port
            conn: Any = await aio.connect("127.0.0.1", port, reconnect=QUICK)
        while not conn._connection.closed:
            await asyncio.sleep(0.001)
        first, second = [asyncio.ensure_future(conn.root.echo(number)) for number in (1, 2)]
        while conn._connecting is None:
            await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        async with aio.Server(office, "127.0.0.1", port):
            assert await second == 2
            await conn.close()

    loops[0].run(main())


def test_an_attempt_that_nobody_has_waited_for_is_forgotten(loops: Loops, office: Office) -> None:
    async def main() -> None:
        settings = netobj.Reconnect(attempts=2, delay=0.2, jitter=0)
        async with aio.Server(office, "127.0.0.1") as server:
            port = server.port
            conn: Any = await aio.connect("127.0.0.1", port, reconnect=settings)
        while not conn._connection.closed:
            await asyncio.sleep(0.001)
        with netobj.deadline(0.01), pytest.raises(AsyncResultTimeout):
            await conn.root.echo(1)
        await asyncio.wait((conn._connecting,))
        async with aio.Server(office, "127.0.0.1", port):
            assert await conn.root.echo(2) == 2
            await conn.close()

    loops[0].run(main())


def test_a_thread_that_is_out_of_time_leaves_it_to_the_others(office: Office) -> None:
    server = Restarting(hostname="localhost")
    conn: Any = netobj.connect("localhost", server.server.port, reconnect=QUICK)
    root, plain = conn.root, conn._connection
    server.close()
    wait_until(lambda: plain.closed)
    found: list[Any] = []

    def hasty() -> None:
        try:
            with netobj.deadline(0.2):
                root.echo(1)
        except AsyncResultTimeout:
            found.append("hasty")

    def patient() -> None:
        found.append(root.echo(2))

    threads = [threading.Thread(target=work) for work in (hasty, patient)]
    threads[0].start()
    wait_until(lambda: conn._attempt is not None)
    threads[1].start()
    threads[0].join(60)
    assert found == ["hasty"]
    server.start()
    threads[1].join(60)
    assert found == ["hasty", 2]
    conn.close()
    server.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_makes_its_own(tmp_path: Any) -> None:
    program = tmp_path / "program.py"
    program.write_text(FORKING)
    args = [sys.executable, str(program)]
    done = subprocess.run(args, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("child 7\nparent 7\n", "")


FORKING = """
import os, netobj
class Echo(netobj.Service):
    def exposed_echo(self, value):
        return value
with netobj.ThreadedServer(Echo, hostname="localhost") as server:
    conn = netobj.connect("localhost", server.port, reconnect=True)
    root = conn.root
    pid = os.fork()
    if pid == 0:
        os.write(1, b"child %d\\n" % root.echo(7))
        os._exit(0)
    os.waitpid(pid, 0)
    os.write(1, b"parent %d\\n" % root.echo(7))
    conn.close()
"""
