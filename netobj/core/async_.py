"""Where programs written for RPyC look for AsyncResultTimeout.

``AsyncResult`` is not here, since the core has nothing that waits: it is ``netobj.AsyncResult``.

>>> from netobj.core.async_ import AsyncResultTimeout
>>> issubclass(AsyncResultTimeout, TimeoutError)
True
"""

from __future__ import annotations

from netobj.errors import AsyncResultTimeout

__all__ = ["AsyncResultTimeout"]
