"""Classic mode: run a program in a fresh Python elsewhere, and talk to it from here.

    python examples/run_there.py

"Elsewhere" is a child process here; over the network it would be netobj.classic.connect(host).
"""

from __future__ import annotations

import netobj

PROGRAM = """
import os
name = input("what is your name? ")
print(f"hello, {name}, from another process:", os.getpid() != parent)
"""


def main() -> None:
    with netobj.classic.connect_subproc() as conn:
        conn.namespace["parent"] = conn.modules.os.getppid()
        with netobj.classic.redirected_stdio(conn):
            conn.execute(PROGRAM)
        print("its name over there is still known:", conn.eval("name"))
    print("the process ended with", conn.proc.wait())


if __name__ == "__main__":
    main()
