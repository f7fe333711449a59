"""RPyC's path to the authenticators, which live in :mod:`netobj.auth`."""

from __future__ import annotations

from netobj.auth import SSLAuthenticator
from netobj.errors import AuthenticationError

__all__ = ["AuthenticationError", "SSLAuthenticator"]
