"""Serving on the other machine, for whoever knows the token, until the near side lets go."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import netobj.errors
from netobj.deployed.secret import asking

READY: Final = "netobj-deployed"
"""What :func:`serve` prints when it listens at :data:`SOCKET`."""
SOCKET: Final = "s"
"""The Unix socket, in the deployed folder; short, since the system bounds the whole path."""
_LONGEST: Final = 1024


def serve(server_class: Any, service: Any, **options: Any) -> None:
    """Serve *service* with a *server_class*, which gets *options*; for a ``server_script``.

    It listens on a Unix socket that only this user can reach, in a folder that only this user can
    enter, and asks who connects for the token, the first line of standard input. Returns when
    that input ends. Raises RuntimeError if there is no token.
    """
    token = sys.stdin.buffer.readline(_LONGEST).strip()
    if not token:
        raise RuntimeError("no token came on standard input: DeployedServer starts this script")
    folder = Path(netobj.errors.__file__).parents[1]
    path = str(folder / SOCKET)
    with server_class(service, socket_path=path, authenticator=asking(token), **options):
        print(READY, flush=True)
        while sys.stdin.buffer.read(_LONGEST):
            pass
