"""What travels: netobj, msgpack as pure Python, and the server script, in one archive."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from netobj.deployed.starting import FALLBACK

if TYPE_CHECKING:
    from importlib.abc import Traversable

OLDEST_MSGPACK: Final = "1.2.3"
"""The oldest that a Python's own may be; the package's metadata says the same."""
SCRIPT: Final = "deployed-netobj.py"


def archive(script: str) -> bytes:
    """A zip file of everything that runs on the other machine.

    >>> archive("print(1)")[:2]
    b'PK'
    """
    memory = io.BytesIO(_packages())
    with zipfile.ZipFile(memory, "a", zipfile.ZIP_DEFLATED) as target:
        target.writestr(SCRIPT, script)
    return memory.getvalue()


@cache
def _packages() -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as target:
        for prefix, package in (("", "netobj"), (f"{FALLBACK}/", "msgpack")):
            for name, content in _sources(files(package), prefix + package):
                target.writestr(name, content)
    return memory.getvalue()


def _sources(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    """(path in the archive, content) of the Python files in *folder* and below."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _sources(entry, f"{name}/{entry.name}")
        elif entry.name.endswith(".py"):
            yield f"{name}/{entry.name}", entry.read_bytes()
