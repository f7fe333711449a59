"""What cannot be sent, said or survived: an error of that call, and of nothing else."""

from __future__ import annotations

import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import netobj
from difficult import MAKERS, VALUES
from pairings import Pair, Pairing
from patience import HANG, wait_until


class Difficult(netobj.Service):
    """Answers with what cannot be sent."""

    def __init__(self) -> None:
        self.dropped = 0
        self.gate = threading.Event()

    @netobj.exposed
    def make(self, what: str) -> Any:
        return MAKERS[what]()

    @netobj.exposed
    async def make_async(self, what: str) -> Any:
        return MAKERS[what]()

    @netobj.exposed(stream=True)
    def stream(self, what: str) -> Iterator[Any]:
        yield 1
        yield MAKERS[what]()

    @netobj.exposed(stream=True)
    async def stream_async(self, what: str) -> AsyncIterator[Any]:
        yield 1
        yield MAKERS[what]()

    @netobj.exposed
    def call(self, callback: Any) -> Any:
        callback()

    @netobj.exposed
    async def call_async(self, callback: Any) -> Any:
        await callback()

    @netobj.exposed
    def dropping(self, what: str) -> Any:
        service = self

        class Dropped:
            def __del__(self) -> None:
                service.dropped += 1
                MAKERS[what]()

        return Dropped()

    @netobj.exposed(concurrent=True)
    def wait(self) -> bool:
        return self.gate.wait(HANG)

    @netobj.exposed(concurrent=True)
    def open(self) -> None:
        self.gate.set()

    @netobj.exposed
    def add(self, a: int, b: int) -> int:
        return a + b


SERVICE = Difficult
OWN = ("error: an exit", "error: an interrupt", "error: the end of a generator")


def survives(pair: Pair, what: str, use: Callable[[], object]) -> None:
    """Whatever comes of *use*, other calls and the connection go on."""
    started = pair.start(pair.root.add, 20, 22)
    raised = None
    try:
        use()
    except BaseException as exc:
        raised = type(exc)
    # Not the exceptions themselves, which are more than pytest can show.
    assert raised is None or not issubclass(raised, netobj.ConnectionLost | TimeoutError), what
    assert started.result() == 42, what
    assert pair.get(pair.root.add(1, 2)) == 3, what
    assert not pair.client.connection.closed, what
    assert not pair.served.closed, what


@pytest.fixture
def quiet(pairing: Pairing) -> Pair:
    config = {"log_exceptions": False}
    return pairing.join(Difficult(), config=config, own_config=config)


@pytest.mark.parametrize("how", ["make", "make_async"])
def test_answers(quiet: Pair, how: str) -> None:
    for what in MAKERS:
        survives(quiet, what, lambda what=what: quiet.get(getattr(quiet.root, how)(what)))  # type: ignore[misc]


@pytest.mark.parametrize("how", ["stream", "stream_async"])
def test_items(quiet: Pair, how: str) -> None:
    def read(what: str) -> None:
        stream = quiet.items(getattr(quiet.root, how)(what))
        assert next(stream) == 1
        next(stream)

    for what in MAKERS:
        survives(quiet, what, lambda what=what: read(what))  # type: ignore[misc]


@pytest.mark.parametrize("how", ["call", "call_async"])
def test_answers_of_callbacks(quiet: Pair, how: str) -> None:
    for what, make in MAKERS.items():
        if quiet.client.skin == "aio" and what in OWN:
            continue  # it comes home to the client's task, and ends its loop as it would alone
        survives(quiet, what, lambda make=make: quiet.get(getattr(quiet.root, how)(make)))  # type: ignore[misc]


def test_arguments(quiet: Pair) -> None:
    for what, make in VALUES.items():
        survives(quiet, what, lambda make=make: quiet.get(quiet.root.add(make(), 1)))  # type: ignore[misc]


def test_completion_callbacks(quiet: Pair) -> None:
    if quiet.client.skin == "aio":
        pytest.skip("they are asyncio's")
    for what, make in MAKERS.items():
        called: list[Any] = []

        def callback(result: Any, make: Any = make, called: Any = called) -> None:
            called.append(result)
            make()

        if what == "error: without parts":
            continue  # it is logged, and pytest's own handler of logs does not survive it
        quiet.served.session.boxing.root.gate.clear()
        result = netobj.async_(quiet.root.wait)()
        for _ in range(2):
            result.add_callback(callback)
        quiet.get(quiet.root.open())
        survives(quiet, what, lambda result=result: result.value)  # type: ignore[misc]
        wait_until(lambda called=called: len(called) == 2)  # type: ignore[misc]
        assert result.value is True


def test_finalizers(quiet: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    before = quiet.served.session.boxing.root.dropped
    for what in MAKERS:
        thing = quiet.get(quiet.root.dropping(what))
        del thing
    wait_until(lambda: quiet.get(quiet.root.add(1, 1)) == 2 and _all_dropped(quiet, before))
    survives(quiet, "the end", lambda: None)


def _all_dropped(pair: Pair, before: int) -> bool:
    for side in (pair.client.connection, pair.served):
        side.flush_releases() if pair.client.skin == "blocking" else None
    return bool(pair.served.session.boxing.root.dropped == before + len(MAKERS))


@pytest.mark.parametrize("hook", ["on_connect", "on_disconnect"])
@pytest.mark.parametrize(
    "what",
    ["error: out of memory", "error: an exit", "error: an interrupt", "spent: all depth"],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_hooks(pairing: Pairing, hook: str, what: str) -> None:
    service = type("Fails", (Difficult,), {hook: lambda self, conn: MAKERS[what]()})
    server = pairing.serve(service, log_exceptions=False)
    for _ in range(3):
        try:
            client = pairing.connect(server.port)
            assert client.get(client.root.add(1, 2)) == 3
            assert hook == "on_disconnect"
            client.close()
        except netobj.ConnectionLost:
            assert hook == "on_connect"
    wait_until(lambda: not server.connections)
