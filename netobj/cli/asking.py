"""What the subcommands of ``netobj`` have in common: connect, ask, say what went wrong."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import nullcontext
from typing import Any, cast

from plumbum import cli

from netobj.calls import deadline
from netobj.cli.connecting import Security, connected
from netobj.cli.printing import NoJson, complain, drop_stdout, error_text
from netobj.errors import NetobjError


class Asking(Security):
    """A command that asks the server at an address something, and exits with 1 if that fails."""

    timeout = cli.SwitchAttr(
        ["-t", "--timeout"],
        cli.Range(0, 10**9),
        argname="SECONDS",
        help="once connected, give up after that time",
    )

    def asked(self, address: str, *args: str) -> int:
        """Connect to *address* and :meth:`ask`; returns what the process exits with."""
        seconds = cast("int | None", self.timeout)
        try:
            try:
                conn = connected(address, self.security())
            except (OSError, ValueError, NetobjError) as exc:
                return self.failed(str(exc) or error_text(exc))
            with conn, nullcontext() if seconds is None else deadline(seconds):
                return self.ask(conn, *args)
        except BrokenPipeError:
            drop_stdout()
            return 1
        except KeyboardInterrupt:
            return 130  # as a shell says of a program that SIGINT has ended
        except NoJson as exc:
            return self.failed(str(exc))
        except Exception as exc:
            return self.failed(error_text(exc))

    @abstractmethod
    def ask(self, conn: Any, *args: str) -> int:
        """Ask over *conn*, and print; returns what the process exits with. May raise anything."""

    def failed(self, text: str) -> int:
        """Print *text* as the one line of an error, and return what the process exits with."""
        complain(str(self.PROGNAME), text)
        return 1
