"""Objects as permissions: who was given an account may use it, and there is no other way to one.

python examples/accounts.py
"""

from __future__ import annotations

import sys
from typing import Any

import beside

import netobj


class Account:
    """What an owner is given; only what is marked can be reached."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.cents = 0

    @netobj.exposed
    def deposit(self, cents: int) -> None:
        self.cents += cents

    @netobj.exposed
    def balance(self) -> int:
        return self.cents

    @netobj.exposed
    def for_auditor(self) -> Any:
        """A view of this account that can only look; it may be passed on."""
        return netobj.restricted(self, ["balance"], [])


class BankService(netobj.Service):
    """Shared by all clients."""

    def __init__(self) -> None:
        self._accounts: dict[str, tuple[str, Account]] = {"ada": ("1815", Account("ada"))}

    @netobj.exposed
    def login(self, name: str, pin: str) -> Account:
        expected, account = self._accounts.get(name, (None, None))
        if account is None or pin != expected:
            raise PermissionError("wrong name or pin")
        return account


def serve() -> None:
    # What clients do wrong is theirs to know, and not for the server's log.
    quiet = {"log_exceptions": False}
    server = netobj.ThreadedServer(BankService(), hostname="localhost", protocol_config=quiet)
    print(server.port, flush=True)
    server.start()


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        serve()
        return
    with beside.server(__file__) as port, netobj.connect("localhost", port) as conn:
        account = conn.root.login("ada", "1815")
        account.deposit(250)
        view = account.for_auditor()
        print("the auditor sees", view.balance())
        for what in (lambda: view.deposit, lambda: account.cents, lambda: account.__dict__):
            try:
                what()
            except AttributeError as error:  # an AccessDenied
                print(type(error).__name__)
        try:
            conn.root.login("ada", "0000")
        except PermissionError as error:
            print(error)


if __name__ == "__main__":
    main()
