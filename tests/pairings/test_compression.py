"""Messages that travel compressed, on all four pairings."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import netobj
from netobj.core.config import Compression
from pairings import Pairing, wait_until

WORDS = tuple(f"word number {number}" for number in range(2000))


class Echo(netobj.Service):
    @netobj.exposed
    def echo(self, value: Any) -> Any:
        return value

    @netobj.exposed
    async def echo_async(self, value: Any) -> Any:
        return value

    @netobj.exposed
    def back(self, function: Any, value: Any) -> Any:
        return function(value)

    @netobj.exposed
    def fail(self, text: str) -> None:
        raise ValueError(text)

    @netobj.exposed(stream=True)
    def words(self) -> Iterator[Any]:
        for _ in range(5):
            yield WORDS


def passed(pairing: Pairing, own: str, theirs: str) -> dict[str, int]:
    """How many bytes go each way in a connection with these settings, for one long echo."""
    config = {"compression": theirs}
    pair = pairing.join(Echo, config=config, own_config={"compression": own}, relay=True)
    assert pair.get(pair.root.echo(1)) == 1  # both hellos have come
    assert pair.get(pair.root.echo(WORDS)) == WORDS
    wait_until(lambda: pair.relay.passed["answers"] > 1000)
    return dict(pair.relay.passed)


@pytest.mark.parametrize("codec", [codec.value for codec in Compression])
def test_fewer_bytes_travel(pairing: Pairing, codec: str) -> None:
    plain = passed(pairing, "", "")
    assert min(plain.values()) > 30_000
    assert all(count < 15_000 for count in passed(pairing, codec, codec).values())


def test_each_direction_is_for_itself(pairing: Pairing) -> None:
    only_there = passed(pairing, "zlib", "")
    assert only_there["questions"] < 15_000 < 30_000 < only_there["answers"]
    only_back = passed(pairing, "", "lzma")
    assert only_back["answers"] < 15_000 < 30_000 < only_back["questions"]
    assert all(count < 15_000 for count in passed(pairing, "bz2", "zlib").values())


@pytest.mark.parametrize("codec", [codec.value for codec in Compression])
def test_everything_goes_through(pairing: Pairing, codec: str) -> None:
    config = {"compression": codec}
    pair = pairing.join(Echo, config=config, own_config=config)
    root = pair.root
    for size in (1, 1000, 1100, 5000, 60_000, 70_000):
        assert pair.get(root.echo("ab" * size)) == "ab" * size
        assert pair.get(root.echo_async(bytes(size))) == bytes(size)
    assert pair.get(root.echo((WORDS, b"b" * 100_000))) == (WORDS, b"b" * 100_000)
    pair.oneway(root.echo, WORDS)
    with pytest.raises(ValueError, match="x" * 500):
        pair.get(root.fail("x" * 5000))

    def give_back(value: Any) -> Any:
        yield 1
        return value

    assert pair.get(root.back(pair.function(give_back), WORDS)) == WORDS
    assert list(pair.items(root.words())) == [WORDS] * 5


def test_many_threads(pairing: Pairing) -> None:
    config = {"compression": "zlib"}
    pair = pairing.join(Echo, config=config, own_config=config)
    root, right = pair.root, []

    def ask(number: int) -> None:
        text = f"text {number} " * 300
        right.append(pair.get(root.echo(text)) == text)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 30
