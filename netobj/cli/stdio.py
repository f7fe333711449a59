"""Standard input and output of a process that several shells share.

``sys.stdout``, ``sys.stderr``, ``sys.stdin`` and ``sys.displayhook`` are replaced once, by objects
that look up whose code is running: the shell that runs it, else the process's own streams. "Whose"
is a context variable, so tasks and ``asyncio.to_thread`` belong to the shell that started them.
A plain new thread does not (before Python 3.14 it inherits no context): what it prints goes to the
process's own streams, unless the whole process belongs to one shell (:meth:`Stdio.own_process`).
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

Chunks = tuple[tuple[int, str], ...]
"""Pieces of output in the order of printing: (1 for stdout or 2 for stderr, text)."""

_BOUND = 1 << 16  # characters that may wait; a run that prints more waits for the terminal
_BLOCK = 1 << 13  # characters that are sent without waiting for the end of a line
_IDLE = 1.0  # seconds after which the thread that sends ends; the next print starts it again


class Outlet:
    """What one shell prints, on its way to the terminal.

    A thread of its own calls *send* with what has gathered since the call before, so a thousand
    prints cost a handful of round trips and no print waits for one.

    >>> seen = []
    >>> outlet = Outlet(seen.extend)
    >>> outlet.put(1, "a"); outlet.put(1, "b"); outlet.flush()
    >>> seen
    [(1, 'ab')]
    """

    def __init__(self, send: Callable[[Chunks], object]) -> None:
        self._send = send
        self._changed = threading.Condition()
        self._waiting: list[tuple[int, str]] = []
        self._size = 0
        self._due = False  # something in _waiting is to be sent now
        self._sending = False
        self._thread: threading.Thread | None = None
        self.detached = False
        self._failure: BaseException | None = None

    def put(self, stream: int, text: str, *, wait: bool = False) -> None:
        """Print *text*; with *wait* not before there is room.

        Raises ``BrokenPipeError`` when the terminal is gone.
        """
        with self._changed:
            while wait and self._size > _BOUND and not self._ended():
                self._changed.wait()
            if self.detached:
                return
            if self._failure is not None:
                raise BrokenPipeError("the terminal of this shell is gone") from self._failure
            self._waiting.append((stream, text))
            self._size += len(text)
            if "\n" in text or self._size > _BLOCK:
                self._wake()

    def start(self) -> None:
        """Send what was printed, without waiting for it to arrive."""
        with self._changed:
            if self._waiting:
                self._wake()

    def flush(self) -> None:
        """Return when all that was printed has arrived (or nobody is there to receive it)."""
        with self._changed:
            if self._waiting:
                self._wake()
            while (self._waiting or self._sending) and not self._ended():
                self._changed.wait()

    def detach(self) -> None:
        """Drop what waits, and all that is printed from now on."""
        with self._changed:
            self.detached = True
            self._waiting.clear()
            self._size = 0
            self._changed.notify_all()

    def _ended(self) -> bool:
        return self.detached or self._failure is not None

    def _wake(self) -> None:
        self._due = True
        if self._thread is None:
            thread = threading.Thread(target=self._pump, name="netobj-shell-output", daemon=True)
            thread.start()
            self._thread = thread  # only now: the start may fail
        self._changed.notify_all()

    def _pump(self) -> None:
        while True:
            with self._changed:
                while not self._due:
                    if not self._changed.wait(_IDLE) and not self._due:
                        self._thread = None
                        return
                chunks = tuple(_joined(self._waiting))
                self._waiting.clear()
                self._size = 0
                self._due = False
                self._sending = True
                self._changed.notify_all()
            failure = self._sent(chunks)
            with self._changed:
                self._sending = False
                self._failure = self._failure or failure
                self._changed.notify_all()

    def _sent(self, chunks: Chunks) -> BaseException | None:
        try:
            if chunks:
                self._send(chunks)
        except BaseException as exc:  # told to whoever prints next
            return exc
        return None


def _joined(chunks: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    start = 0
    for end in range(1, len(chunks) + 1):
        if end == len(chunks) or chunks[end][0] != chunks[start][0]:
            yield chunks[start][0], "".join(text for _, text in chunks[start:end])
            start = end


class _Stream(io.TextIOBase):
    """What the streams of a shell have in common; ``exit()`` closes sys.stdin, we do not."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def close(self) -> None:
        pass

    def isatty(self) -> bool:
        # The terminal is not on this machine: a pager or a curses program would not reach it.
        return False

    def fileno(self) -> NoReturn:
        raise io.UnsupportedOperation("this stream ends at a terminal on another machine")


class Output(_Stream):
    """``sys.stdout`` or ``sys.stderr`` of a shell."""

    def __init__(self, outlet: Outlet, stream: int) -> None:
        self._outlet = outlet
        self._stream = stream
        self.buffer = _BinaryOutput(self.write)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._outlet.put(self._stream, str(text), wait=_current.get() is not None)
        return len(text)

    def flush(self) -> None:
        # Not to wait is enough, and needed: input() calls this and swallows a KeyboardInterrupt.
        self._outlet.start()


class _BinaryOutput(io.RawIOBase):
    """``sys.stdout.buffer``: bytes are taken for UTF-8."""

    def __init__(self, write: Callable[[str], int]) -> None:
        self._write = write
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._write(self._decoder.decode(bytes(data)))
        return len(data)

    def close(self) -> None:
        pass


class Input(_Stream):
    """``sys.stdin`` of a shell: *read_line* returns a line, ``""`` at the end, None for Ctrl-C."""

    def __init__(self, outlet: Outlet, read_line: Callable[[], str | None]) -> None:
        self._outlet = outlet
        self._read_line = read_line
        self._rest = ""

    def readable(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        line = self._rest or self._line()
        end = len(line) if size is None or size < 0 else size
        self._rest = line[end:]
        return line[:end]

    def read(self, size: int | None = -1, /) -> str:
        parts: list[str] = []
        left = sys.maxsize if size is None or size < 0 else size
        while left > 0 and (part := self.readline(left)):
            parts.append(part)
            left -= len(part)
        return "".join(parts)

    def _line(self) -> str:
        self._outlet.flush()
        line = "" if self._outlet.detached else self._read_line()
        if line is None:
            raise KeyboardInterrupt
        return str(line)


class Stdio:
    """The three streams of one shell, and its ``_``.

    *send* takes :data:`Chunks`; *read_line* is as :class:`Input` has it; the last result shown
    becomes ``namespace["_"]``.
    """

    def __init__(
        self,
        send: Callable[[Chunks], object],
        read_line: Callable[[], str | None],
        namespace: dict[str, Any],
    ) -> None:
        self.outlet = Outlet(send)
        self.stdout = Output(self.outlet, 1)
        self.stderr = Output(self.outlet, 2)
        self.stdin = Input(self.outlet, read_line)
        self._namespace = namespace
        self._shown: Any = None

    @contextmanager
    def active(self) -> Iterator[None]:
        """What runs inside, in this thread, reads and prints here."""
        install()
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def own_process(self) -> None:
        """Whatever belongs to no shell, other threads included, belongs to this one from now."""
        global _owner
        install()
        _owner = self

    def display(self, value: Any) -> None:
        """Show the value of an expression as the prompt does."""
        if value is None:
            return
        self.stdout.write(f"{value!r}\n")
        if self._namespace.get("_") is self._shown:  # else "_" is the user's own, as in gettext
            self._namespace["_"] = self._shown = value


_current: ContextVar[Stdio | None] = ContextVar("netobj_shell_stdio", default=None)
_owner: Stdio | None = None


class Router:
    """In place of ``sys.<name>``: passes everything on to the stream whose turn it is."""

    def __init__(self, name: str, fallback: Any) -> None:
        self._name = name
        self._fallback = fallback

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream(), name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream())

    def __next__(self) -> str:
        line: str = next(self._stream())
        return line

    def __enter__(self) -> Any:
        return self._stream().__enter__()

    def __exit__(self, *exc_info: Any) -> Any:
        return self._stream().__exit__(*exc_info)

    def __repr__(self) -> str:
        return f"<sys.{self._name} of {'a shell' if _mine() else 'the process'}>"

    def _stream(self) -> Any:
        stdio = _mine()
        return self._fallback if stdio is None else getattr(stdio, self._name)


def _mine() -> Stdio | None:
    return _current.get() or _owner


_installed = False


def install() -> None:
    """Put the routers in place, once; what was there serves all who are no shell.

    What a program puts there afterwards (``contextlib.redirect_stdout``) is respected, as it is
    in any Python process: it is in force for all threads.
    """
    global _installed
    if _installed:
        return
    _installed = True
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, name, Router(name, getattr(sys, name)))
    sys.displayhook = _DisplayHook(sys.displayhook)


class _DisplayHook:
    def __init__(self, fallback: Callable[[Any], object]) -> None:
        self._fallback = fallback

    def __call__(self, value: Any) -> None:
        stdio = _mine()
        if stdio is None:
            self._fallback(value)
        else:
            stdio.display(value)


def _forget_shells() -> None:
    """In a forked child no shell's connection is alive: it prints as the process does."""
    global _owner
    _owner = None
    _current.set(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_shells)
