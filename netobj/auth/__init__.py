"""Who is let in: TLS, pre-shared keys, tokens, users; for both skins and all servers.

>>> import netobj
>>> token = netobj.auth.new_token()
>>> asks = netobj.auth.TokenAuthenticator(token)
>>> with netobj.ThreadedServer(
...         netobj.SlaveService, hostname="localhost", authenticator=asks) as server:
...     with netobj.classic.connect_url(f"netobj://:{token}@localhost:{server.port}") as conn:
...         conn.modules.os.path.join("a", "b")
'a/b'
"""

from __future__ import annotations

from netobj.auth.authenticator import Authenticator
from netobj.auth.psk import PreSharedKey, new_key, read_key
from netobj.auth.tls import SSLAuthenticator, client_context, server_context
from netobj.auth.tokens import TokenAuthenticator, new_token, receive_token, send_token
from netobj.auth.users import UserAuthenticator, UserLogin, hash_password, is_password
from netobj.errors import AuthenticationError

__all__ = [
    "AuthenticationError",
    "Authenticator",
    "PreSharedKey",
    "SSLAuthenticator",
    "TokenAuthenticator",
    "UserAuthenticator",
    "UserLogin",
    "client_context",
    "hash_password",
    "is_password",
    "new_key",
    "new_token",
    "read_key",
    "receive_token",
    "send_token",
    "server_context",
]
