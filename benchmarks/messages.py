"""What the worst messages cost whoever receives them: memory, and time of the processor.

Each message is one that a hostile peer would make (``tests/support/crafted.py``), most of them as
large as the limits allow by default. A session receives it, and what of its values is built when a
call runs is built. The bounds of ``docs/security.rst`` are 128 bytes for each of its items, beside
its own bytes as they came and in what is made of them, and 100 ms::

    python benchmarks/messages.py

Exits with 1 if a message costs more. The time is that of the processor, the least of three; another
load on the machine changes it little. Memory is what Python allocates (``tracemalloc``).
"""

from __future__ import annotations

import importlib
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgpack

from netobj.core import values
from netobj.core.bounds import FLAT
from netobj.core.consts import DEFAULT_LIMITS, EXT_WEIGHT, HEADER_SIZE, Limit
from netobj.core.events import Request
from netobj.errors import ProtocolError

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
crafted = importlib.import_module("crafted")
played = importlib.import_module("played")

AN_ITEM: Final = 128
"""Bytes that an item may take."""
A_MESSAGE: Final = 0.1
"""Seconds that a message may take."""
_ANYWAY: Final = 2 * 1024 * 1024  # bytes: a reader's buffer grows ahead
_TIMES: Final = 3
_PIECE: Final = 256 * 1024  # bytes that a stream delivers at a time


class Cost(NamedTuple):
    """What one message took."""

    name: str
    size: int  # bytes
    items: int
    seconds: float
    memory: int  # bytes
    refused: bool

    @property
    def allowed(self) -> int:
        """Bytes that it may take."""
        return 2 * self.size + AN_ITEM * self.items + _ANYWAY


def messages() -> Iterator[tuple[str, bytes]]:
    """The messages by name."""
    for name, make in crafted.REFUSED.items():
        yield name, make()[0]
    for name, arguments in crafted.TAKEN.items():
        yield f"{name}, as many as are taken", crafted.request(*arguments())
    yield "numbers, as many as are taken", crafted.request(tuple(range(2**40, 2**40 + 249_000)))
    texts = ["text" * 14 + str(number) for number in range(249_000)]
    yield "texts, as many as are taken", crafted.request(*texts)
    yield "as long as is taken", crafted.request(b"x" * (DEFAULT_LIMITS[Limit.FRAME] - 100))


def cost(name: str, data: bytes) -> Cost:
    """What the message *data*, with its header, costs."""
    seconds = min(_seconds(data) for _ in range(_TIMES))
    tracemalloc.start()
    try:
        refused = _receive(data)
        memory = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    items = DEFAULT_LIMITS[Limit.ITEMS] if refused else _Items().of(data[HEADER_SIZE:])
    return Cost(name, len(data), items, seconds, memory, refused)


def _seconds(data: bytes) -> float:
    session = played.lone()
    began = time.process_time()
    _receive(data, session)
    return time.process_time() - began


def _receive(data: bytes, session: Any = None) -> bool:
    """Whether it was refused, once all is built that it speaks of."""
    session = session or played.lone()
    try:
        for start in range(0, len(data), _PIECE):
            for event in session.receive_data(data[start : start + _PIECE], 0.0):
                if type(event) is Request and event.deferred:
                    values.complete(event.args)
    except ProtocolError:
        return True
    return False


class _Items:
    """Counts the items of a message as the limit does."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, body: bytes) -> int:
        self._into(body)
        return self._count

    def _into(self, packed: bytes) -> None:
        msgpack.unpackb(
            packed,
            use_list=False,
            ext_hook=self._ext,
            list_hook=self._array,
            object_pairs_hook=lambda pairs: self._array(pairs * 2),
            strict_map_key=False,
        )

    def _array(self, array: Any) -> Any:
        self._count += len(array)
        return array

    def _ext(self, code: int, payload: bytes) -> None:
        self._count += EXT_WEIGHT - 1
        if code not in FLAT:
            self._into(payload)


def main() -> int:
    """Print what each of them costs; 1 if one costs more than it may."""
    print(f"{'message':44} {'bytes':>11} {'items':>8} {'ms':>7} {'memory':>12} {'allowed':>12}")
    worst = 0
    for name, data in messages():
        found = cost(name, data)
        bad = found.seconds > A_MESSAGE or found.memory > found.allowed
        worst |= bad
        print(
            f"{name:44} {found.size:11,} {found.items:8,} {found.seconds * 1000:7.1f} "
            f"{found.memory:12,} {found.allowed:12,} "
            + ("refused" if found.refused else "taken")
            + (" TOO MUCH" if bad else "")
        )
    return int(worst)


if __name__ == "__main__":
    sys.exit(main())
