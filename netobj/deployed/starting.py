"""Finds msgpack and runs the server script; started by ``guardian`` as a program of its own.

``python starting.py FOLDER VERSION SCRIPT``: VERSION is the oldest msgpack that will do. Python's
own, if it has one, is compiled and quick; the one that came along is not, but it runs anywhere.
"""

from __future__ import annotations

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
    guardian, process = os.getppid(), os.getpid()
    sys.path[0] = folder  # not this file's, whose neighbours have names of the standard library's
    choose_msgpack(folder, tuple(map(int, oldest.split("."))))
    try:
        runpy.run_path(os.path.join(folder, script), run_name="__main__")
    finally:
        if os.getpid() == process and os.getppid() != guardian:  # nobody else will
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
