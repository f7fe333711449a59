"""The local terminal: lines in (edited, completed and remembered, where possible), text out.

History is kept in the file that ``$NETOBJ_HISTORY`` names, else in ``~/.netobj_history``.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from netobj.cli.stdio import Chunks

try:
    import readline
except ImportError:  # a platform, or a build, without it: plain lines
    _has_readline = False
else:
    _has_readline = True

_HISTORY_LENGTH = 10_000  # lines


class Terminal:
    """Standard input and outputs of this process, or three others (tests).

    >>> import io
    >>> terminal = Terminal(io.StringIO("1 + 1\\n"), io.StringIO(), io.StringIO())
    >>> terminal.read(">>> "), terminal.interactive
    ('1 + 1', False)
    """

    def __init__(
        self,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self._stdin = stdin or sys.stdin
        self._outputs = {1: stdout or sys.stdout, 2: stderr or sys.stderr}
        self._lock = threading.Lock()
        self._line = ""  # what stands on the terminal's last line
        self.interactive = self._stdin.isatty()

    def write(self, chunks: Chunks) -> None:
        """Print pieces of output, in order; any thread may do so."""
        with self._lock:
            for stream, text in chunks:
                output = self._outputs[stream]
                output.write(_printable(text, output))
                output.flush()
                self._line = (self._line + text).rpartition("\n")[2]

    def error(self, text: str) -> None:
        """Print *text* on standard error."""
        self.write(((2, text),))

    def read(self, prompt: str) -> str:
        """A line without its end; raises ``EOFError`` and ``KeyboardInterrupt`` as input() does."""
        if self._edits_lines():
            with self._lock:
                self._line = ""
            return input(prompt)
        self.write(((1, prompt),))
        line = self._stdin.readline()
        if not line:
            raise EOFError
        with self._lock:
            self._line = ""
        return line.removesuffix("\n")

    def read_answer(self) -> str:
        """As :meth:`read`, for a program that has printed its own prompt; not remembered."""
        if not self._edits_lines():
            return self.read("")
        with self._lock:
            prompt = self._line
        if prompt:
            # The editor has to know what stands before the answer, so it prints it once more.
            self._outputs[1].write("\r")
            self._outputs[1].flush()
        with _unremembered():
            return self.read(prompt)

    def read_all(self) -> str:
        """All of standard input: a program, where it is no terminal."""
        return self._stdin.read()

    def _edits_lines(self) -> bool:
        return self.interactive and self._stdin is sys.stdin and self._outputs[1] is sys.stdout


def _printable(text: str, output: TextIO) -> str:
    encoding = getattr(output, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    return text


@contextmanager
def _unremembered() -> Iterator[None]:
    """Lines read inside do not get into the history: they may be passwords."""
    if not _has_readline:
        yield
        return
    length = readline.get_current_history_length()
    try:
        yield
    finally:
        for position in reversed(range(length, readline.get_current_history_length())):
            readline.remove_history_item(position)


@contextmanager
def line_editing(complete: Callable[[str], Sequence[str]]) -> Iterator[None]:
    """History and completion for what is read inside; *complete* offers ways to go on."""
    if not _has_readline:
        yield
        return
    path = history_path()
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    old = readline.get_completer(), readline.get_completer_delims()
    readline.set_completer(_Completer(complete))
    readline.set_completer_delims(" \t\n`~!@#$%^&*()-=+[{]}\\|;:'\",<>/?")
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    try:
        yield
    finally:
        readline.set_completer(old[0])
        readline.set_completer_delims(old[1])
        readline.set_history_length(_HISTORY_LENGTH)
        with contextlib.suppress(OSError):
            readline.write_history_file(path)


def history_path() -> Path:
    """The file in which the history is kept."""
    return Path(os.environ.get("NETOBJ_HISTORY") or Path.home() / ".netobj_history")


class _Completer:
    """readline asks for the first, the second ... way to complete, until None."""

    def __init__(self, complete: Callable[[str], Sequence[str]]) -> None:
        self._complete = complete
        self._found: Sequence[str] = ()

    def __call__(self, text: str, state: int) -> str | None:
        if state == 0:
            indents = not readline.get_line_buffer()[: readline.get_begidx()].strip() and not text
            self._found = ("    ",) if indents else self._complete(text)
        return self._found[state] if state < len(self._found) else None
