from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

import redises
from netobj.interceptors import redis_buckets
from netobj.interceptors.buckets import Rate
from netobj.interceptors.redis_buckets import RedisBuckets
from patience import wait_until

SLOW = Rate(1, 3600.0, burst=3)
Make = Callable[[Rate], RedisBuckets]


@pytest.fixture
def redis() -> Iterator[redises.Redis]:
    with tempfile.TemporaryDirectory() as folder, redises.running(Path(folder)) as server:
        yield server


@pytest.fixture
def make(redis: redises.Redis) -> Iterator[Make]:
    """Makes buckets in the Redis, and gives up their connections in the end."""
    with ExitStack() as stack:

        def make(rate: Rate) -> RedisBuckets:
            return stack.enter_context(closing(RedisBuckets(rate, redis.uri, {})))

        yield make


def test_processes_share_what_there_is(make: Make) -> None:
    one, other = (make(SLOW) for _ in range(2))
    assert [one.take("a"), other.take("a"), one.take("a")] == [0, 0, 0]
    assert 3590 < other.take("a") <= 3600
    assert 3590 < one.take("a") <= 3600
    assert other.take("b") == 0


def test_what_was_closed_can_be_used_again(make: Make) -> None:
    limit = make(SLOW)
    assert limit.take("a") == 0
    limit.close()
    assert [limit.take("a") for _ in range(2)] == [0, 0]
    assert limit.take("a") > 0


def test_each_rate_has_buckets_of_its_own(make: Make) -> None:
    assert make(Rate(1, 3600.0, burst=1)).take("a") == 0
    assert make(Rate(2, 3600.0, burst=1)).take("a") == 0


def test_a_bucket_fills_again_and_is_forgotten_when_full(redis: redises.Redis, make: Make) -> None:
    limit = make(Rate(1000, 1.0, burst=1))
    assert limit.take("a") == 0
    wait_until(lambda: limit.take("a") == 0)
    wait_until(lambda: redis.names() == [])


def test_names_of_any_kind(redis: redises.Redis, make: Make) -> None:
    limit = make(SLOW)
    assert {limit.take(name) for name in ("", "\ud800", "a b\n", "x" * 100_000)} == {0}
    assert all(len(key) < 100 for key in redis.names())


def test_without_its_redis_a_process_counts_alone_and_says_so(
    redis: redises.Redis,
    make: Make,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit = make(SLOW)
    assert limit.take("a") == 0
    redis.stop()
    with caplog.at_level(logging.ERROR, "netobj.rates"):
        assert [limit.take("a") for _ in range(3)] == [0, 0, 0]
        assert limit.take("a") > 0
    assert [record.message.split(":")[0] for record in caplog.records] == ["rate limits"]
    redis.start()
    monkeypatch.setattr(redis_buckets.time, "monotonic", lambda: limit._not_before)
    assert limit.take("a") == 0


@pytest.mark.parametrize("uri", ["memory://", "memcached://localhost:1"])
def test_what_is_no_redis(uri: str) -> None:
    with pytest.raises(ValueError, match="in memory or in a Redis, not in 'mem"):
        RedisBuckets(SLOW, uri, {})
