"""``netobj.aio.stub``: a reference that type checkers and editors know."""

from __future__ import annotations

from typing import Any

from netobj.aio import op
from netobj.aio.reference import Reference
from netobj.interfaces import Interface, P, checked_interface, known_names, missing_error, names_of


async def stub(ref: Any, protocol: Interface[P]) -> P:
    """*ref*, most often ``conn.root``, as what the ``typing.Protocol`` *protocol* describes.

    See :func:`netobj.stub`. The methods of *protocol* are ``async def``; those whose items are
    iterated with ``async for`` are plain ones that return an ``AsyncIterator``; other attributes
    are ``Awaitable``.

    >>> import asyncio, netobj
    >>> from typing import Protocol
    >>> class Calculator(Protocol):
    ...     async def add(self, a: int, b: int) -> int: ...
    >>> class CalculatorService(netobj.Service):
    ...     @netobj.exposed
    ...     def add(self, a, b): return a + b
    >>> async def main():
    ...     async with netobj.aio.Server(CalculatorService, "localhost") as server:
    ...         async with netobj.aio.connect("localhost", server.port) as conn:
    ...             calculator = await netobj.aio.stub(conn.root, Calculator)
    ...             return await calculator.add(1, 2)
    >>> asyncio.run(main())
    3
    """
    interface = checked_interface(protocol)
    missing = names_of(interface)
    if type(ref) is Reference:
        missing -= known_names(ref)
    if missing:
        missing = missing.difference(await op.dir(ref))
    if missing:
        raise missing_error(interface, missing)
    typed: P = ref
    return typed
