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


def signature_of(function: Any, shows_all: bool, unquoted: bool = False) -> str | None:
    """The signature of *function* as text; None where it has none that can be told.

    Default values that are more than numbers are shown only where the peer *shows_all*: they may
    be secrets, and their reprs code of the user's. *unquoted*: annotations that are texts, as
    ``from __future__ import annotations`` makes them, are shown as they were written.

    >>> def connect(host: str, port=22, key="secret"): ...
    >>> signature_of(connect, False), signature_of(connect, True, unquoted=True)
    ("(host: 'str', port=22, key=...)", "(host: str, port=22, key='secret')")
    """
    import inspect  # 6 ms to import, and asked for by people only

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    if not shows_all:
        signature = _discreet(signature)
    if unquoted:
        parameters = [
            one.replace(annotation=_unquoted(one.annotation))
            for one in signature.parameters.values()
        ]
        returns = _unquoted(signature.return_annotation)
        signature = signature.replace(parameters=parameters, return_annotation=returns)
    return str(signature) if shows_all else without_addresses(str(signature))


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


def _discreet(signature: Any) -> Any:
    parameters = [
        one
        if one.default is one.empty or type(one.default) in _SHOWN_DEFAULTS
        else one.replace(default=_HIDDEN)
        for one in signature.parameters.values()
    ]
    return signature.replace(parameters=parameters)


def _unquoted(annotation: Any) -> Any:
    return _Text(annotation) if type(annotation) is str else annotation
