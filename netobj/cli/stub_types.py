"""Signatures that the other side tells, as text that may stand in a module of this side.

What is written is put together from names that are known here and from constants: nothing of the
other side's text is copied. A name that is not known means a class over there, so ``Any`` here: to
import it would run a module of the other side's choice.
"""

from __future__ import annotations

import ast
import keyword
import unicodedata
from typing import Final, NamedTuple

ABC: Final = "collections.abc"
_MOST_CHARACTERS: Final = 2000  # of a signature
_DEEPEST: Final = 20

_BUILTINS: Final = (
    "bool bytearray bytes complex dict float frozenset int list memoryview object range set slice "
    "str tuple type"
).split()
_ABCS: Final = (
    "AsyncGenerator AsyncIterable AsyncIterator Awaitable Callable Collection Container Coroutine "
    "Generator Hashable Iterable Iterator Mapping MutableMapping MutableSequence MutableSet "
    "Sequence Set Sized"
).split()
KNOWN: Final[dict[str, tuple[str, str]]] = {
    **{name: ("builtins", name) for name in _BUILTINS},
    **{name: (ABC, name) for name in _ABCS},
    **{name.title(): ("builtins", name) for name in ("list", "dict", "tuple", "type")},
    "FrozenSet": ("builtins", "frozenset"),
    "AbstractSet": (ABC, "Set"),
    **{name: ("typing", name) for name in ("Any", "Literal", "NoReturn")},
    **{name: ("datetime", name) for name in ("date", "datetime", "time", "timedelta")},
    "Decimal": ("decimal", "Decimal"),
    "Fraction": ("fractions", "Fraction"),
    "UUID": ("uuid", "UUID"),
}
"""What names in annotations mean: module and name; ``Optional`` and the like are spelled out."""
MODULES: Final = frozenset(module for module, _ in KNOWN.values())

_STREAMS: Final = ("Iterator", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator")
_AWAITED: Final = ("Awaitable", "Coroutine")


class Imports:
    """The names that a module needs; *taken*: those that mean something else in its classes."""

    def __init__(self, taken: frozenset[str] = frozenset()) -> None:
        self.names: set[tuple[str, str]] = set()
        self.modules: set[str] = set()
        self.unknown: set[str] = set()
        self._taken = taken

    def use(self, module: str, name: str) -> str:
        """How to write *name* of *module*, which is imported for it."""
        if name in self._taken:
            self.modules.add(module)
            return f"{module}.{name}"
        if module != "builtins":
            self.names.add((module, name))
        return name

    @property
    def any(self) -> str:
        """How to write ``Any``."""
        return self.use("typing", "Any")


class Function(NamedTuple):
    """One method, ready to be written."""

    parameters: tuple[str, ...]
    result: str
    asynchronous: bool


def is_usable(name: object) -> bool:
    """Whether *name* can be written as the name of something public.

    >>> is_usable("add"), is_usable("import"), is_usable("_add"), is_usable("a.b")
    (True, False, False, False)
    """
    return (
        type(name) is str
        and name.isidentifier()
        and not name.startswith("_")
        and not keyword.iskeyword(name)
        and unicodedata.normalize("NFKC", name) == name
    )


def function(
    signature: str | None, imports: Imports, asynchronous: bool = False, stream: bool = False
) -> Function:
    """The function of that *signature*, as its caller has it; *stream*: its items are iterated.

    >>> function("(a: int, b: 'Account' = ...) -> 'Iterator[int]'", Imports())
    Function(parameters=('a: int', 'b: Any = ...'), result='Iterator[int]', asynchronous=False)
    """
    node = _parsed(signature)
    if node is None:
        rest = (f"*args: {imports.any}", f"**kwargs: {imports.any}")
        return _returning(rest, None, imports, asynchronous, stream)
    try:
        parameters = tuple(_parameters(node.args, imports))
    except _NotUsable:
        parameters = (f"*args: {imports.any}", f"**kwargs: {imports.any}")
    return _returning(parameters, node.returns, imports, asynchronous, stream)


class _NotUsable(Exception):
    pass


def _parsed(signature: str | None) -> ast.FunctionDef | None:
    if signature is None or len(signature) > _MOST_CHARACTERS:
        return None
    try:
        body = ast.parse(f"def f{signature}: ...").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    node = body[0]
    return node if len(body) == 1 and isinstance(node, ast.FunctionDef) else None


def _parameters(args: ast.arguments, imports: Imports) -> list[str]:
    plain = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(plain) - len(args.defaults)) + [*args.defaults]
    shown = []
    for number, (arg, default) in enumerate(zip(plain, defaults, strict=True), 1):
        shown.append(_parameter(arg, imports, default))
        if number == len(args.posonlyargs):
            shown.append("/")
    if args.vararg is not None:
        shown.append(f"*{_parameter(args.vararg, imports)}")
    elif args.kwonlyargs:
        shown.append("*")
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        shown.append(_parameter(arg, imports, default))
    if args.kwarg is not None:
        shown.append(f"**{_parameter(args.kwarg, imports)}")
    return shown


def _parameter(arg: ast.arg, imports: Imports, default: ast.expr | None = None) -> str:
    name = arg.arg
    if not is_usable(name.lstrip("_") or "x") or name == "__debug__":
        raise _NotUsable
    text = f"{name}: {annotation(arg.annotation, imports)}"
    return text if default is None else f"{text} = {_default(default)}"


def _default(node: ast.expr) -> str:
    value = node.value if isinstance(node, ast.Constant) else ...
    if value is None or type(value) is bool or (type(value) is int and abs(value) < 1 << 64):
        return repr(value)
    return "..."


def _returning(
    parameters: tuple[str, ...],
    returns: ast.expr | None,
    imports: Imports,
    asynchronous: bool,
    stream: bool,
) -> Function:
    returns = _unquoted(returns)
    name, args = _generic(returns)
    if name in _AWAITED and args:
        returns = args[-1]
        name, args = _generic(returns)
    if name in _STREAMS or stream:
        item = annotation(args[0], imports) if args else imports.any
        iterator = imports.use(ABC, "AsyncIterator" if asynchronous else "Iterator")
        return Function(parameters, f"{iterator}[{item}]", False)
    return Function(parameters, annotation(returns, imports), asynchronous)


def annotation(node: ast.expr | None, imports: Imports, depth: int = 0) -> str:
    """The type that *node* means, of what is known here; ``Any`` for everything else."""
    node = _unquoted(node)
    if node is None or depth > _DEEPEST:
        return imports.any
    if isinstance(node, ast.Constant):
        return "None" if node.value is None else imports.any
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([node.left, node.right], imports, depth)
    if isinstance(node, ast.Subscript):
        return _subscript(node, imports, depth)
    name = _dotted(node)
    known = _known(name)
    if known is None:
        if name:
            imports.unknown.add(name)
        return imports.any
    return imports.use(*known)


def _union(nodes: list[ast.expr], imports: Imports, depth: int) -> str:
    members = [annotation(node, imports, depth + 1) for node in nodes]
    return " | ".join(dict.fromkeys(members))


def _subscript(node: ast.Subscript, imports: Imports, depth: int) -> str:
    name, args = _generic(node)
    if name == "Optional" and args:
        return _union([args[0], ast.Constant(None)], imports, depth)
    if name == "Union" and args:
        return _union(args, imports, depth)
    if name == "Annotated" and args:
        return annotation(args[0], imports, depth + 1)
    if name == "Literal":
        return _literal(args, imports)
    known = _known(_dotted(node.value))
    if known is None or not args:
        return annotation(node.value, imports, depth + 1)
    if known == (ABC, "Callable"):
        return _callable(args, imports, depth)
    inner = [
        "..." if _is_ellipsis(arg) and known[1] == "tuple" else annotation(arg, imports, depth + 1)
        for arg in args
    ]
    return f"{imports.use(*known)}[{', '.join(inner)}]"


def _literal(args: list[ast.expr], imports: Imports) -> str:
    values = [arg.value if isinstance(arg, ast.Constant) else ... for arg in args]
    if not values or any(type(value) not in (str, int, bool, bytes) for value in values):
        return imports.any
    return f"{imports.use('typing', 'Literal')}[{', '.join(map(_constant, values))}]"


def _constant(value: object) -> str:
    text = ascii(value)
    return text if '"' in text or "\\" in text else text.replace("'", '"')


def _callable(args: list[ast.expr], imports: Imports, depth: int) -> str:
    name = imports.use(ABC, "Callable")
    if len(args) != 2:
        return f"{name}[..., {imports.any}]"
    taken = "..."
    if isinstance(args[0], ast.List):
        inner = [annotation(arg, imports, depth + 1) for arg in args[0].elts]
        taken = f"[{', '.join(inner)}]"
    return f"{name}[{taken}, {annotation(args[1], imports, depth + 1)}]"


def _unquoted(node: ast.expr | None) -> ast.expr | None:
    """What a string that is an annotation contains."""
    for _ in range(3):
        if not (isinstance(node, ast.Constant) and type(node.value) is str):
            break
        try:
            node = ast.parse(node.value, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    return node


def _generic(node: ast.expr | None) -> tuple[str, list[ast.expr]]:
    """The last name of what *node* subscribes, or is, and what is in its brackets."""
    if isinstance(node, ast.Subscript):
        inside = node.slice
        args = list(inside.elts) if isinstance(inside, ast.Tuple) else [inside]
        return _dotted(node.value).rpartition(".")[2], args
    return _dotted(node).rpartition(".")[2], []


def _dotted(node: ast.expr | None) -> str:
    """``a.b.c``; empty for everything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and len(parts) < _DEEPEST:
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def _known(dotted: str) -> tuple[str, str] | None:
    module, _, name = dotted.rpartition(".")
    found = KNOWN.get(name)
    if found is not None and module in ("", "t", "typing", "abc", "dt", found[0]):
        return found
    return None


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...
