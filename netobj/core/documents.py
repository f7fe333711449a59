"""What is told of a function, and not more: its signature as text, and texts without addresses."""

from __future__ import annotations

import re
from typing import Any, Final

_AT: Final = " at 0x"
_ADDRESS: Final = re.compile(" at 0x[0-9A-Fa-f]+")
_SHOWN_DEFAULTS: Final = frozenset((type(None), bool, int, float))


def without_addresses(text: str) -> str:
    """*text* without the addresses that default reprs have.

    >>> without_addresses("<Account object at 0x7f21>")
    '<Account object>'
    """
    return _ADDRESS.sub("", text) if _AT in text else text


def signature_of(function: Any, shows_all: bool) -> str | None:
    """The signature of *function* as text; None where it has none that can be told.

    Default values that are more than numbers are shown only where the peer *shows_all*: they may
    be secrets, and their reprs code of the user's.

    >>> def connect(host: str, port: int = 22, key="secret"): ...
    >>> signature_of(connect, False)
    '(host: str, port: int = 22, key=...)'
    """
    import inspect  # 6 ms to import, and asked for by people only

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    if shows_all:
        return str(signature)
    parameters = [
        one.replace(annotation=_annotation(one.annotation), default=_default(one.default))
        for one in signature.parameters.values()
    ]
    returns = _annotation(signature.return_annotation)
    shown = signature.replace(parameters=parameters, return_annotation=returns)
    return without_addresses(str(shown))


def document_of(obj: Any) -> str | None:
    """The docstring of *obj* as people read it; None if it has none.

    >>> document_of(without_addresses).splitlines()[0]
    '*text* without the addresses that default reprs have.'
    """
    import inspect

    text = inspect.getdoc(obj)
    return text if type(text) is str else None


class _Text:
    """Stands in a signature for what is shown as *text*."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


_HIDDEN: Final = _Text("...")


def _annotation(annotation: Any) -> Any:
    """Annotations that are texts already are shown without quotes."""
    return _Text(annotation) if type(annotation) is str else annotation


def _default(default: Any) -> Any:
    import inspect

    shown = default is inspect.Parameter.empty or type(default) in _SHOWN_DEFAULTS
    return default if shown else _HIDDEN
