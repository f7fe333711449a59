"""The command ``netobj``: what is offered at an address, calls it, measures the way there."""

from __future__ import annotations

import logging
import sys

from plumbum import cli

from netobj.cli.calling import CallCommand, protected
from netobj.cli.listing import ListCommand
from netobj.cli.pinging import PingCommand
from netobj.cli.stubs import StubsCommand
from netobj.core.consts import VERSION


class Netobj(cli.Application):
    """Asks a service: what it offers, one call, how far it is."""

    PROGNAME = "netobj"
    VERSION = VERSION

    def main(self, *words: str) -> int:
        if self.nested_command is not None:
            return 0
        if words:
            print(f"{self.PROGNAME}: there is no command {words[0]!r}", file=sys.stderr)
        else:
            self.help()
        return 2


for _name, _command in (
    ("ls", ListCommand),
    ("call", CallCommand),
    ("ping", PingCommand),
    ("stubs", StubsCommand),
):
    Netobj.subcommand(_name, _command)


def main() -> None:
    """Run the command with the arguments of this process, and end it."""
    logging.getLogger("netobj").addHandler(logging.NullHandler())  # its errors are one line
    Netobj.run(protected(sys.argv) if sys.argv[1:2] == ["call"] else sys.argv)
