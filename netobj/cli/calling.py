"""``netobj call``: calls a function of a service, and prints what it returns."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from plumbum import cli

from netobj.cli.asking import Asking
from netobj.cli.printing import NoJson, as_json, say
from netobj.core.copies import fetch_copy
from netobj.core.handle import RemoteObject
from netobj.core.lookup import MISSING, find
from netobj.errors import NotEncodable

_NEGATIVE = re.compile(r"-[0-9.]")


class CallCommand(Asking):
    """Calls a function and prints its result, or the items of its stream, one a line.

    NAME may have dots: ns.function. ARGS are Python literals (2, -3, None, "[1, 2]"), everything
    else is text; key=value is a keyword argument. What begins with a minus sign and is no number
    comes behind "--". If the call raises, the error is one line of standard error, and the exit
    code is 1.
    """

    PROGNAME = "netobj call"

    json = cli.Flag("--json", help="print JSON; each item of a stream on a line of its own")

    def main(self, address: str, name: str, *args: str) -> int:
        return self.asked(address, name, *args)

    def ask(self, conn: Any, name: str = "", *args: str) -> int:
        """Call *name* with *args*, as they were typed."""
        positional, keywords = arguments(args)
        function = conn.root
        for step in name.split("."):
            function = getattr(function, step)
        result = function(*positional, **keywords)
        if _is_iterator(result):
            for item in _items(result):
                self._print(item)
        else:
            self._print(result)
        return 0

    def _print(self, value: Any) -> None:
        say(as_json(_copied(value)) if self.json else repr(value))


def _is_iterator(value: Any) -> bool:
    return find(type(value), "__next__") is not MISSING


def _items(iterator: Any) -> Iterator[Any]:
    while True:
        try:
            yield next(iterator)
        except StopIteration:
            return


def _copied(value: Any) -> Any:
    """*value* with the containers in it that are remote replaced by copies, recursively."""
    if issubclass(type(value), RemoteObject):
        try:
            value = fetch_copy(value)
        except NotEncodable as exc:
            raise NoJson(f"the result has no JSON: {exc}") from exc
    if type(value) is dict:
        return {key: _copied(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return [_copied(item) for item in value]
    return value


def arguments(words: tuple[str, ...]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments that *words* mean, by place and by name.

    >>> arguments(("2", "[1, 'a']", "Alice", "rate=0.5", "note=a=b", "a == b"))
    ([2, [1, 'a'], 'Alice', 'a == b'], {'rate': 0.5, 'note': 'a=b'})
    """
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name.isidentifier():
            keywords[name] = literal(value)
        else:
            positional.append(literal(word))
    return positional, keywords


def literal(word: str) -> Any:
    """The Python literal that *word* is, or else *word* itself.

    >>> literal("-3"), literal(" -3"), literal("None"), literal("none"), literal("'3'")
    (-3, -3, None, 'none', '3')
    """
    try:
        return ast.literal_eval(word)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return word


def protected(argv: list[str]) -> list[str]:
    """*argv* with negative numbers written so that they are not taken for switches.

    >>> protected(["netobj", "call", "localhost", "add", "-3", "--", "-4"])
    ['netobj', 'call', 'localhost', 'add', ' -3', '--', '-4']
    """
    end = argv.index("--") if "--" in argv else len(argv)
    return [f" {one}" if _NEGATIVE.match(one) else one for one in argv[:end]] + argv[end:]
