"""Moving functions: a function here becomes a function over there.

It travels as its bytecode and its source; the bytecode is used where both sides run the same
version of it, else the source is compiled there. With it go its default values, annotations and
attributes, and what it closes over: containers as copies, functions as functions again (so what a
decorator written in Python made travels with the function that it wraps), modules and the standard
library's classes and functions by name, other objects as references to those here. What it uses
as a global is looked up over there. Nothing of it is pickled.
"""

from __future__ import annotations

import functools
import importlib
import marshal
import operator
import sys
from collections.abc import Callable, Iterator
from importlib.util import MAGIC_NUMBER
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    GenericAlias,
    ModuleType,
    NoneType,
    UnionType,
)
from typing import Any, Final, NamedTuple

from netobj.sources import compiled, has_late_annotations, source_of

Exported = tuple[Any, ...]
"""Plain values, code as bytes, and references: functions, then cells; see :class:`_Exporter`."""

_PLAIN: Final = frozenset((type(None), bool, int, float, complex, str, bytes))
_CONTAINERS: Final = {kind.__name__: kind for kind in (tuple, list, set, frozenset)}
_CACHES: Final = type(functools.lru_cache(lambda: None))
_DEEPEST: Final = 100  # containers inside one another


class Parts(NamedTuple):
    """A function, taken apart. Where it says "packed", see :meth:`_Exporter.pack`."""

    name: str
    qualname: str
    doc: str | None
    magic: bytes  # of the bytecode's version
    code: bytes
    code_name: str  # its own, which a decorator may have covered
    source: str | None
    late: bool  # annotations in the source are not evaluated
    freevars: tuple[str, ...]
    cells: tuple[int, ...]  # of these, by number
    defaults: Any  # packed tuple
    kwdefaults: Any  # packed dict or None
    annotations: Any  # packed dict
    attributes: Any  # packed dict


def export_function(func: Callable[..., Any]) -> Exported:
    """*func*, written in Python, as a tuple of values for :func:`import_function`.

    It may be an ``async def``, a generator, a lambda; and what ``functools.partial``,
    ``lru_cache`` and ``cache`` made of such a one. Raises ``TypeError`` for what is none of these,
    and for a container in its closure or defaults that contains itself.

    >>> square = import_function(export_function(lambda x: x * x))
    >>> square(5)
    25
    """
    inner: Any = func
    while type(inner) in (functools.partial, _CACHES):
        inner = inner.func if type(inner) is functools.partial else inner.__wrapped__
    if type(inner) is not FunctionType:
        raise TypeError(f"only functions written in Python are teleported, not {inner!r}")
    return _Exporter().export(func)


class _Exporter:
    """Takes apart one function and those that it refers to.

    Functions and cells have numbers, so that what refers to itself or shares a variable still does.
    """

    def __init__(self) -> None:
        self._functions: dict[int, FunctionType] = {}  # by id; in the order of their numbers
        self._parts: list[Parts | None] = []
        self._cells: dict[int, CellType] = {}
        self._contents: list[Any] = []
        self._depth = 0

    def export(self, func: Any) -> Exported:
        packed = self.pack(func)
        return packed, tuple(map(tuple, filter(None, self._parts))), tuple(self._contents)

    def pack(self, value: Any) -> Any:
        """A plain value as it is, anything else as a tuple of a word and what belongs to it."""
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is FunctionType:
            return "function", self._number_of(value)
        if kind is functools.partial:
            return (
                "partial",
                self.pack(value.func),
                self.pack(value.args),
                self.pack(value.keywords),
            )
        if kind is _CACHES:
            given = value.cache_parameters()
            return "cached", self.pack(value.__wrapped__), given["maxsize"], given["typed"]
        if kind in _CONTAINERS.values() or kind in (dict, bytearray):
            return self._pack_container(kind, value)
        if kind in (GenericAlias, UnionType):
            origin = None if kind is UnionType else self.pack(value.__origin__)
            return "alias", origin, self.pack(value.__args__)
        name = _name_of(value)
        return ("named", *name) if name is not None else ("value", value)

    def _pack_container(self, kind: type, value: Any) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise TypeError(
                "a container that contains itself cannot be teleported, nor one of more than "
                f"{_DEEPEST} levels"
            )
        try:
            if kind is bytearray:
                return "bytearray", bytes(value)
            if kind is dict:
                return "dict", tuple((self.pack(k), self.pack(v)) for k, v in value.items())
            return kind.__name__, tuple(map(self.pack, value))
        finally:
            self._depth -= 1

    def _number_of(self, func: FunctionType) -> int:
        if id(func) in self._functions:
            return list(self._functions).index(id(func))
        number = len(self._parts)
        self._functions[id(func)] = func
        self._parts.append(None)
        depth, self._depth = self._depth, 0
        self._parts[number] = self._take_apart(func)
        self._depth = depth
        return number

    def _take_apart(self, func: FunctionType) -> Parts:
        code = func.__code__
        return Parts(
            func.__name__,
            func.__qualname__,
            func.__doc__ if type(func.__doc__) is str else None,
            MAGIC_NUMBER,
            marshal.dumps(code),
            code.co_name,
            source_of(code),
            has_late_annotations(code),
            code.co_freevars,
            tuple(map(self._cell_number, func.__closure__ or ())),
            self.pack(func.__defaults__ or ()),
            self.pack(func.__kwdefaults__),
            self.pack({name: _annotation(hint) for name, hint in func.__annotations__.items()}),
            self.pack(dict(func.__dict__)),
        )

    def _cell_number(self, cell: CellType) -> int:
        if id(cell) in self._cells:
            return list(self._cells).index(id(cell))
        number = len(self._contents)
        self._cells[id(cell)] = cell
        self._contents.append(None)
        try:
            contents = cell.cell_contents
        except ValueError:  # not assigned yet
            self._contents[number] = ("empty",)
        else:
            self._contents[number] = self.pack(contents)
        return number


def _name_of(value: Any) -> tuple[str, str] | None:
    """Module and name by which the other side finds the same thing; None: it may not."""
    if isinstance(value, ModuleType):
        return value.__name__, ""
    if value is NoneType:  # it says that it is of builtins
        return "types", "NoneType"
    if not isinstance(value, (type, BuiltinFunctionType)):
        return None
    module, name = value.__module__, value.__qualname__
    if type(module) is not str or module.partition(".")[0] not in sys.stdlib_module_names:
        return None
    found: Any = sys.modules.get(module)
    for step in name.split("."):
        found = getattr(found, step, None)
    return (module, name) if found is value and module != "__main__" else None


def _annotation(hint: Any) -> Any:
    """*hint*, or how it is written, if it is more than names, aliases and values."""
    kind = type(hint)
    if kind in _PLAIN or kind in (GenericAlias, UnionType) or _name_of(hint) is not None:
        return hint
    return hint.__qualname__ if isinstance(hint, type) else repr(hint)


# --- putting it together again -------------------------------------------------------------------


def import_function(
    exported: Exported, globals: dict[str, Any] | None = None, def_: bool = True
) -> Any:
    """The function that :func:`export_function` made *exported* of, with these *globals*.

    With *def_*, it is put into them under its name. No *globals*: a new dictionary. Import only
    what comes from somebody who may run code here: that is what it is. Raises ``ImportError`` if
    neither its bytecode nor its source fits this Python, or a module that it closes over is not
    here.
    """
    packed, functions, contents = exported
    namespace = {} if globals is None else globals
    if not issubclass(type(namespace), dict):
        raise TypeError(
            "the globals of a function are a dict of the side where it runs, and this is "
            f"a {type(namespace).__name__!r} object: leave them out, or import it over there"
        )
    namespace.setdefault("__builtins__", __builtins__)
    importer = _Importer(namespace, [Parts(*parts) for parts in functions], contents)
    function = importer.unpack(packed)
    if def_ and globals is not None:
        namespace[importer.name_of(packed)] = function
    return function


class _Importer:
    def __init__(
        self, namespace: dict[str, Any], parts: list[Parts], contents: tuple[Any, ...]
    ) -> None:
        self._parts = parts
        cells = [CellType() for _ in contents]
        self._functions = [_make(one, namespace, cells) for one in parts]
        for cell, packed in zip(cells, contents, strict=True):
            if packed != ("empty",):
                cell.cell_contents = self.unpack(packed)
        for function, one in zip(self._functions, parts, strict=True):
            self._furnish(function, one)

    def name_of(self, packed: Any) -> str:
        """The name of the function that is inside."""
        kind, what, *_ = packed
        return self._parts[what].name if kind == "function" else self.name_of(what)

    def _furnish(self, function: FunctionType, parts: Parts) -> None:
        function.__qualname__ = parts.qualname
        function.__doc__ = parts.doc
        function.__defaults__ = self.unpack(parts.defaults) or None
        function.__kwdefaults__ = self.unpack(parts.kwdefaults)
        function.__annotations__ = self.unpack(parts.annotations)
        function.__dict__.update(self.unpack(parts.attributes))

    def unpack(self, packed: Any) -> Any:
        if type(packed) is not tuple:
            return packed
        word, *rest = packed
        return _UNPACK[word](self, *rest)

    def function(self, number: int) -> FunctionType:
        return self._functions[number]

    def container(self, kind: Callable[[Iterator[Any]], Any], items: tuple[Any, ...]) -> Any:
        return kind(map(self.unpack, items))

    def dict(self, items: tuple[Any, ...]) -> Any:
        return {self.unpack(key): self.unpack(value) for key, value in items}

    def partial(self, func: Any, args: Any, keywords: Any) -> Any:
        given = self.unpack(keywords)
        return functools.partial(self.unpack(func), *self.unpack(args), **given)

    def cached(self, func: Any, maxsize: int | None, typed: bool) -> Any:
        return functools.lru_cache(maxsize, typed)(self.unpack(func))

    def alias(self, origin: Any, args: Any) -> Any:
        if origin is None:
            return functools.reduce(operator.or_, self.unpack(args))
        return GenericAlias(self.unpack(origin), self.unpack(args))

    def named(self, module: str, name: str) -> Any:
        found: Any = importlib.import_module(module)
        for step in filter(None, name.split(".")):
            found = getattr(found, step)
        return found


_UNPACK: Final[dict[str, Callable[..., Any]]] = {
    "alias": _Importer.alias,
    "bytearray": lambda _, data: bytearray(data),
    "cached": _Importer.cached,
    "dict": _Importer.dict,
    "function": _Importer.function,
    "named": _Importer.named,
    "partial": _Importer.partial,
    "value": lambda _, value: value,
    **{
        name: functools.partial(lambda kind, importer, items: importer.container(kind, items), kind)
        for name, kind in _CONTAINERS.items()
    },
}


def _make(parts: Parts, namespace: dict[str, Any], cells: list[CellType]) -> FunctionType:
    code = marshal.loads(parts.code) if parts.magic == MAGIC_NUMBER else _compile(parts)
    by_name = dict(zip(parts.freevars, (cells[number] for number in parts.cells), strict=True))
    closure = tuple(by_name[name] for name in code.co_freevars)
    return FunctionType(code, namespace, parts.name, None, closure)


def _compile(parts: Parts) -> CodeType:
    if parts.source is None:
        raise ImportError(
            f"the function {parts.qualname} cannot be teleported: the two sides run different "
            "versions of Python, and its source is not at hand (it was typed at a prompt, or "
            "changed since, or it is a lambda that shares its line with another)"
        )
    try:
        return compiled(parts.source, parts.code_name, parts.qualname, parts.freevars, parts.late)
    except SyntaxError as exc:
        raise ImportError(
            f"the function {parts.qualname} cannot be teleported: its source is not for Python "
            f"{sys.version_info[0]}.{sys.version_info[1]} ({exc})"
        ) from exc
