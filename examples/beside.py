"""For the other examples: a server in a process of its own, for as long as a block lasts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def server(program: str) -> Iterator[int]:
    """Run ``python PROGRAM serve``, which prints the port that it listens on; that is the port."""
    command = [sys.executable, program, "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()  # nobody needs it any more; terminate() would have it log its end
