"""A service that the tests of references and of sending share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from looped import counted

import netobj


class Balance:
    def __init__(self, amount: int) -> None:
        self.amount = amount

    @netobj.exposed
    async def add(self, amount: int) -> int:
        self.amount += amount
        return self.amount

    @netobj.exposed
    def next(self) -> Balance:
        return Balance(self.amount + 1)

    @netobj.exposed
    def value(self) -> int:
        return self.amount


class Account:
    def __init__(self) -> None:
        self.exposed_balance = Balance(10)


class Held:
    def __init__(self, log: list[str]) -> None:
        self.log = log

    def __enter__(self) -> str:
        self.log.append("enter")
        return "inside"

    def __exit__(self, kind: Any, exc: Any, traceback: Any) -> bool:
        self.log.append(f"exit {kind.__name__ if kind else None}")
        return kind is LookupError


class HeldAsync(Held):
    async def __aenter__(self) -> str:
        return self.__enter__()

    async def __aexit__(self, kind: Any, exc: Any, traceback: Any) -> bool:
        return self.__exit__(kind, exc, traceback)


class Bank(netobj.Service):
    def __init__(self) -> None:
        self.exposed_accounts = {"alice": Account()}
        self.opened = 0
        self.log: list[int] = []
        self.notes: list[str] = []
        self.gate = asyncio.Event()

    @netobj.exposed
    async def open(self, amount: int = 1) -> Balance:
        self.opened += 1
        return Balance(amount)

    @netobj.exposed
    async def open_late(self) -> Balance:
        self.opened += 1
        await self.gate.wait()
        return Balance(1)

    @netobj.exposed
    async def late(self) -> int:
        self.opened += 1
        await self.gate.wait()
        return 5

    @netobj.exposed
    async def go(self) -> None:
        self.gate.set()

    @netobj.exposed
    async def double(self, value: int, more: int = 0) -> int:
        return 2 * value + more

    @netobj.exposed
    async def text(self) -> str:
        return "text"

    @netobj.exposed
    async def fail(self) -> Balance:
        self.opened += 1
        raise LookupError("there is none")

    @netobj.exposed
    def numbers(self) -> list[int]:
        return list(range(1000))

    @netobj.exposed
    def pulled(self) -> Iterator[int]:
        return counted(self.log, 100)

    @netobj.exposed(stream=True)
    def streamed(self) -> Iterator[int]:
        return counted(self.log, 100_000)

    @netobj.exposed
    async def agen(self) -> AsyncIterator[int]:
        try:
            for number in range(3):
                self.log.append((yield number) or 0)
        except LookupError as exc:
            self.notes.append(repr(exc))
            yield 99
        finally:
            self.log.append(-1)

    @netobj.exposed
    def gen(self) -> Iterator[int]:
        got = yield 1
        try:
            got = yield got + 1
        except LookupError as exc:
            self.notes.append(repr(exc))
            got = yield 99
        finally:
            self.log.append(-1)
        return 7

    @netobj.exposed
    def held(self) -> Held:
        return Held(self.notes)

    @netobj.exposed
    def held_async(self) -> Held:
        return HeldAsync(self.notes)
