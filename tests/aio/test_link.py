"""Requests of a connection: what goes with them, and when they have to wait for room."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from looped import awaiting, joined, run, until

import netobj
from netobj import aio
from netobj.core.consts import DEFAULT_LIMITS, Limit


class Slow(netobj.Service):
    def __init__(self) -> None:
        self.log: list[str] = []
        self.opened = asyncio.Event()

    @netobj.exposed
    async def wait(self) -> None:
        self.log.append("waits")
        await self.opened.wait()

    @netobj.exposed
    async def left(self) -> float | None:
        return netobj.current_call().time_left


def test_metadata_travels_and_is_not_inherited() -> None:
    class Meta(netobj.Service):
        @netobj.exposed
        async def got(self) -> dict[str, Any]:
            return dict(netobj.current_call().metadata)

        @netobj.exposed
        def asked(self, function: Any) -> Any:
            return (netobj.current_call().metadata["user"], function())

    async def main() -> None:
        async with joined(Meta()) as pair:

            def mine() -> Any:
                return len(netobj.current_call().metadata)

            with netobj.metadata(user="alice", number=1):
                got = await pair.root.got()
                assert await aio.copy_of(got) == {"user": "alice", "number": 1}
                assert await pair.root.asked(mine) == ("alice", 0)
            del got

    run(main())


def test_calls_beyond_the_limit_of_the_peer_wait() -> None:
    class Counts(netobj.Service):
        def __init__(self) -> None:
            self.most = self.now = 0

        @netobj.exposed
        async def enter(self, number: int) -> int:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0)
            self.now -= 1
            return number

    async def main() -> None:
        counts = Counts()
        limits = list(DEFAULT_LIMITS)
        limits[Limit.REQUESTS] = 8
        async with joined(counts, server_config={"limits": tuple(limits)}) as pair:
            await pair.root.enter(0)  # the limits are known
            tasks = [awaiting(pair.root.enter(n)) for n in range(200)]
            await asyncio.sleep(0)
            for task in tasks[50:60]:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            assert [n for n in done if not isinstance(n, BaseException)] == [
                n for n in range(200) if not 50 <= n < 60
            ]
            assert counts.most <= 8
            del tasks, task, done

    run(main())


def test_waiting_for_room_ends_with_the_deadline_or_the_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        slow = Slow()
        limits = list(DEFAULT_LIMITS)
        limits[Limit.REQUESTS] = 2
        async with joined(slow, server_config={"limits": tuple(limits)}) as pair:
            await pair.root.left()
            tasks = [awaiting(pair.root.wait()) for _ in range(2)]
            await until(lambda: len(slow.log) == 2)
            with netobj.deadline(0.01), pytest.raises(TimeoutError, match="room"):
                await pair.root.left()
            monkeypatch.setattr("netobj.aio.link.CREDIT_PATIENCE", 0.01)
            with pytest.raises(netobj.Busy, match="no room for another call"):
                await pair.root.left()
            late = awaiting(pair.root.left())
            monkeypatch.undo()
            slow.opened.set()
            await asyncio.gather(*tasks, late)
            del tasks, late

    run(main())


def test_a_call_within_a_chain_is_exempt_from_the_limit() -> None:
    class Deep(netobj.Service):
        @netobj.exposed
        async def down(self, depth: int, back: Any) -> Any:
            return await back(depth)

    async def main() -> None:
        limits = list(DEFAULT_LIMITS)
        limits[Limit.REQUESTS] = 2
        config = {"limits": tuple(limits)}
        async with joined(Deep(), config=config, server_config=config) as pair:

            async def back(depth: int) -> Any:
                return 0 if not depth else 1 + await pair.root.down(depth - 1, back)

            assert await pair.root.down(10, back) == 10

    run(main())


def test_callers_wait_while_the_peer_does_not_read() -> None:
    class Reads(netobj.Service):
        def __init__(self) -> None:
            self.got = 0

        @netobj.exposed
        async def take(self, data: bytes) -> int:
            self.got += len(data)
            return len(data)

    async def main() -> None:
        reads = Reads()
        async with joined(reads) as pair:
            there = pair.there
            await pair.root.take(b"")
            there.transport.pause_reading()
            data = bytes(100_000)
            tasks = [awaiting(pair.root.take(data)) for _ in range(200)]
            await until(lambda: pair.conn._paused)
            for _ in range(50):
                await asyncio.sleep(0)
            assert len(pair.conn.session.pending) < 150  # the others have not been sent
            there.transport.resume_reading()
            await asyncio.gather(*tasks)
            assert reads.got == 200 * len(data)
            del tasks

    run(main())


def test_a_peer_that_breaks_the_protocol_is_told_why(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        slow = Slow()
        async with joined(slow, clean=False) as pair:
            task = awaiting(pair.root.wait())
            await until(lambda: slow.log)
            pair.conn.transport.write(b"\x00\x00\x00\x01\xc1")
            with pytest.raises(netobj.ConnectionLost, match="said goodbye: protocol error"):
                await task

    run(main())
    assert len([record for record in caplog.records if "was ended" in record.message]) == 1


def test_a_fault_of_ours_ends_the_connection_and_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with joined(Slow(), clean=False) as pair:

            def fail(*_: Any) -> None:
                raise ZeroDivisionError("ours")

            monkeypatch.setattr(pair.there.session, "receive_data", fail)
            with pytest.raises(netobj.ConnectionLost):
                await pair.root.left()

    run(main())
    assert "reading a message failed" in caplog.text


def test_whoever_waits_for_the_end_of_a_connection_hears_of_it() -> None:
    async def main() -> None:
        async with joined(Slow(), clean=False) as pair:
            seen: list[object] = []
            pair.conn.when_closed(seen.append)
            waiting = asyncio.create_task(pair.conn.wait_closed())
            pair.there.transport.abort()
            await waiting
            assert seen == [pair.conn]

    run(main())
