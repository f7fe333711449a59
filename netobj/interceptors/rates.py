"""How often a peer may call."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Awaitable, Callable
from enum import Flag, auto
from typing import Any, Final

try:
    from limits import parse
except ImportError as exc:
    raise ImportError(
        "RateLimit needs the library limits: python -m pip install 'netobj[limits]'"
    ) from exc

from netobj.errors import RateLimitExceeded
from netobj.interceptors.buckets import Buckets, Rate
from netobj.interceptors.interceptor import Interceptor
from netobj.interceptors.redis_buckets import RedisBuckets
from netobj.interceptors.who import IPV6_PREFIX, address_of, group_of, user_of


class Per(Flag):
    """What has a bucket of its own; ``Per.USER | Per.FUNCTION``: each user for each function."""

    CONNECTION = auto()
    ADDRESS = auto()  # the network of an IPv6 address; all who come by a Unix socket are one
    USER = auto()  # all who have not logged in are one
    FUNCTION = auto()  # what is asked for, as the access log names it
    SERVER = 0  # one bucket for all


class RateLimit(Interceptor):
    """Refuses calls above *rate*: texts as ``"100/second"``, ``"1000 per 5 minutes"``.

    Each *per* has a token bucket. A call takes a token, and new ones come evenly, so many in that
    time, until *burst* are there (by default as many as the rate's number). What finds none does
    not run, and fails with :class:`~netobj.RateLimitExceeded`, a ``Busy`` whose ``retry_after``
    says in how many seconds there will be one. All operations count, also reading an attribute.

    The buckets are in memory, so each process counts by itself, unless *storage* names a Redis in
    the words of the library ``limits`` (``redis://host:6379``, ``redis+unix:///run/redis.sock``,
    ``redis+sentinel://...``, ``redis+cluster://...``); *options* are those of its connection. That
    library has windows of time, but no token bucket: it reads the rate and finds the Redis, and the
    buckets there are this module's. While the Redis does not answer, each process counts by itself.

    On a client it bounds what the program itself asks of the server. Raises ValueError for what is
    no rate.

    >>> import netobj
    >>> limit = RateLimit("100/hour", Per.USER | Per.FUNCTION, burst=2)
    >>> class Bank(netobj.Service):
    ...     @netobj.exposed
    ...     def open(self, name): return 0
    >>> with netobj.ThreadedServer(Bank, "localhost", interceptors=[limit]) as server:
    ...     with netobj.connect("localhost", server.port) as conn:
    ...         for name in ("alice", "bob", "carol"):
    ...             conn.root.open(name)
    Traceback (most recent call last):
      ...
    netobj.errors.RateLimitExceeded: the rate limit of 100 in 3600 s for each user and function...
    """

    def __init__(
        self,
        rate: str,
        per: Per = Per.CONNECTION,
        burst: int | None = None,
        storage: str | None = None,
        ipv6_prefix: int = IPV6_PREFIX,
        **options: Any,
    ) -> None:
        item = parse(rate)
        burst = item.amount if burst is None else burst
        if item.amount < 1 or burst < 1:
            raise ValueError(f"a rate limit of {rate!r} and bursts of {burst} would admit nothing")
        self.rate = Rate(item.amount, item.get_expiry(), burst)
        self.per = per
        self._ipv6_prefix = ipv6_prefix
        self._text = f"{item.amount} in {item.get_expiry()} s"
        self._buckets = (
            Buckets(self.rate)
            if storage in (None, "memory://")
            else RedisBuckets(self.rate, str(storage), options)
        )

    def on_call(self, call: Any, next: Callable[[Any], Any]) -> Any:
        """Pass the call on, if there is a token for it."""
        wait = self._buckets.take(self._key(call))
        if wait > 0:
            raise self._refusal(wait)
        return next(call)

    async def on_call_async(self, call: Any, next: Callable[[Any], Awaitable[Any]]) -> Any:
        """The same on an event loop; only where a Redis is asked, a thread does that."""
        key = self._key(call)
        if isinstance(self._buckets, Buckets):
            wait = self._buckets.take(key)
        else:
            loop = asyncio.get_running_loop()
            wait = await loop.run_in_executor(None, self._buckets.take, key)
        if wait > 0:
            raise self._refusal(wait)
        return await next(call)

    def on_stop(self, server: Any) -> None:
        """Let go of the Redis; other servers may go on."""
        if not isinstance(self._buckets, Buckets):
            self._buckets.close()

    def _refusal(self, wait: float) -> RateLimitExceeded:
        seconds = f"{wait:.0f}" if wait >= 100 else f"{wait:.3g}"
        error = RateLimitExceeded(
            f"the rate limit of {self._text}{self._whose()} is used up: try again in {seconds} s"
        )
        error.retry_after = wait
        return error

    def _whose(self) -> str:
        names = [str(one.name).lower() for one in _EACH if one in self.per]
        return f" for each {' and '.join(names)}" if names else ""

    def _key(self, call: Any) -> str:
        """What has one bucket. As JSON, so that no name can be another's and more."""
        per = self.per
        key: list[Any] = [per.value]
        if Per.CONNECTION in per:
            key += [os.getpid(), _PROCESS, call.connection.config.connid]
        if Per.ADDRESS in per:
            address = address_of(call.peer)
            key.append(group_of(address, self._ipv6_prefix) if address else "")
        if Per.USER in per:
            key.append(user_of(call.credentials))
        if Per.FUNCTION in per:
            key.append(_function(call.name))
        return json.dumps(key)


def _function(name: str) -> str:
    """Without the steps that lead from a function to itself.

    >>> _function("Bank.open.__call__.__call__()")
    'Bank.open()'
    """
    while name.endswith(_ITSELF):
        name = f"{name[: -len(_ITSELF)]}()"
    return name


_ITSELF: Final = ".__call__()"
_EACH: Final = (Per.CONNECTION, Per.ADDRESS, Per.USER, Per.FUNCTION)
_PROCESS: Final = secrets.token_hex(8)  # of several machines
