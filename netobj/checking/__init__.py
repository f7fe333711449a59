"""``@exposed(check_types=True)``: arguments and results are what the annotations say.

Needs typeguard (``netobj[types]``), so nothing imports this package but
:func:`netobj.core.exposure.type_checked`, when a function is declared so.
"""

from __future__ import annotations

from netobj.checking.wrapping import checked

__all__ = ["checked"]
