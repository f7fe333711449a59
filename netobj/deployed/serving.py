"""Serving on the other machine, for whoever knows the token, until the near side lets go."""

from __future__ import annotations

import os
import select
import sys
import threading
from pathlib import Path
from typing import Any, Final

import netobj.errors
from netobj.auth.tokens import TokenAuthenticator, receive_token
from netobj.errors import AuthenticationError

READY: Final = "netobj-deployed"
"""What :func:`serve` prints when it listens at :data:`SOCKET`."""
SOCKET: Final = "s"
"""The Unix socket, in the deployed folder; short, since the system bounds the whole path."""
_CHUNK: Final = 1024


def serve(server_class: Any, service: Any, **options: Any) -> None:
    """Serve *service* with a *server_class*, which gets *options*; for a ``server_script``.

    It listens on a Unix socket that only this user can reach, in a folder that only this user can
    enter, and asks who connects for the token, the first line of standard input. Returns when
    that input ends, or when the server does, as a ``OneShotServer`` after its one client. It
    serves in this thread, which is the one for a ``ForkingServer`` to fork from. Raises
    AuthenticationError if there is no token.
    """
    try:
        authenticator = TokenAuthenticator(receive_token(sys.stdin.buffer))
    except (AuthenticationError, ValueError) as exc:
        raise AuthenticationError(
            f"standard input: {exc}; netobj.deploy.DeployedServer starts this program"
        ) from exc
    folder = Path(netobj.errors.__file__).parents[1]
    server = server_class(
        service, socket_path=str(folder / SOCKET), authenticator=authenticator, **options
    )
    server.listener  # noqa: B018  (it listens from here on, and errors are raised here)
    lifeline = os.dup(sys.stdin.fileno())  # whatever the service does with its own
    watch = threading.Thread(
        target=_watch, args=(server, lifeline), name="netobj lifeline", daemon=True
    )
    watch.start()
    print(READY, flush=True)
    server.start()


def _watch(server: Any, lifeline: int) -> None:
    """Close *server* when nothing comes from *lifeline* any more.

    Not by ``sys.stdin``, whose lock a thread that waits would hold while the interpreter ends. The
    wait is ``select``'s, which gevent knows to share with other greenlets.
    """
    while True:
        select.select([lifeline], [], [])
        if not os.read(lifeline, _CHUNK):
            break
    server.close()
