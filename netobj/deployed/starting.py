"""Finds msgpack and runs the server script; started by ``guardian`` as a program of its own.

``python starting.py FOLDER VERSION SCRIPT``: VERSION is the oldest msgpack that will do. Python's
own, if it has one, is compiled and quick; the one that came along is not, but it runs anywhere.
"""

from __future__ import annotations

import atexit
import os
import runpy
import shutil
import sys

FALLBACK = "fallback"
"""The folder, below the deployed one, with the msgpack that came along."""


def choose_msgpack(folder: str, oldest: tuple[int, ...]) -> None:
    """Let ``import msgpack`` find Python's own, or else the one in *folder*."""
    try:
        import msgpack

        found = tuple(msgpack.version) >= oldest
    except Exception:  # whatever is wrong with it
        found = False
    if not found:
        for name in [name for name in sys.modules if name.partition(".")[0] == "msgpack"]:
            del sys.modules[name]
        sys.path.insert(1, os.path.join(folder, FALLBACK))


def main(folder: str, oldest: str, script: str) -> None:
    """Run *script*, a file in *folder*, as the main program."""
    # First, so that it runs last. The guardian removes the folder, too, but it may be gone.
    atexit.register(remove, folder, os.getpid())
    sys.path[0] = folder  # not this file's, whose neighbours have names of the standard library's
    choose_msgpack(folder, tuple(map(int, oldest.split("."))))
    runpy.run_path(os.path.join(folder, script), run_name="__main__")


def remove(folder: str, process: int) -> None:
    """Remove *folder*, in that *process*, but not in one that it has forked."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
