"""``local``: what code at the remote prompt can reach of this, the local, side.

By default that is a box of things put there. Only a shell on a server of its own, and one started
with ``--share-local``, hands over the whole local interpreter: whoever holds it can do here
whatever the user can.
"""

from __future__ import annotations

import builtins
import importlib
from typing import Any

_BOX = frozenset({"get", "names", "put"})
_INTERPRETER = frozenset({"builtins", "eval", "execute", "modules", "namespace"})


class LocalBox:
    """Things by name, put and taken by either side.

    >>> box = LocalBox()
    >>> box.put("answer", 42)
    >>> box.get("answer"), box.names()
    (42, ('answer',))
    >>> box._netobj_getattr("modules")
    Traceback (most recent call last):
      ...
    AttributeError: this shell does not share its interpreter, so 'local' has no 'modules'; start it with --share-local
    """  # noqa: E501

    _reachable = _BOX

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {}

    def put(self, name: str, value: Any) -> None:
        """Keep *value* under *name*."""
        self.namespace[name] = value

    def get(self, name: str) -> Any:
        """What is kept under *name*; raises ``KeyError`` when nothing is."""
        return self.namespace[name]

    def names(self) -> tuple[str, ...]:
        """The names under which something is kept."""
        return tuple(self.namespace)

    def __dir__(self) -> list[str]:
        return sorted(self._reachable)

    def _netobj_getattr(self, name: str) -> Any:
        """The connection's access rule for this object: these names and no others."""
        if name in self._reachable:
            return getattr(self, name)
        if name in _INTERPRETER:
            raise AttributeError(
                f"this shell does not share its interpreter, so 'local' has no {name!r}; "
                "start it with --share-local"
            )
        raise AttributeError(f"'local' has no {name!r}, only {', '.join(sorted(self._reachable))}")


class LocalInterpreter(LocalBox):
    """All of the local interpreter.

    >>> local = LocalInterpreter()
    >>> local.execute("import math")
    >>> local.eval("math.floor(2.5)"), local.modules.math.ceil(2.5), local.builtins.len("abc")
    (2, 3, 3)
    """

    _reachable = _BOX | _INTERPRETER

    def __init__(self) -> None:
        super().__init__()
        self.namespace["__name__"] = "__local__"
        self.modules = _Modules()
        self.builtins = builtins

    def eval(self, source: str) -> Any:
        """The value of an expression in ``namespace``."""
        return eval(source, self.namespace)

    def execute(self, source: str) -> None:
        """Run statements in ``namespace``."""
        exec(source, self.namespace)


class _Modules:
    """Modules by attribute or item, imported when first asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as exc:
            raise AttributeError(str(exc)) from exc

    def __getitem__(self, name: str) -> Any:
        return importlib.import_module(name)
