"""A module of Protocols, written from what the other side tells of a service.

All that is told is somebody else's word. Names have to be identifiers, signatures go through
:mod:`netobj.cli.stub_types`, docstrings are string literals; and before the text leaves here it is
parsed, and may contain nothing but imports of a few modules and classes of empty methods.
"""

from __future__ import annotations

import ast
from inspect import cleandoc
from textwrap import indent
from typing import Final, NamedTuple

from netobj.cli.stub_types import (
    ABC,
    KNOWN,
    MODULES,
    Function,
    Imports,
    function,
    is_usable,
)

_WIDTH: Final = 100
_IN_CLASS: Final = " " * 4


class Method(NamedTuple):
    """A method as the other side tells it."""

    name: str
    signature: str | None = None
    doc: str | None = None
    stream: bool = False  # its result is iterated


class Space(NamedTuple):
    """A service, or a namespace in one, as the other side tells it."""

    name: str
    doc: str | None = None
    methods: tuple[Method, ...] = ()
    attributes: tuple[str, ...] = ()
    specials: tuple[str, ...] = ()
    spaces: tuple[tuple[str, Space], ...] = ()  # under their names


_SPECIALS: Final = {
    "__len__": "def __len__(self) -> int: ...",
    "__contains__": "def __contains__(self, item: {any}, /) -> bool: ...",
    "__getitem__": "def __getitem__(self, key: {any}, /) -> {any}: ...",
    "__setitem__": "def __setitem__(self, key: {any}, value: {any}, /) -> None: ...",
    "__delitem__": "def __delitem__(self, key: {any}, /) -> None: ...",
    "__iter__": "def __iter__(self) -> {iterator}[{any}]: ...",
    "__call__": "def __call__(self, *args: {any}, **kwargs: {any}) -> {any}: ...",
}


def module_text(about: str, service: Space, asynchronous: bool = False) -> str:
    """The text of a module with a Protocol for *service*; *about* is in its docstring.

    >>> methods = (Method("add", "(a: int, b: int = ...) -> int"),)
    >>> print(module_text("A test.", Space("Calculator", methods=methods)), end="")
    \"""A test.\"""
    <BLANKLINE>
    from __future__ import annotations
    <BLANKLINE>
    from typing import Protocol
    <BLANKLINE>
    <BLANKLINE>
    class Calculator(Protocol):
        def add(self, a: int, b: int = ...) -> int: ...
    """
    writer = _Writer(service, asynchronous)
    classes = writer.classes()
    head = [_docstring(about, ""), "", "from __future__ import annotations", "", *writer.imports()]
    text = "\n".join(head) + "".join(f"\n\n\n{one}" for one in classes) + "\n"
    _check(ast.parse(text))
    return text


class _Writer:
    def __init__(self, service: Space, asynchronous: bool) -> None:
        self._service = service
        self._asynchronous = asynchronous
        taken = frozenset(_all_names(service))
        self._imports = Imports(taken)
        self._has_properties = "property" not in taken
        self._protocol = self._imports.use("typing", "Protocol")
        self._used: set[str] = {*KNOWN, "Protocol", "property"}

    def classes(self) -> list[str]:
        """The classes: those of namespaces first."""
        written: list[str] = []
        self._write(self._service, written)
        return written

    def imports(self) -> list[str]:
        """The lines of imports, and of what is not known."""
        imports = self._imports
        lines = [f"import {module}" for module in sorted(imports.modules)]
        for module in sorted({module for module, _ in imports.names}):
            names = ", ".join(sorted(name for home, name in imports.names if home == module))
            lines.append(f"from {module} import {names}")
        unknown = ", ".join(sorted(name for name in imports.unknown if name.isascii()))
        if unknown:
            lines += ["", "# Not known here, so Any:", *_wrapped(unknown)]
        return lines

    def _write(self, space: Space, written: list[str]) -> str:
        """Write the class of *space*; returns its name."""
        name = self._name_for(space.name)
        parts: list[str] = []
        if space.doc:
            parts.append(_docstring(space.doc, _IN_CLASS))
        for attribute in filter(is_usable, space.attributes):
            parts.append(self._attribute(attribute, self._imports.any, not self._asynchronous))
        for attribute, inner in space.spaces:
            if is_usable(attribute):
                parts.append(self._property(attribute, self._write(inner, written)))
        for method in space.methods:
            if is_usable(method.name):
                parts.append(self._method(method))
        if not self._asynchronous:
            parts += [self._special(one) for one in space.specials if one in _SPECIALS]
        body = "\n\n".join(parts) if parts else "..."
        written.append(f"class {name}({self._protocol}):\n{indent(body, _IN_CLASS)}")
        return name

    def _name_for(self, wanted: str) -> str:
        name = wanted.rpartition(".")[2]
        name = name if is_usable(name) else "Service"
        name = name[:1].upper() + name[1:]
        number, free = 1, name
        while free in self._used:
            number += 1
            free = f"{name}{number}"
        self._used.add(free)
        return free

    def _attribute(self, name: str, kind: str, plain: bool) -> str:
        if plain:
            return f"{name}: {kind}"
        return self._property(name, f"{self._imports.use(ABC, 'Awaitable')}[{kind}]")

    def _property(self, name: str, kind: str) -> str:
        if not self._has_properties:
            return f"{name}: {kind}"
        return f"@property\ndef {name}(self) -> {kind}: ..."

    def _special(self, name: str) -> str:
        template = _SPECIALS[name]
        iterator = self._imports.use(ABC, "Iterator") if "{iterator}" in template else ""
        return template.format(any=self._imports.any, iterator=iterator)

    def _method(self, method: Method) -> str:
        found = function(method.signature, self._imports, self._asynchronous, method.stream)
        head = _head(method.name, found)
        if method.doc:
            return f"{head}\n{indent(_docstring(method.doc, _IN_CLASS * 2), _IN_CLASS)}"
        return f"{head} ..."


def _all_names(space: Space) -> list[str]:
    names = [*(method.name for method in space.methods), *space.attributes]
    for name, inner in space.spaces:
        names += [name, *_all_names(inner)]
    return names


def _head(name: str, found: Function) -> str:
    taken = {one.lstrip("*").partition(":")[0] for one in found.parameters}
    receiver = next(one for one in ("self", "this", "self_") if one not in taken)
    parameters = [receiver, *found.parameters]
    define = "async def" if found.asynchronous else "def"
    line = f"{define} {name}({', '.join(parameters)}) -> {found.result}:"
    if len(_IN_CLASS) + len(line) + len(" ...") <= _WIDTH:
        return line
    listed = "".join(f"    {parameter},\n" for parameter in parameters)
    return f"{define} {name}(\n{listed}) -> {found.result}:"


def _wrapped(text: str) -> list[str]:
    lines = ["#"]
    for word in text.split(" "):
        if len(lines[-1]) + 1 + len(word) > _WIDTH and lines[-1] != "#":
            lines.append("#")
        lines[-1] += f" {word}"
    return lines


def _docstring(text: str, margin: str) -> str:
    """*text* as the literal of a docstring, whose lines will be behind *margin*."""
    lines = cleandoc(text).splitlines()
    clean = "\n".join(line.rstrip() for line in lines)
    clean = clean.encode("utf-8", "backslashreplace").decode()  # modules hold no lone surrogates
    if all(map(str.isprintable, clean.splitlines())):
        escaped = clean.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
        if clean.endswith('"') and not clean.endswith('"""'):
            escaped = f'{escaped[:-1]}\\"'
        literal = f'"""{escaped}"""' if len(lines) < 2 else f'"""{escaped}\n"""'
        try:
            if ast.literal_eval(literal).rstrip("\n") == clean:
                return literal
        except (SyntaxError, ValueError):
            pass
    return ascii(clean)


# --- the last look --------------------------------------------------------------------------------

_OF_TYPES: Final = (
    ast.Name,
    ast.Attribute,
    ast.Subscript,
    ast.Tuple,
    ast.List,
    ast.BinOp,
    ast.BitOr,
    ast.Constant,
    ast.Load,
)


def _check(tree: ast.Module) -> None:
    """ValueError if the module does anything but define classes of empty methods."""
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom):
            _demand(statement.module in MODULES | {"__future__"})
        elif isinstance(statement, ast.Import):
            _demand({alias.name for alias in statement.names} <= MODULES)
        elif isinstance(statement, ast.ClassDef):
            _demand(not (statement.keywords or statement.decorator_list))
            _demand([ast.unparse(one) for one in statement.bases] in (["Protocol"], _QUALIFIED))
            for part in statement.body:
                _check_part(part)
        else:
            _demand(_is_constant(statement))


_QUALIFIED: Final = ["typing.Protocol"]


def _check_part(part: ast.stmt) -> None:
    if isinstance(part, ast.AnnAssign):
        _demand(part.value is None and isinstance(part.target, ast.Name))
        _check_types([part.annotation])
    elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
        _demand(len(part.body) == 1 and _is_constant(part.body[0]))
        _demand([ast.unparse(one) for one in part.decorator_list] in ([], ["property"]))
        args = part.args
        every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
        _check_types([one.annotation for one in every if one is not None])
        _check_types([part.returns])
        for default in (*args.defaults, *args.kw_defaults):
            _demand(default is None or isinstance(default, ast.Constant))
    else:
        _demand(_is_constant(part))


def _check_types(nodes: list[ast.expr | None]) -> None:
    for node in filter(None, nodes):
        _demand(all(isinstance(one, _OF_TYPES) for one in ast.walk(node)))


def _is_constant(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _demand(fulfilled: bool) -> None:
    if not fulfilled:
        raise ValueError("what the other side tells of its service is not to be written down")
