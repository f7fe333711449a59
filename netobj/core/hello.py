"""The first and the last words of a side that has no session yet."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from netobj.core import values
from netobj.core.access import policy_for
from netobj.core.config import Config
from netobj.core.consts import ANNOUNCED, DEFAULT_LIMITS, MINOR_VERSION, PREAMBLE, Kind, Limit
from netobj.core.describe import Description, describe_class
from netobj.core.framing import frame

LONGEST_REASON: Final = 200
"""Characters of a goodbye, so that it fits the smallest frame."""


def greeting(
    config: Config, root: type, *, side: str, process: bytes, features: tuple[str, ...]
) -> bytes:
    """The first bytes that a session with a *root* of this class sends."""
    description = describe_class(root, policy_for(config, side))
    return hello(process, config.limits, features, description)


def goodbye(reason: str) -> bytes:
    """What follows a :func:`greeting` where there is to be no connection, and why."""
    return frame(values.pack([int(Kind.GOODBYE), reason[:LONGEST_REASON], []]))


@lru_cache(maxsize=64)
def hello(
    process: bytes, limits: tuple[int, ...], features: tuple[str, ...], root: Description
) -> bytes:
    """The preamble and the frame of a hello.

    Of a root with very many names none is told: they are found when they are asked for.
    """
    fields = [list(limits[:ANNOUNCED]), list(features), root.to_wire()]
    body = values.pack([Kind.HELLO, MINOR_VERSION, process, None, *fields])
    if len(body) > DEFAULT_LIMITS[Limit.GREETING] and root.methods:
        return hello(process, limits, features, root._replace(methods=(), bases=()))
    return PREAMBLE + frame(body)
