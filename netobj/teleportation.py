"""Moving functions: a function here becomes a function over there.

It travels as its bytecode and its source; the bytecode is used where both sides run the same
version of it, else the source is compiled there. Default values and what the function closes
over travel along, containers among them as copies.
"""

from __future__ import annotations

import marshal
import textwrap
from collections.abc import Callable
from importlib.util import MAGIC_NUMBER
from types import CellType, CodeType, FunctionType
from typing import Any

from netobj.core.boxing import ByValue

Exported = tuple[Any, ...]


def export_function(func: Callable[..., Any]) -> Exported:
    """*func*, a function written in Python, as a tuple of values for :func:`import_function`.

    Raises ``TypeError`` for what is no such function.

    >>> square = import_function(export_function(lambda x: x * x))
    >>> square(5)
    25
    """
    if not isinstance(func, FunctionType):
        raise TypeError(f"only functions written in Python are teleported, not {func!r}")
    closure = func.__closure__ or ()
    return (
        func.__name__,
        func.__qualname__,
        func.__doc__,
        MAGIC_NUMBER,
        marshal.dumps(func.__code__),
        _source(func),
        func.__code__.co_freevars,
        tuple(_by_value(cell.cell_contents, func) for cell in closure),
        tuple(_by_value(value, func) for value in func.__defaults__ or ()),
        tuple((k, _by_value(v, func)) for k, v in (func.__kwdefaults__ or {}).items()),
    )


def _by_value(value: Any, func: FunctionType) -> Any:
    if value is func:
        raise TypeError(
            f"{func.__qualname__} refers to itself in its closure: teleport it as a global function"
        )
    return ByValue(value) if isinstance(value, (list, dict, set, bytearray)) else value


def _source(func: FunctionType) -> str | None:
    import inspect  # slow to import, and needed here only

    try:
        text = textwrap.dedent(inspect.getsource(func))
    except (OSError, TypeError):
        return None
    return None if func.__name__ == "<lambda>" else text


def import_function(exported: Exported, globals: dict[str, Any] | None = None) -> FunctionType:
    """The function that :func:`export_function` made *exported* of, with these globals.

    Raises ``ImportError`` if neither its bytecode nor its source fits this Python.
    """
    name, qualname, doc, magic, code, source, freevars, closure, defaults, kwdefaults = exported
    namespace = {"__builtins__": __builtins__} if globals is None else globals
    found = marshal.loads(code) if magic == MAGIC_NUMBER else _compile(name, source, freevars)
    cells = tuple(CellType(_unwrap(value)) for value in closure)
    function = FunctionType(found, namespace, name, tuple(map(_unwrap, defaults)), cells)
    function.__qualname__ = qualname
    function.__doc__ = doc
    if kwdefaults:
        function.__kwdefaults__ = {key: _unwrap(value) for key, value in kwdefaults}
    return function


def _unwrap(value: Any) -> Any:
    return value.value if type(value) is ByValue else value


def _compile(name: str, source: str | None, freevars: tuple[str, ...]) -> CodeType:
    if source is None:
        raise ImportError(
            f"the function {name} cannot be teleported: the two sides run different versions of "
            "Python, and its source is not at hand (a lambda, or typed at a prompt)"
        )
    text = f"def __outer__({', '.join(freevars)}):\n{textwrap.indent(source, '    ')}"
    found = _find_code(compile(text, f"<teleported {name}>", "exec"), name)
    if found is None or found.co_freevars != freevars:
        raise ImportError(f"the function {name} was not found in its own source")
    return found


def _find_code(code: CodeType, name: str) -> CodeType | None:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_name == name:
                return constant
            found = _find_code(constant, name)
            if found is not None:
                return found
    return None
