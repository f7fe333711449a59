"""A registry's token, from where other users of the machine do not see it."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "NETOBJ_REGISTRY_TOKEN"


def read_token(path: str | None) -> bytes | None:
    """What the file *path* contains, without white space around it; else the environment's.

    None if neither is given. Raises OSError for a file that cannot be read.

    >>> read_token(None) is None
    True
    """
    if path is not None:
        return Path(path).read_bytes().strip()
    value = os.environ.get(VARIABLE)
    return os.fsencode(value) if value else None
