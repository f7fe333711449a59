"""Interceptors of every server: its start and stop, who comes and leaves, what ends."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from intercepting import KINDS, SERVERS, Noting, NotingLater, client

import netobj
from certificates import Certificates
from netobj import auth
from netobj.auth import TokenAuthenticator
from patience import HANG, wait_until

ROOT = Path(__file__).parents[2]
TOKEN = TokenAuthenticator("correct-horse-battery-staple")
WRONG = TokenAuthenticator("correct-horse-battery-stable")


class Echo(netobj.Service):
    @netobj.exposed
    def echo(self, value: Any) -> Any:
        return value


@pytest.fixture(params=SERVERS)
def make(request: pytest.FixtureRequest) -> Any:
    return SERVERS[request.param]


@pytest.fixture(params=KINDS)
def noting(request: pytest.FixtureRequest) -> Any:
    return request.param()


def balanced(*noting: Noting) -> bool:
    return all(
        len(one.of("accept")) == len(one.of("leave"))
        and {id(peer) for (peer,) in one.of("accept")} == {id(peer) for (peer,) in one.of("leave")}
        for one in noting
    )


def test_each_is_told_of_all(make: Any, noting: Noting) -> None:
    with make(Echo, "localhost", interceptors=[noting]) as server:
        assert [what for _, what, *_ in noting.notes] == ["start"]
        with netobj.connect("localhost", server.port) as conn:
            here = conn.stream.endpoints[0]
            assert conn.root.echo(1) == 1
            (there,) = server.connections
        wait_until(lambda: noting.of("leave"))
    assert [what for _, what, *_ in noting.notes] == "start accept call close leave stop".split()
    ((peer,),) = noting.of("accept")
    assert noting.of("leave") == [(peer,)]
    assert peer.address == here
    assert peer.connection is there
    ((closed, reason),) = noting.of("close")
    assert closed is there
    assert "the other side closed the connection" in reason
    assert noting.of("start") == noting.of("stop") == [(peer.server,)]


def test_the_first_is_the_outermost(make: Any) -> None:
    notes: list[Any] = []
    chain = [Noting("a", notes), NotingLater("b", notes), Noting("c", notes)]
    with make(Echo, "localhost", interceptors=chain) as server:
        with netobj.connect("localhost", server.port) as conn:
            assert conn.root.echo(1) == 1
        wait_until(lambda: len([1 for note in list(notes) if note[1] == "leave"]) == 3)
    names: dict[str, str] = {}
    for name, what, *_ in notes:
        names[what] = names.get(what, "") + name
    forth, back = dict.fromkeys(("start", "accept", "call"), "abc"), "cba"
    assert names == {**forth, "close": back, "leave": back, "stop": back}


def test_what_refuses_to_start(make: Any) -> None:
    class Refuses(netobj.Interceptor):
        def on_start(self, server: Any) -> None:
            raise KeyError("not today")

    before, behind = Noting(), Noting()
    server = make(Echo, "localhost", interceptors=[before, Refuses(), behind])
    with pytest.raises(KeyError, match="not today"), server:
        pass
    assert [what for _, what, *_ in before.notes] == ["start", "stop"]
    assert behind.notes == []


class Bouncer(netobj.Interceptor):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def on_accept(self, peer: Any) -> None:
        raise self.error

    def on_leave(self, peer: Any) -> None:
        raise AssertionError("it was never let in here")


@pytest.mark.parametrize("skin", ["blocking", "aio"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (netobj.Refused("no more of you"), "no more of you"),
        (ZeroDivisionError("a secret"), "an interceptor of the server's failed"),
    ],
)
def test_who_is_refused_hears_why(
    make: Any, skin: str, error: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    before, behind = Noting(), Noting()
    with make(Echo, "localhost", interceptors=[before, Bouncer(error), behind]) as server:
        lost = pytest.raises(netobj.ConnectionLost, match=reason)
        with lost as caught, client(skin, server.port) as one:
            one.get(one.root.echo(1))
        wait_until(lambda: before.of("leave"))
    assert "a secret" not in str(caught.value)
    assert balanced(before)
    assert behind.of("accept") == behind.of("close") == before.of("close") == []
    assert any(f"refused a connection: {reason}" in one.getMessage() for one in caplog.records)


def test_who_is_refused_before_tls_hears_nothing(make: Any, certificates: Certificates) -> None:
    context = certificates.server
    chain = [Bouncer(netobj.Refused("no"))]
    with make(Echo, "localhost", ssl_context=context, interceptors=chain) as server:
        sock = socket.create_connection(("localhost", server.port), HANG)
        with sock:
            assert sock.recv(100) == b""


def test_failing_logins_are_counted_once(make: Any, noting: Noting) -> None:
    TOKEN.delay = WRONG.delay = 0.0
    with make(Echo, "localhost", authenticator=TOKEN, interceptors=[noting]) as server:
        for _ in range(5):
            with pytest.raises((netobj.AuthenticationError, netobj.ConnectionLost)):
                netobj.connect("localhost", server.port, authenticator=WRONG)
        with netobj.connect("localhost", server.port, authenticator=TOKEN) as conn:
            assert conn.root.echo(1) == 1
            wait_until(lambda: len(noting.of("leave")) == 5)
            assert len(noting.of("accept")) == 6
            assert noting.of("close") == []
        wait_until(lambda: balanced(noting))
    assert len(noting.of("close")) == 1
    assert len(noting.of("leave")) == 6


def test_strangers_to_tls_are_counted_once(
    make: Any, noting: Noting, certificates: Certificates
) -> None:
    context = certificates.server
    with make(Echo, "localhost", ssl_context=context, interceptors=[noting]) as server:
        for _ in range(3):
            with socket.create_connection(("localhost", server.port), HANG) as sock:
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        for _ in range(3):
            with pytest.raises(ssl.SSLError):
                netobj.connect("localhost", server.port, ssl_context=auth.client_context())
        wait_until(lambda: len(noting.of("leave")) == 6)
        assert balanced(noting)
        assert noting.of("close") == []
        assert all(peer.connection is None for (peer,) in noting.of("leave"))


def test_a_service_that_refuses_its_client_is_counted_once(make: Any, noting: Noting) -> None:
    class Unwilling(netobj.Service):
        def on_connect(self, conn: Any) -> None:
            raise ValueError("no")

    with make(Unwilling, "localhost", interceptors=[noting]) as server:
        lost = pytest.raises(netobj.ConnectionLost)
        with lost, netobj.connect("localhost", server.port) as conn:
            conn.root.echo(1)
        wait_until(lambda: noting.of("leave"))
    assert balanced(noting)
    assert len(noting.of("close")) == len(noting.of("leave")) == 1


KILLED = """
import netobj, os, sys
conn = netobj.connect("localhost", int(sys.argv[1]))
conn.root.echo(1)
print("here", flush=True)
sys.stdin.read()
"""


def test_killed_clients_are_counted_once(make: Any, noting: Noting) -> None:
    with make(Echo, "localhost", interceptors=[noting]) as server:
        clients = [
            subprocess.Popen(
                [sys.executable, "-c", KILLED, str(server.port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            for _ in range(3)
        ]
        for one in clients:
            assert one.stdout is not None
            assert one.stdout.readline() == b"here\n"
            assert not noting.of("leave")
        for one in clients:
            one.send_signal(signal.SIGKILL)
            one.communicate()
        wait_until(lambda: len(noting.of("leave")) == 3)
        assert balanced(noting)
        assert len(noting.of("close")) == 3


def test_what_is_there_at_the_end_is_told_before_the_stop(make: Any, noting: Noting) -> None:
    with make(Echo, "localhost", interceptors=[noting]) as server:
        conns = [netobj.connect("localhost", server.port) for _ in range(3)]
        for conn in conns:
            assert conn.root.echo(1) == 1
    wait_until(lambda: noting.of("stop") and len(noting.of("leave")) == 3)
    assert len(noting.of("close")) == 3
    assert balanced(noting)
    for conn in conns:
        conn.close()


def test_who_comes_and_goes_at_once_is_counted_once(make: Any, noting: Noting) -> None:
    def come() -> None:
        for _ in range(10):
            with netobj.connect("localhost", server.port) as conn:
                assert conn.root.echo(1) == 1

    with make(Echo, "localhost", interceptors=[noting]) as server:
        coming = [threading.Thread(target=come) for _ in range(8)]
        for thread in coming:
            thread.start()
        for thread in coming:
            thread.join(HANG)
        wait_until(lambda: len(noting.of("leave")) == 80)
    assert balanced(noting)
    assert len(noting.of("close")) == 80
    assert len({id(conn) for conn, _ in noting.of("close")}) == 80


def test_what_hooks_raise_at_the_end_is_logged(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy(netobj.Interceptor):
        def on_close(self, conn: Any, reason: str) -> None:
            raise ValueError("at the close")

        def on_leave(self, peer: Any) -> None:
            raise ValueError("at the leave")

        def on_stop(self, server: Any) -> None:
            raise ValueError("at the stop")

    outer = Noting()
    with make(Echo, "localhost", interceptors=[outer, Clumsy()]) as server:
        with netobj.connect("localhost", server.port) as conn:
            assert conn.root.echo(1) == 1
        wait_until(lambda: outer.of("leave"))
    raised = {str(one.exc_info[1]) for one in caplog.records if one.exc_info}
    assert raised == {"at the close", "at the leave", "at the stop"}
    assert [what for _, what, *_ in outer.notes][-3:] == ["close", "leave", "stop"]


def test_those_of_the_settings_are_inside_of_those_of_the_server(make: Any) -> None:
    notes: list[Any] = []
    more = {"protocol_config": {"interceptors": [Noting("b", notes)]}}
    with make(Echo, "localhost", interceptors=[Noting("a", notes)], **more) as server:
        conn = netobj.connect("localhost", server.port)
        assert conn.root.echo(1) == 1
        conn.close()
    assert [name for name, what, *_ in notes if what in ("accept", "call")] == list("abab")


def test_what_is_no_interceptor(make: Any) -> None:
    with pytest.raises(TypeError, match=r"derive from netobj\.Interceptor, not <class"):
        make(Echo, "localhost", interceptors=[Noting])

    class Late(netobj.Interceptor):
        async def on_message(self, frame: bytes, direction: Any) -> None:  # type: ignore[override]
            pass

    with pytest.raises(TypeError, match=r"Late\.on_message .* cannot be an async def"):
        make(Echo, "localhost", interceptors=[Late()])


def test_oneshot(noting: Noting) -> None:
    with netobj.OneShotServer(Echo, "localhost", interceptors=[noting]) as server:
        with netobj.connect("localhost", server.port) as conn:
            assert conn.root.echo(1) == 1
        wait_until(lambda: noting.of("stop"))
    assert [what for _, what, *_ in noting.notes] == "start accept call close leave stop".split()


def test_oneshot_waits_for_one_that_is_let_in() -> None:
    class Second(netobj.Interceptor):
        came = 0

        def on_accept(self, peer: Any) -> None:
            self.came += 1
            if self.came == 1:
                raise netobj.Refused("not the first")

    with netobj.OneShotServer(Echo, "localhost", interceptors=[Second()]) as server:
        port = server.port
        with pytest.raises(netobj.ConnectionLost, match="not the first"):
            netobj.connect("localhost", port).root.echo(1)
        with netobj.connect("localhost", port) as conn:
            assert conn.root.echo(1) == 1


FORKING = """
import os, netobj

class Echo(netobj.Service):
    @netobj.exposed
    def echo(self, value): return value

class Note(netobj.Interceptor):
    def __init__(self): self.me = os.getpid()
    def note(self, *what):
        where = "parent" if os.getpid() == self.me else "child"
        os.write(1, (" ".join([where, *map(str, what)]) + "\\n").encode())
    def on_start(self, server): self.note("start")
    def on_stop(self, server): self.note("stop")
    def on_accept(self, peer): self.note("accept")
    def on_leave(self, peer): self.note("leave", peer.connection)
    def on_call(self, call, next):
        self.note("call", call.name)
        return next(call)
    def on_close(self, conn, reason): self.note("close")

with netobj.ForkingServer(Echo, "localhost", interceptors=[Note()]) as server:
    for _ in range(2):
        with netobj.connect("localhost", server.port) as conn:
            assert conn.root.echo(1) == 1
        while server.processes: pass
    conn = netobj.connect("localhost", server.port)
    assert conn.root.echo(1) == 1
    os.kill(server.processes[0], 9)
    while server.processes: pass
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_forking_counts_in_the_parent() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING],
        capture_output=True,
        text=True,
        timeout=2 * HANG,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    one = ["parent accept", "child call Echo.echo()", "child close", "parent leave None"]
    killed = ["parent accept", "child call Echo.echo()", "parent leave None"]
    assert done.stdout.splitlines() == ["parent start", *one, *one, *killed, "parent stop"]


GREEN = """
from gevent import monkey
monkey.patch_all()
import netobj

class Echo(netobj.Service):
    @netobj.exposed
    def echo(self, value): return value
    @netobj.exposed
    async def later(self, value): return value

class Note(netobj.Interceptor):
    def on_start(self, server): print("start")
    def on_stop(self, server): print("stop")
    async def on_accept(self, peer): print("accept")
    def on_leave(self, peer): print("leave")
    async def on_call(self, call, next):
        result = await next(call)
        print(call.name, result)
        return result
    def on_close(self, conn, reason): print("close")

class Plain(netobj.Interceptor):
    def on_call(self, call, next): return next(call)

with netobj.GeventServer(Echo, "localhost", interceptors=[Note(), Plain()]) as server:
    with netobj.connect("localhost", server.port) as conn:
        assert conn.root.echo(1) == 1
        assert conn.root.later(2) == 2
    while server.connections: __import__("time").sleep(0.001)
"""


def test_gevent() -> None:
    pytest.importorskip("gevent")
    done = subprocess.run(
        [sys.executable, "-c", GREEN],
        capture_output=True,
        text=True,
        timeout=2 * HANG,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    calls = ["Echo.echo() 1", "Echo.later() 2"]
    assert done.stdout.splitlines() == ["start", "accept", *calls, "close", "leave", "stop"]
