"""Servers of each kind whose calls run in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import netobj

KINDS = ("ThreadedServer", "ThreadPoolServer", "AsyncServer")


@contextmanager
def serving(
    kind: str, service: Any, interceptors: Sequence[netobj.Interceptor], **settings: Any
) -> Iterator[tuple[str, int]]:
    """A server of the *kind*; where it is reached."""
    make = getattr(netobj, kind)
    with make(service, "localhost", interceptors=interceptors, **settings) as server:
        yield "localhost", server.port
