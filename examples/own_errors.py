"""Exceptions of your own: caught by their class where both sides have it, by name where not.

python examples/own_errors.py
"""

from __future__ import annotations

import netobj


class OutOfPaper(Exception):
    """Both sides of this program know it."""

    def __init__(self, tray: int) -> None:
        super().__init__(tray)
        self.tray = tray


class PrinterService(netobj.Service):
    """Fails in three ways."""

    @netobj.exposed
    def print_page(self) -> None:
        raise OutOfPaper(2)

    @netobj.exposed
    def open_cover(self) -> None:
        class CoverStuck(Exception):
            """Known over there only."""

        raise CoverStuck("call the technician")

    @netobj.exposed
    def load(self, path: str) -> None:
        try:
            open(path).close()
        except OSError as error:
            raise ValueError("no such document") from error


def main() -> None:
    # Only classes that are here already are ever made: a name from the wire imports nothing.
    here = {"instantiate_custom_exceptions": True}
    there = {"log_exceptions": False}  # the client hears of them, that is enough
    conn = netobj.connect_multiprocess(netobj.VoidService, here, PrinterService, there)
    with conn:
        printer = conn.root
        try:
            printer.print_page()
        except OutOfPaper as error:
            print("fill tray", error.tray)
        try:
            printer.open_cover()
        except netobj.GenericException as error:
            print(type(error).__name__.rpartition(".")[2], "says:", error)
        try:
            printer.load("/no/such/file")
        except ValueError as error:
            print(error, "because of a", type(error.__cause__).__name__)
    conn.proc.join()


if __name__ == "__main__":
    main()
