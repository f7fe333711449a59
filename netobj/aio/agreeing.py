"""The handshake with a pre-shared key on an event loop."""

from __future__ import annotations

import asyncio

from netobj.aio.login import LoginWire
from netobj.aio.sealed import Inner, SealedWire
from netobj.auth.agreeing import GONE, no_handshake
from netobj.auth.psk import PreSharedKey
from netobj.errors import AuthenticationError, ConnectionLost


async def accept_sealed(wire: LoginWire, psk: PreSharedKey, limit: float, inner: Inner) -> None:
    """A server's half over *wire*, within *limit* seconds; then *inner* has an encrypted transport.

    Raises AuthenticationError or ConnectionLost if it does not come to be; the transport is closed
    then.
    """
    try:
        await _agree(wire, psk, limit, inner, server=True)
    except TimeoutError:
        raise AuthenticationError(no_handshake(limit)) from None
    except Exception:
        await wire.leave()  # the other side may see our hello, which tells what is wanted
        raise
    finally:
        wire.abandon()


async def connect_sealed(wire: LoginWire, psk: PreSharedKey, limit: float, inner: Inner) -> None:
    """A client's half, as :func:`accept_sealed`, but that it raises TimeoutError."""
    try:
        await _agree(wire, psk, limit, inner, server=False)
    except TimeoutError:
        raise TimeoutError(no_handshake(limit)) from None
    finally:
        wire.abandon()


async def _agree(
    wire: LoginWire, psk: PreSharedKey, limit: float, inner: Inner, *, server: bool
) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit
    shake = psk.handshake(server)
    wire.transport.write(shake.hello)
    try:
        wire.transport.write(await wire.read(shake.read_hello(), deadline - loop.time()))
        await wire.read(shake.read_confirm(), deadline - loop.time())
    except ConnectionLost:
        raise ConnectionLost(GONE) from None
    wire.hand_over(SealedWire(inner, shake))
