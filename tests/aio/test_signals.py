"""Servers on event loops that signals end, in programs of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import netobj
from netobj.aio.signals import on_signals
from patience import HANG, wait_until

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")

PROGRAM = """
import asyncio, signal, sys
from pathlib import Path
import netobj

class Service(netobj.Service):
    @netobj.exposed
    async def wait_for(self, path):
        Path(f"{path} is waited for").touch()
        while not Path(path).exists():
            await asyncio.sleep(0.001)
        return "it is there"

async def main():
    server = netobj.aio.Server(Service, "localhost", graceful_timeout=60)
    await server.start()
    print(server.port, flush=True)
    before = signal.getsignal(signal.SIGINT)
    cut = await server.run_forever()
    assert signal.getsignal(signal.SIGINT) is before
    print(len(cut))

asyncio.run(main())
"""


@contextmanager
def program() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A program that serves, and its port."""
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def refused(port: int) -> bool:
    try:
        netobj.connect("localhost", port).close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("cut", [False, True])
def test_one_lets_calls_end_and_two_cut_them(number: int, cut: bool, tmp_path: Path) -> None:
    path = tmp_path / "end"
    with program() as (process, port), netobj.connect("localhost", port) as conn:
        result = netobj.async_(conn.root.wait_for)(str(path))
        wait_until(Path(f"{path} is waited for").exists)
        process.send_signal(number)
        wait_until(lambda: refused(port))
        if cut:
            process.send_signal(number)
            with pytest.raises(netobj.ConnectionLost):
                _ = result.value
        else:
            path.touch()
            assert result.value == "it is there"
        assert process.stdout is not None
        assert process.stderr is not None
        assert int(process.stdout.read()) == cut  # as many calls
        err = process.stderr.read()
        assert "Error" not in err
        assert "Warning" not in err
        assert process.wait(HANG) == 0


def test_handlers_of_the_program_are_left_alone() -> None:
    heard: list[int] = []

    def handler(number: int, frame: Any) -> None:
        heard.append(number)

    async def main() -> None:
        with on_signals(lambda: heard.append(0)):
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0)

    before = signal.signal(signal.SIGTERM, handler)
    try:
        asyncio.run(main())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_a_loop_without_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        def no(*_: object) -> None:
            raise NotImplementedError

        monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", no, raising=False)
        with on_signals(main):
            pass

    asyncio.run(main())


def test_not_in_other_threads() -> None:
    async def main() -> None:
        before = signal.getsignal(signal.SIGTERM)
        with on_signals(main):
            assert signal.getsignal(signal.SIGTERM) is before

    async def elsewhere() -> None:
        await asyncio.to_thread(asyncio.run, main())

    asyncio.run(elsewhere())


def test_other_names() -> None:
    assert netobj.aio.Server(netobj.VoidService, graceful_timeout=7).grace == 7
    assert netobj.aio.Server(netobj.VoidService).grace == 3
