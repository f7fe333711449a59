from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from looped import run

import netobj
from netobj import aio

NewLoop = Callable[[], asyncio.AbstractEventLoop]


@asynccontextmanager
async def classic() -> AsyncIterator[Any]:
    async with (
        aio.Server(netobj.SlaveService, "localhost") as server,
        aio.classic.connect("localhost", server.port) as conn,
    ):
        yield conn


def test_modules(new_loop: NewLoop) -> None:
    async def main() -> None:
        async with classic() as conn:
            assert await conn.modules.os.path.join("a", "b") == "a/b"
            assert await conn.modules["os.path"].basename("a/b") == "b"
            assert await conn.builtins.sum((1, 2)) == 3
            assert await conn.builtin.len("abc") == 3
            assert conn.modules.os is conn.modules["os"]  # asked for once
            for _ in range(2):
                with pytest.raises(ModuleNotFoundError):
                    await conn.modules.no_such_module
            with pytest.raises(AttributeError):
                conn.modules.__wrapped__  # noqa: B018

    run(main(), new_loop)


def test_eval_execute_and_namespace() -> None:
    async def main() -> None:
        async with classic() as conn:
            assert await conn.eval("6 * 7") == 42
            await conn.execute("x = [1, 2, 3]")
            assert await conn.eval("len(x)") == 3
            assert [item async for item in conn.namespace["x"]] == [1, 2, 3]
            with pytest.raises(ZeroDivisionError):
                await conn.eval("1 / 0")

    run(main())


def test_teleport() -> None:
    async def main() -> None:
        def squares(most: int) -> list[int]:
            return [n * n for n in range(most)]

        async with classic() as conn:
            moved = await conn.teleport(squares)
            assert await aio.copy_of(moved(4)) == [0, 1, 4, 9]
            assert await conn.eval("squares(3)[-1]") == 4

    run(main())


def test_a_module_that_is_never_used_warns_of_nothing_else() -> None:
    async def main() -> None:
        async with classic() as conn:
            conn.modules.os  # noqa: B018
            await conn.modules.os.getpid()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(main())
        gc.collect()


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets")
def test_unix_connect(tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "socket")
        async with (
            aio.Server(netobj.SlaveService, path=path),
            aio.classic.unix_connect(path) as conn,
        ):
            assert await conn.eval("1 + 1") == 2

    run(main())


def test_blocking_servers_answer_too() -> None:
    with netobj.ThreadedServer(netobj.SlaveService, hostname="localhost") as server:

        async def main() -> None:
            async with aio.classic.connect("localhost", server.port) as conn:
                assert await conn.modules.os.path.join("a", "b") == "a/b"
                stream = await conn.eval("(n for n in range(3))")
                assert [n async for n in stream] == [0, 1, 2]
                del stream

        run(main())
