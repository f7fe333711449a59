"""Completing names: which there are (asked on the remote side)."""

from __future__ import annotations

import builtins
import inspect
import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Any

_DOTTED = re.compile(r"((?:\w+\.)+)(\w*)")
_WITHOUT_SPACE = {"True", "False", "None", "break", "continue", "pass", "else", "finally", "try"}


def matches(text: str, namespace: Mapping[str, Any]) -> tuple[str, ...]:
    """What *text*, a name or dotted names, could become; callables end in ``(``.

    Only attributes of names are looked at, nothing is called; () when that fails.

    >>> matches("sh", {"shape": 1, "shift": print})
    ('shape', 'shift(')
    >>> matches("word.rep", {"word": "abc"})
    ('word.replace(',)
    """
    dotted = _DOTTED.fullmatch(text)
    try:
        if dotted is None:
            return tuple(_names(text, namespace)) if re.fullmatch(r"\w*", text) else ()
        return tuple(_attributes(dotted[1], dotted[2], namespace))
    except Exception:  # dir() and getattr() run code of the objects
        return ()


def _names(start: str, namespace: Mapping[str, Any]) -> Iterable[str]:
    found = {
        word: word if word in _WITHOUT_SPACE else word + " "
        for word in (*keyword.kwlist, *keyword.softkwlist)
        if word != "_"
    }
    for scope in (vars(builtins), namespace):
        for name, value in scope.items():
            if name not in keyword.kwlist:
                found[name] = name + "(" if callable(value) else name
    return [found[name] for name in sorted(found) if _fits(name, start)]


def _attributes(path: str, start: str, namespace: Mapping[str, Any]) -> Iterable[str]:
    first, *rest = path.rstrip(".").split(".")
    value = namespace[first] if first in namespace else getattr(builtins, first)
    for name in rest:
        value = getattr(value, name)
    return [path + name + _ending(value, name) for name in dir(value) if _fits(name, start)]


def _fits(name: str, start: str) -> bool:
    """Names with an underscore in front show up when one was typed."""
    return name.startswith(start) and (start != "" or not name.startswith("_"))


def _ending(value: Any, name: str) -> str:
    # Static: a property would run code, and an attribute of a proxy cost a round trip.
    found = inspect.getattr_static(value, name, None)
    return "(" if callable(found) or isinstance(found, (classmethod, staticmethod)) else ""
