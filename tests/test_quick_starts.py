"""What easyrpc, pymprpc and rap show first, translated: twenty functions each, from both skins."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import pytest

import netobj
from netobj import aio
from quick_starts import STYLES, Asked
from skins import AioClient, Background, BlockingClient

SERVERS = ("ThreadedServer", "ThreadPoolServer", "AsyncServer", "aio.Server")


@pytest.fixture(scope="module")
def loop() -> Iterator[Background]:
    background = Background("the clients' loop")
    yield background
    background.close()


@pytest.fixture(params=("blocking", "aio"))
def connect(request: pytest.FixtureRequest, loop: Background) -> Any:
    """Connects to a port of this machine, as one of the skins does."""

    def blocking(port: int, **settings: Any) -> Any:
        return BlockingClient(netobj.connect("127.0.0.1", port, **settings), loop)

    def on_a_loop(port: int, **settings: Any) -> Any:
        async def work() -> Any:
            return await aio.connect("127.0.0.1", port, **settings)

        return AioClient(loop.run(work()), loop)

    return blocking if request.param == "blocking" else on_a_loop


@pytest.fixture
def serve(request: pytest.FixtureRequest, loop: Background) -> Any:
    """Serves a service with a server of one kind; returns its port."""

    def start(kind: str, service: Any, **how: Any) -> int:
        if kind != "aio.Server":
            server: Any = getattr(netobj, kind)(service, hostname="127.0.0.1", **how)
            server.__enter__()
            request.addfinalizer(server.close)
            return int(server.port)

        async def begin() -> Any:
            made = aio.Server(service, "127.0.0.1", **how)
            await made.start()
            return made

        server = loop.run(begin())
        request.addfinalizer(lambda: loop.run(server.close()))
        return int(server.port)

    return start


def ask(client: Any, asked: Asked) -> Any:
    """What comes of the call: the items, of a stream."""
    method = attrgetter(asked.name)(client.root)
    if type(asked.result) is list and asked.name not in ("names", "sorted"):
        found = client.get(method(*asked.args, **asked.kwargs))
        return list(client.items(found))
    return client.get(method(*asked.args, **asked.kwargs))


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("style", STYLES)
def test_twenty_functions(style: str, kind: str, serve: Any, connect: Any) -> None:
    service, table = STYLES[style]()
    client = connect(serve(kind, service))
    try:
        for asked in table:
            assert ask(client, asked) == asked.result, asked
    finally:
        client.close()


@pytest.mark.parametrize("style", STYLES)
def test_there_are_twenty(style: str) -> None:
    service, table = STYLES[style]()
    with netobj.connect_thread(remote_service=service, remote_config={"introspect": True}) as conn:
        told = {info["name"] for info in conn.root.system.methods()}
    assert len(told - {"get_service_name", "get_service_aliases"}) >= 20
    assert {asked.name for asked in table} <= told


def test_easyrpc_with_several_processes(connect: Any) -> None:
    service, table = STYLES["easyrpc"]()
    with netobj.PreforkServer(service, hostname="127.0.0.1", workers=2) as server:
        client = connect(server.port)
        try:
            for asked in table:
                if asked.name != "note":  # which counts by itself in each worker
                    assert ask(client, asked) == asked.result, asked
        finally:
            client.close()


def test_pymprpc_asks_what_there_is(serve: Any, connect: Any) -> None:
    """Its ``system.listMethods``, ``methodSignature``, ``methodHelp`` and ``lenConnections``."""
    client = connect(serve("AsyncServer", STYLES["pymprpc"]()[0], introspect=True))
    try:
        system = client.root.system
        listed = [info["name"] for info in client.get(system.methods())]
        assert {"testfunc", "testcorogen", "shelf.add"} <= set(listed)
        assert "(a: int, b: int) -> int" in client.get(system.signature("testclassmethod"))
        assert "This one has help." in client.get(system.help("testfunc"))
        assert client.get(system.connections())["count"] == 1
    finally:
        client.close()


def test_rap_checks_types_and_names(serve: Any, connect: Any) -> None:
    service, _ = STYLES["rap"]()
    with pytest.raises(ValueError, match="registered already"):
        service.register(sum, name="sync_sum")
    client = connect(serve("AsyncServer", service))
    try:
        with pytest.raises(TypeError, match="'b'"):
            client.get(client.root.sync_sum(1, "2"))
        with pytest.raises(TypeError, match="result"):
            client.get(client.root.wrong_result(1))
        with pytest.raises(AttributeError):
            client.get(client.root.counter.hidden())
        with client.open(client.root.channel) as end:
            end.send("rap")
            assert end.receive() == "RAP"
    finally:
        client.close()
