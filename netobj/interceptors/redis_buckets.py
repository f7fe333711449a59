"""Token buckets that the processes of several machines share, in a Redis.

The library ``limits`` finds the Redis, alone or behind sentinels or in a cluster; it has windows of
time, but no buckets, so these are a script of their own there: a step of it is one for all who use
it, and it goes by the clock of the Redis.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import Any, Final

from limits.storage import RedisStorage, storage_from_string

from netobj.interceptors.buckets import Buckets, Rate

_TIMEOUT: Final = 1.0
"""Seconds that a Redis has for an answer, unless told otherwise."""
_PAUSE: Final = 5.0
"""Seconds without a Redis, once it did not answer, before it is asked again."""
_MICRO: Final = 1000  # nanoseconds

_TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now) + ARGV[1]
local missing = full - ARGV[2] - now
if missing > 0 then
    return missing
end
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
return 0
"""


class RedisBuckets:
    """As :class:`~netobj.interceptors.buckets.Buckets`, with the table in the Redis of *uri*.

    *options* are those of the connection (``socket_timeout`` is 1 s by default). Raises ValueError
    where *uri* is not one of a Redis. While it does not answer, this process counts by itself.
    """

    def __init__(self, rate: Rate, uri: str, options: dict[str, Any]) -> None:
        scheme = uri.partition(":")[0]  # the rest may have a password in it
        if not scheme.startswith(("redis", "valkey")):
            raise ValueError(f"rate limits are kept in memory or in a Redis, not in {scheme!r}")
        timeouts = {"socket_timeout": _TIMEOUT, "socket_connect_timeout": _TIMEOUT}
        storage = storage_from_string(uri, **{**timeouts, **options})
        assert isinstance(storage, RedisStorage)  # so are those of clusters and sentinels
        interval = max(1, rate.interval // _MICRO)
        self._arguments = (interval, interval * rate.burst)
        self._prefix = f"netobj:{rate.amount}/{rate.seconds:g}+{rate.burst}:"
        self._client = storage.get_connection()
        self._run = self._client.register_script(_TAKE)
        self._errors = storage.base_exceptions
        self._alone = Buckets(rate)
        self._not_before = 0.0  # time.monotonic() from which on Redis is asked again

    def take(self, key: str) -> float:
        """Take a token from the bucket *key*; or return in how many seconds there is one."""
        if time.monotonic() < self._not_before:
            return self._alone.take(key)
        name = self._prefix + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        try:
            missing = int(self._run(keys=[name], args=self._arguments))
        except self._errors as exc:
            self._not_before = time.monotonic() + _PAUSE
            _log.error("rate limits: no answer from Redis, this process counts alone: %s", exc)
            return self._alone.take(key)
        return missing / 1_000_000

    def close(self) -> None:
        """Give up the connections to the Redis; there are new ones when they are needed."""
        self._client.close()


_log: Final = logging.getLogger("netobj.rates")
