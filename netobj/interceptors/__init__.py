"""What stands around connections and calls, see :class:`netobj.Interceptor`."""

from __future__ import annotations

from netobj.interceptors.interceptor import Direction, Interceptor, Next, Peer

__all__ = ["Direction", "Interceptor", "Next", "Peer"]
