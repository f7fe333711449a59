"""Unpacks a program into a temporary folder, runs it there, and removes the folder at its end.

This text is sent to the other machine, where ``python -c`` runs it, and nothing of netobj is there
yet: it needs the standard library alone. On standard input follow a line of JSON and the archive.
Nothing comes after that; the end of the input, also by a crash of the other side or a cut line,
means that the program is to end. So does SIGHUP or SIGTERM.

It outlives the program, however that dies. If the guardian itself is killed, the program sees the
end of its own input, and removes the folder (``starting``).
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from contextlib import suppress
from typing import Any, BinaryIO

LONGEST = 1024 * 1024  # bytes of the line of JSON


def guard(order: dict[str, Any], archive: bytes, lifeline: int) -> int:
    """Run what *order* says until it ends, or *lifeline*, a descriptor, does; its exit code.

    ``folder``: the folder to make, which must not be there yet; ``command``: the arguments of
    Python; ``token``: the first line of the program's input; ``grace``: the seconds it has to end
    by itself; ``mark``: what a line of this output begins with.
    """
    folder = order["folder"]
    os.mkdir(folder, 0o700)  # nobody else's: who made one of that name before is refused
    try:
        zipfile.ZipFile(io.BytesIO(archive)).extractall(folder)
        print(order["mark"], "started", flush=True)
        child = subprocess.Popen(
            [sys.executable, *order["command"]],
            stdin=subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
        )
        try:
            assert child.stdin is not None
            with suppress(BrokenPipeError):
                child.stdin.write(order["token"].encode() + b"\n")
                child.stdin.flush()
            # Not before: it closes that input.
            watch = threading.Thread(target=_watch, args=(lifeline, child, order), daemon=True)
            watch.start()
            return child.wait()
        finally:
            _end(child, order["grace"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _watch(lifeline: int, child: subprocess.Popen[bytes], order: dict[str, Any]) -> None:
    with suppress(OSError):
        while os.read(lifeline, 4096):
            pass
    _end(child, order["grace"])


def _end(child: subprocess.Popen[bytes], grace: float) -> None:
    assert child.stdin is not None
    with suppress(OSError, ValueError):
        child.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        child.wait(grace)
    with suppress(OSError):  # nobody is left
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _stop(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def main(source: BinaryIO) -> int:
    """Read the order and the archive from *source*, and carry it out."""
    for name in ("SIGHUP", "SIGTERM", "SIGINT"):
        signal.signal(getattr(signal, name), _stop)
    order = json.loads(source.readline(LONGEST) or "{}")
    archive = source.read(order.get("size", 0))
    if not order or len(archive) < order["size"]:
        return 1  # whoever sent it is gone
    code = guard(order, archive, source.fileno())
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer))
