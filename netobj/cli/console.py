"""The local half of the shell: it reads lines, has them run on the other side, and waits.

While something runs over there the main thread only waits at a queue. Into it come the end of the
run, the remote side's wish for a line of input, and Ctrl-C, whose signal handler does nothing but
append to it; so an interruption never lands inside a half-done write to the connection. The call
itself is made in a thread of its own, which is left behind when what runs is abandoned.
"""

from __future__ import annotations

import codeop
import queue
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType
from typing import Any, Protocol

from netobj.cli.stdio import Chunks
from netobj.cli.terminal import Terminal, line_editing
from netobj.errors import ConnectionLost

Outcome = tuple[Any, ...]
"""As :data:`netobj.cli.remote_console.Outcome`, or one of these, which are found out here:

==========================  =================================================================
``("lost", reason)``        the connection ended
``("abandoned",)``          nobody waits any more for what goes on over there
``("broken", text)``        the shell itself failed; the text is the traceback
==========================  =================================================================
"""

INTERRUPTED = 130  # the exit status of what Ctrl-C ended, as shells have it
_PATIENCE = 2.0  # seconds that Ctrl-C, and calls on the side, have to show an effect
# The handler of a signal that comes just before the main thread begins to wait (on Windows: any
# time while it waits) runs only when the wait is over, so it is kept short.
_TICK = 0.2  # seconds
_SIGNALS = 20
_BETWEEN_SIGNALS = 0.05  # seconds

_NO_EFFECT = "(the remote call does not react; press Ctrl-C again to abandon it)\n"
_ABANDONED = "(abandoned: it cannot be interrupted, and goes on over there)\n"


class RemoteHalf(Protocol):
    """What is used of a :class:`netobj.cli.remote_console.RemoteConsole`."""

    def run(self, source: str, symbol: str, filename: str | None) -> Outcome: ...
    def interrupt(self) -> bool: ...
    def abandon(self) -> None: ...
    def complete(self, text: str) -> Sequence[str]: ...
    def banner(self) -> str: ...
    def close(self) -> None: ...


class _Interrupt:
    """An event: Ctrl-C was pressed."""

    heeded = False  # True: something came of it already


class _Done:
    """An event: what ran has ended."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


class _Question:
    """An event: the remote side wants a line; its thread waits in :meth:`wait`."""

    def __init__(self) -> None:
        self._answer: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def answer(self, line: str | None) -> None:
        self._answer.put(line)

    def wait(self) -> str | None:
        return self._answer.get()


class _Reading:
    """The main thread reads inside the ``with``; the end of the run puts an end to that, too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reader: int | None = None
        self._left = threading.Event()
        self.over = False
        self.presses: list[_Interrupt] = []

    def __enter__(self) -> None:
        with self._lock:
            if threading.current_thread() is threading.main_thread():
                self._left.clear()
                self._reader = threading.get_ident()

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._reader = None
        self._left.set()

    def interrupted(self) -> bool:
        """True when Ctrl-C was pressed just before; nobody else will heed that any more."""
        fresh = [press for press in self.presses if not press.heeded]
        for press in fresh:
            press.heeded = True
        return bool(fresh)

    def end(self) -> None:
        """Nobody wants an answer any more: end the reading as Ctrl-C would."""
        self.over = True
        for _ in range(_SIGNALS):  # one that comes just before the read blocks has no effect
            with self._lock:
                if self._reader is None or not hasattr(signal, "pthread_kill"):
                    return
                signal.pthread_kill(self._reader, signal.SIGINT)
            self._left.wait(_BETWEEN_SIGNALS)


_Events = queue.SimpleQueue["_Interrupt | _Done | _Question"]


class Link:
    """What the remote half holds of the local one: two functions, called from any thread."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.events: _Events | None = None  # of the run that is under way

    def write(self, chunks: Chunks) -> None:
        """Print."""
        self._terminal.write(chunks)

    def read_line(self) -> str | None:
        """A line with its end; ``""`` at the end of input; None after Ctrl-C."""
        events = self.events
        if events is None:  # the terminal is at our own prompt
            return ""
        question = _Question()
        events.put(question)
        return question.wait()


class Shell:
    """A prompt whose code runs elsewhere.

    *make* is called once, with the two functions that the remote half needs, and returns it.
    """

    def __init__(self, make: Callable[[Link], RemoteHalf], terminal: Terminal) -> None:
        self._terminal = terminal
        self._link = Link(terminal)
        self._remote = make(self._link)

    def interact(self) -> int:
        """Prompt until the end of input or of the program; the exit status."""
        editing = line_editing(self.complete) if self._terminal.interactive else nullcontext()
        with editing:
            try:
                self._terminal.error(self._remote.banner() + "\n")
            except ConnectionLost as exc:
                return self._show(("lost", str(exc))) or 0
            return self._prompt()

    def run_script(self, source: str, filename: str) -> int:
        """Run a whole program, which tracebacks call *filename*; the exit status."""
        outcome = self.execute(source, "exec", filename)
        status = self._show(outcome)
        if status is not None:
            return status
        return {"ok": 0, "interrupted": INTERRUPTED, "abandoned": INTERRUPTED}.get(outcome[0], 1)

    def run_cell(self, source: str) -> int | None:
        """Run statements, show the value of the last; the exit status if that ends the shell."""
        return self._show(self.execute(source, "cell"))

    def complete(self, text: str) -> Sequence[str]:
        """Ways to complete *text*; none when the other side does not answer in time."""
        found: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()
        _in_background(lambda: found.put(self._remote.complete(text)))
        try:
            return found.get(timeout=_PATIENCE)
        except queue.Empty:
            return ()

    def close(self) -> None:
        """Tell the other side that this shell is over, if it listens."""
        _if_it_listens(self._remote.close)

    def execute(self, source: str, symbol: str, filename: str | None = None) -> Outcome:
        """Run *source* over there and wait, answering its questions and heeding Ctrl-C."""
        events: _Events = queue.SimpleQueue()
        reading = _Reading()

        def call() -> None:
            events.put(_Done(_called(self._remote, source, symbol, filename)))
            reading.end()

        self._link.events = events
        try:
            with _interrupts_to(events, reading):
                threading.Thread(target=call, name="netobj-shell-call", daemon=True).start()
                return self._wait(events, reading)
        finally:
            self._link.events = None

    def _prompt(self) -> int:
        lines: list[str] = []
        while True:
            try:
                lines.append(self._terminal.read("... " if lines else ">>> "))
                source = "\n".join(lines)
                if not source.strip():
                    lines.clear()
                    continue
                if _needs_more(source):
                    continue
                outcome = self.execute(source, "single")
            except KeyboardInterrupt:
                outcome = ("interrupted", "\nKeyboardInterrupt\n")
            except EOFError:
                self._terminal.write(((1, "\n"),))
                return 0
            if outcome[0] == "incomplete":
                continue
            lines.clear()
            status = self._show(outcome)
            if status is not None:
                return status

    def _show(self, outcome: Outcome) -> int | None:
        """Tell how a run ended; the exit status when that ends the shell too."""
        kind, *rest = outcome
        if kind in ("error", "interrupted", "broken"):
            self._terminal.error(rest[0])
        elif kind == "abandoned":
            self._terminal.error(_ABANDONED)
        elif kind == "lost":
            self._terminal.error(f"the server went away: {rest[0]}\n")
            return 1
        elif kind == "exit":
            self._terminal.error(rest[1])
            return int(rest[0])
        return None

    def _wait(self, events: _Events, reading: _Reading) -> Outcome:
        pressed: float | None = None  # when Ctrl-C was, and nothing came of it yet
        warned = False
        while True:
            event = _next(events)
            if isinstance(event, _Done):
                return event.outcome
            if isinstance(event, _Question):
                event.answer(self._ask(reading))
                pressed, warned = None, False
            elif isinstance(event, _Interrupt):
                if event.heeded:
                    continue
                event.heeded = True
                if warned:
                    _if_it_listens(self._remote.abandon)
                    return ("abandoned",)
                pressed = time.monotonic()
                _in_background(self._remote.interrupt)
            elif pressed and not warned and time.monotonic() - pressed >= _PATIENCE:
                self._terminal.error(_NO_EFFECT)
                warned = True

    def _ask(self, reading: _Reading) -> str | None:
        try:
            with _interrupts_raised(), reading:
                if reading.over or reading.interrupted():
                    raise KeyboardInterrupt
                return self._terminal.read_answer() + "\n"
        except EOFError:
            return ""
        except KeyboardInterrupt:
            self._terminal.error("\n")
            return None


def _next(events: _Events) -> _Interrupt | _Done | _Question | None:
    try:
        return events.get(timeout=_TICK)
    except queue.Empty:
        return None


def _called(remote: RemoteHalf, source: str, symbol: str, filename: str | None) -> Outcome:
    try:
        return remote.run(source, symbol, filename)
    except ConnectionLost as exc:
        return ("lost", str(exc))
    except BaseException:
        return ("broken", traceback.format_exc())


def _needs_more(source: str) -> bool:
    """True when *source* is the beginning of a statement; errors are for the other side to find.

    >>> _needs_more("if x:"), _needs_more("x +"), _needs_more("x = (1,")
    (True, False, True)
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return codeop.compile_command(source, "<input>", "single") is None
        except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
            return False  # perhaps its Python is a newer one


def _in_background(func: Callable[[], object]) -> threading.Thread:
    """Make a call whose failure matters to nobody."""

    def call() -> None:
        with suppress(Exception):
            func()

    thread = threading.Thread(target=call, name="netobj-shell-aside", daemon=True)
    thread.start()
    return thread


def _if_it_listens(func: Callable[[], object]) -> None:
    """Make a call, and wait for its end, but not for ever."""
    _in_background(func).join(_PATIENCE)


@contextmanager
def _interrupts_to(events: _Events, reading: _Reading) -> Iterator[None]:
    def on_sigint(signum: int, frame: FrameType | None) -> None:
        press = _Interrupt()
        reading.presses.append(press)
        events.put(press)

    with _sigint_handler(on_sigint):
        yield


@contextmanager
def _interrupts_raised() -> Iterator[None]:
    with _sigint_handler(signal.default_int_handler):
        yield


@contextmanager
def _sigint_handler(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread has signals
        return
    old = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)
