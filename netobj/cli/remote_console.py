"""The remote half of the shell: it compiles, runs, shows and completes what is typed elsewhere.

The local half makes a :class:`RemoteConsole` here, by way of ``conn.modules``. What it says and
hears are plain values, so that the two may be of different versions of netobj and of Python.
"""

from __future__ import annotations

import ast
import codeop
import itertools
import os
import platform
import sys
from collections.abc import Callable, Iterable
from types import CodeType
from typing import Any

from netobj.cli.completion import matches
from netobj.cli.runner import Run, new_run, process_is_offered
from netobj.cli.stdio import Chunks, Stdio
from netobj.cli.tracebacks import forget_source, format_error, remember_source

Outcome = tuple[Any, ...]
"""How a run ended: its first item, a word, says which; then come plain values.

==================================  =========================================================
``("ok",)``                         all was run
``("incomplete",)``                 nothing was run, more lines are needed
``("error", text)``                 it raised; the text is the traceback ("": it is printed)
``("interrupted", text)``           KeyboardInterrupt ended it
``("exit", status, text)``          SystemExit ended it; the text is for stderr
==================================  =========================================================
"""

_numbers = itertools.count()  # of inputs, for all consoles: linecache is one for the process


class RemoteConsole:
    """A prompt's namespace and the code that runs in it.

    *write* takes pieces of output, each (1 for stdout or 2 for stderr, text); *read_line* returns
    a line with its end, ``""`` at the end of input, None for Ctrl-C. *names*, pairs of a name and
    a value, are in the namespace from the start.

    >>> console = RemoteConsole(lambda chunks: None, lambda: "", [("x", 20)])
    >>> console.run("y = x + 1"), console.run("if y:"), console.namespace["y"]
    (('ok',), ('incomplete',), 21)
    """

    def __init__(
        self,
        write: Callable[[Chunks], object],
        read_line: Callable[[], str | None],
        names: Iterable[tuple[str, Any]] = (),
    ) -> None:
        self.namespace = _new_namespace()
        self.namespace.update(names)
        self._write = write
        self._read_line = read_line
        self._compile = codeop.CommandCompiler()
        self._files: list[str] = []
        self._run: Run | None = None
        self._stdio = self._new_stdio()

    def run(self, source: str, symbol: str = "single", filename: str | None = None) -> Outcome:
        """Run *source*: a statement (``"single"``), a whole script (``"exec"``) or a ``"cell"``,
        statements of which the last may be an expression whose value is shown.

        Returns when it has ended and its output has arrived. Never raises what it raised.
        """
        stdio = self._stdio
        try:
            with stdio.active():
                return self._run_active(source, symbol, filename)
        finally:
            stdio.outlet.flush()

    def interrupt(self) -> bool:
        """Raise KeyboardInterrupt in what runs; False when nothing does."""
        return self._run is not None and self._run.interrupt()

    def abandon(self) -> None:
        """Hear no more of what runs now: its output is dropped, and it is at the end of input."""
        self._stdio.outlet.detach()
        self._stdio = self._new_stdio()

    def complete(self, text: str) -> tuple[str, ...]:
        """What *text*, (dotted) names, could become; see :func:`netobj.cli.completion.matches`."""
        return matches(text, self.namespace)

    def banner(self) -> str:
        """One line: which Python this is, and where."""
        version = " ".join(sys.version.split())
        return f"Python {version} on {sys.platform}, {platform.node()}, process {os.getpid()}"

    def close(self) -> None:
        """Let go of what the inputs left behind in the process."""
        self._stdio.outlet.detach()
        for filename in self._files:
            forget_source(filename)
        self._files.clear()

    def _new_stdio(self) -> Stdio:
        stdio = Stdio(self._write, self._read_line, self.namespace)
        if process_is_offered():
            stdio.own_process()
        return stdio

    def _run_active(self, source: str, symbol: str, filename: str | None) -> Outcome:
        filename = filename or f"<netobj-input-{next(_numbers)}>"
        try:
            codes = self._compiled(source, filename, symbol)
        except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError) as exc:
            self._remember(filename, source)
            return self._failed(exc)
        if not codes:
            return ("incomplete",)
        self._remember(filename, source)
        return self._executed(codes)

    def _remember(self, filename: str, source: str) -> None:
        remember_source(filename, source)
        self._files.append(filename)

    def _compiled(self, source: str, filename: str, symbol: str) -> list[CodeType]:
        """What to run, in order; nothing when *source* is incomplete."""
        if symbol == "exec":
            return [compile(source, filename, "exec", dont_inherit=True)]
        if symbol == "cell":
            return _compiled_cell(source, filename)
        try:
            code = self._compile(source, filename, symbol)
        except SyntaxError as exc:
            raise _plain_error(source, filename, exc) from None
        return [] if code is None else [code]

    def _executed(self, codes: list[CodeType]) -> Outcome:
        stdio, run = self._stdio, new_run()

        def body() -> None:
            with stdio.active():  # the run may be in another thread than this
                for code in codes:
                    exec(code, self.namespace)

        self._run = run
        try:
            run.execute(body)
        except SystemExit as exc:
            return ("exit", *_exit_status(exc.code))
        except KeyboardInterrupt as exc:
            return ("interrupted", format_error(exc))
        except BaseException as exc:
            return self._failed(exc)
        finally:
            if self._run is run:  # else it was abandoned, and another one is under way
                self._run = None
        return ("ok",)

    def _failed(self, exc: BaseException) -> Outcome:
        trace = _without_own_frames(exc)
        sys.last_type, sys.last_value, sys.last_traceback = type(exc), exc, trace
        if sys.version_info >= (3, 12):
            sys.last_exc = exc
        if sys.excepthook is sys.__excepthook__:
            return ("error", format_error(exc))
        try:
            sys.excepthook(type(exc), exc, trace)
        except Exception as error:
            error.__context__ = None
            first, second = format_error(error), format_error(exc)
            text = f"Error in sys.excepthook:\n{first}\nOriginal exception was:\n{second}"
            return ("error", text)
        return ("error", "")


def _new_namespace() -> dict[str, Any]:
    """A process of our own has but one prompt: its ``__main__``, as pickle and others expect."""
    if process_is_offered():
        return vars(sys.modules["__main__"])
    return {"__name__": "__main__", "__doc__": None}


def _plain_error(source: str, filename: str, found: SyntaxError) -> SyntaxError:
    """What is wrong with *source*: asked for statements in parts, Python 3.10 does not say."""
    try:
        compile(source, filename, "single", dont_inherit=True)
    except SyntaxError as exc:
        return exc
    return found


def _compiled_cell(source: str, filename: str) -> list[CodeType]:
    body = ast.parse(source, filename).body
    shown = [body.pop()] if body and isinstance(body[-1], ast.Expr) else []
    return [
        compile(ast.Module(body, []), filename, "exec", dont_inherit=True),
        compile(ast.Interactive(shown), filename, "single", dont_inherit=True),
    ]


def _without_own_frames(exc: BaseException) -> Any:
    trace = exc.__traceback__
    own = os.path.dirname(__file__)
    while trace is not None and os.path.dirname(trace.tb_frame.f_code.co_filename) == own:
        trace = trace.tb_next
    return trace


def _exit_status(code: object) -> tuple[int, str]:
    if code is None:
        return 0, ""
    return (int(code), "") if isinstance(code, int) else (1, f"{code}\n")
