"""Text of the other side on this side's terminal: what would steer that is shown escaped."""

from __future__ import annotations

import json
import os
import sys
from typing import Any


class NoJson(Exception):
    """What was to be printed as JSON has none."""


def printable(text: str, lines: bool = False) -> str:
    r"""*text* with what is no printable character escaped; *lines*: its line ends stay.

    >>> printable("red: \x1b[31m\n"), printable("one\ntwo", lines=True)
    ('red: \\x1b[31m\\n', 'one\ntwo')
    """
    if text.isprintable():
        return text
    kept = "\n" if lines else ""
    return "".join(one if one.isprintable() or one in kept else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def say(text: str) -> None:
    """Print *text*, line by line, at once."""
    _write(sys.stdout, printable(text, lines=True))


def complain(program: str, text: str) -> None:
    """Print *text* as one line of standard error."""
    _write(sys.stderr, printable(f"{program}: {text}"))


def _write(output: Any, text: str) -> None:
    encoding = getattr(output, "encoding", None) or "utf-8"
    output.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    output.flush()


def as_json(value: Any) -> str:
    """*value* in one line of JSON. Raises NoJson for what has none.

    >>> as_json({"a": [1, None]})
    '{"a": [1, null]}'
    """
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise NoJson(f"the result has no JSON: {exc}") from exc


def error_text(exc: BaseException) -> str:
    """The kind and the text of *exc* in one line.

    >>> error_text(ValueError("no such account")), error_text(KeyError())
    ('ValueError: no such account', 'KeyError')
    """
    kind = type(exc).__name__
    text = str(exc)
    return f"{kind}: {text}" if text else kind


def drop_stdout() -> None:
    """Nobody reads the output any more: what is still to be written goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
