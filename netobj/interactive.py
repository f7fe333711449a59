"""Working by hand over a classic connection: a console on the other side, a debugger there."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any


def interact(conn: Any, namespace: Mapping[str, Any] | None = None) -> int:
    """A prompt in the other side's interpreter, until the end of input or ``exit()``.

    What is typed is compiled, run and shown over there, as in ``netobj_classic shell``: its output,
    its questions (``input()``), Ctrl-C and completion work as at a prompt of this side. The names
    in *namespace* are there from the start, and ``conn``, the connection as the other side has it.
    Returns the exit status: 0 at the end of input, else that of ``exit()``; 1 if the connection
    ends.

    >>> import contextlib, io, netobj, sys
    >>> old, sys.stdin = sys.stdin, io.StringIO("print(6 * factor)\\nexit(3)\\n")
    >>> with netobj.classic.connect_thread() as conn, contextlib.redirect_stderr(io.StringIO()):
    ...     with contextlib.redirect_stdout(io.StringIO()) as shown:
    ...         status = interact(conn, {"factor": 7})
    >>> status, "42" in shown.getvalue()
    (3, True)
    >>> sys.stdin = old
    """
    # These load readline, which changes how input() edits lines in the whole process.
    console = import_module("netobj.cli.console")
    terminal = import_module("netobj.cli.terminal")
    names = {"conn": conn.root.getconn(), **(namespace or {})}
    remote = conn.modules["netobj.cli.remote_console"].RemoteConsole
    shell = console.Shell(
        lambda link: remote(link.write, link.read_line, tuple(names.items())), terminal.Terminal()
    )
    try:
        return int(shell.interact())
    finally:
        shell.close()


def pm(conn: Any) -> None:
    """Debug, over there, the last error of a call of this connection: ``pdb.pm()``, remotely.

    Its commands come from this side's standard input, and what it says goes to its output. What
    failed before any code in Python ran (``conn.modules.os.remove("/no/such/file")``) is passed
    over: there is no frame to look at. Raises ``ValueError`` where nothing has failed.
    """
    there = conn.modules["netobj.interactive"]
    there.post_mortem(conn.root.getconn(), sys.stdin, sys.stdout)


def post_mortem(conn: Any, stdin: Any, stdout: Any) -> None:
    """The half of :func:`pm` that runs where the error was; *conn* is that side's connection."""
    import pdb  # loads readline, in some versions

    session = getattr(conn, "session", None)  # a MockClassicConnection has none
    trace = getattr(sys, "last_traceback", None) if session is None else session.last_traceback
    if trace is None:
        raise ValueError("pm: no call of this connection has failed in a function in Python")
    debugger = pdb.Pdb(stdin=stdin, stdout=stdout, nosigint=True)
    debugger.reset()
    debugger.interaction(None, trace)


__all__ = ["interact", "pm", "post_mortem"]
