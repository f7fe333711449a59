"""RPyC's path to the helpers, which live in :mod:`netobj.helpers`."""

from __future__ import annotations

from netobj.helpers import (
    BgServingThread,
    async_,
    buffiter,
    classpartial,
    copy_of,
    restricted,
    setup_logger,
    spawn,
    timed,
)

__all__ = [
    "BgServingThread",
    "async_",
    "buffiter",
    "classpartial",
    "copy_of",
    "restricted",
    "setup_logger",
    "spawn",
    "timed",
]
