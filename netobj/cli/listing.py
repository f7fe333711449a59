"""``netobj ls``: what a service offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from plumbum import cli

from netobj.cli.asking import Asking
from netobj.cli.printing import as_json, complain, printable, say
from netobj.core.handle import RemoteObject
from netobj.introspection import System

_SYSTEM: Final = f"{System.__module__}.{System.__qualname__}"
_COLUMNS: Final = ("name", "kind", "signature", "doc")
_WIDEST: Final = 60  # characters of a column, which longer texts exceed


class ListCommand(Asking):
    """Prints what a service offers: names, kinds, signatures, first lines of documentation.

    ADDRESS is HOST, HOST:PORT, [IPV6]:PORT, unix:PATH, or netobj://HOST:PORT and its kin
    (netobjs:// is over TLS). The server tells it if it was made with introspect=True; of any
    other, only the names are printed that it shows.
    """

    PROGNAME = "netobj ls"

    json = cli.Flag("--json", help="print a list of objects, or of names, in JSON")

    def main(self, address: str) -> int:
        return self.asked(address)

    def ask(self, conn: Any, *_: str) -> int:
        """Print the table of *conn*'s service."""
        system = system_of(conn.root)
        if system is None:
            complain(
                "netobj ls",
                "introspection is off there (the server is made with introspect=True), so these "
                "are only names",
            )
            names = [name for name in dir(conn.root) if not name.startswith("_")]
            say(as_json(names) if self.json else "\n".join(map(printable, names)))
            return 0
        rows = [_row(entry) for entry in system.methods()]
        if self.json:
            say(as_json([dict(zip(_COLUMNS, row, strict=True)) for row in rows]))
        else:
            for line in table([[column.upper() for column in _COLUMNS], *rows]):
                say(line)
        return 0


def system_of(root: Any) -> Any:
    """The ``system`` of *root*, if it is that of introspection; None where that is off."""
    try:
        system = root.system
    except AttributeError:
        return None
    if not issubclass(type(system), RemoteObject):
        return None
    return system if system.____handle__.imported.description.full_name == _SYSTEM else None


def _row(entry: Any) -> list[str | None]:
    row = [entry[column] for column in _COLUMNS]
    if not all(text is None or type(text) is str for text in row):
        raise TypeError("the server's answer is no list of methods")
    return row


def table(rows: Sequence[Sequence[str | None]]) -> list[str]:
    """*rows* as lines, with the columns below one another.

    >>> table([["NAME", "KIND"], ["deposit", "function"], ["x", None]])
    ['NAME     KIND', 'deposit  function', 'x']
    """
    shown = [[printable(text or "") for text in row] for row in rows]
    widths = [min(max(map(len, column)), _WIDEST) for column in zip(*shown, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]
