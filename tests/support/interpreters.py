"""Other versions of Python on this machine, to serve from.

``NETOBJ_TEST_PYTHONS`` may name them (paths, separated as in ``PATH``); else those on ``PATH``, and
those of pyenv, are tried.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import msgpack

import netobj

MINORS = (10, 11, 12, 13, 14)
SERVE_STDIO = """
import os
import netobj
incoming, outgoing = os.dup(0), os.dup(1)
os.dup2(2, 1)
netobj.connect_pipes(incoming, outgoing, netobj.SlaveService).serve_all()
"""


def _found(minor: int) -> Iterator[str]:
    named = os.environ.get("NETOBJ_TEST_PYTHONS", "").split(os.pathsep)
    versions = Path.home() / ".pyenv" / "versions"
    yield from (path for path in named if f"3.{minor}" in path)
    yield from sorted(map(str, versions.glob(f"3.{minor}.*/bin/python")))
    yield from filter(None, [shutil.which(f"python3.{minor}")])


def other_python(minor: int) -> str | None:
    """An interpreter of Python 3.*minor*, if that is another version than this one and is there."""
    if minor == sys.version_info[1]:
        return None
    return next((path for path in _found(minor) if os.access(path, os.X_OK)), None)


def lend_packages(folder: Path) -> None:
    """Put netobj, and msgpack as pure Python, into *folder* for an interpreter that has neither."""
    for package in (netobj, msgpack):
        source = Path(str(package.__file__)).parent
        shutil.copytree(
            source,
            folder / source.name,
            ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"),
        )
