"""The source of one function: how it is found, and how it becomes code in another Python."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import lru_cache
from types import CodeType
from typing import Any, Final

_LATE: Final = annotations.compiler_flag  # of that line above, in whatever is compiled
_OPTIMIZED, _STARRED, _DOUBLE_STARRED = 0x01, 0x04, 0x08  # inspect's, which is slow to import


def has_late_annotations(code: CodeType) -> bool:
    """True if annotations in the source of *code* are not evaluated."""
    return bool(code.co_flags & _LATE)


def source_of(code: CodeType) -> str | None:
    """The source of just the function with *code*; None where it is not found for sure.

    Without decorators, default values, annotations and docstring: a function object has those.
    """
    import ast  # these two are slow to import, and needed here only
    import inspect

    try:
        lines, _ = inspect.findsource(code)
        module = _parsed("".join(lines))
    except (OSError, TypeError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found = {ast.unparse(_bare(node)) for node in ast.walk(module) if _is_of(node, code)}
    return found.pop() if len(found) == 1 else None  # more: lambdas in one line


@lru_cache(maxsize=2)
def _parsed(text: str) -> Any:
    import ast

    return ast.parse(text)


def _is_of(node: Any, code: CodeType) -> bool:
    kind = type(node).__name__
    if kind == "Lambda":
        first, name = node.lineno, "<lambda>"
    elif kind in ("FunctionDef", "AsyncFunctionDef"):
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        name = node.name
    else:
        return False
    starred = bool(code.co_flags & _STARRED) + bool(code.co_flags & _DOUBLE_STARRED)
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + starred]
    named = tuple(one.arg for one in _arguments_of(node.args))
    return (first, name, named) == (code.co_firstlineno, code.co_name, arguments)


def _arguments_of(args: Any) -> Iterator[Any]:
    """The arguments, in the order of a function's variables."""
    yield from (*args.posonlyargs, *args.args, *args.kwonlyargs)
    yield from filter(None, (args.vararg, args.kwarg))


def _bare(original: Any) -> Any:
    import ast

    node = deepcopy(original)
    nothing = ast.Constant(None)
    if type(node) is not ast.Lambda:
        node.decorator_list, node.returns = [], None
        if ast.get_docstring(node, clean=False) is not None:
            node.body[0] = ast.Expr(nothing)
    args = node.args
    args.defaults = [nothing] * len(args.defaults)
    args.kw_defaults = [one and nothing for one in args.kw_defaults]
    for one in _arguments_of(args):
        one.annotation = None
    return node


def compiled(
    source: str, name: str, qualname: str, variables: tuple[str, ...], late_annotations: bool
) -> CodeType:
    """The code of the function in *source* (see :func:`source_of`), made by this Python.

    *name* is the code's, *qualname* the function's; *variables* are those that it closes over.
    Raises ``SyntaxError`` where this Python does not know how it is written.

    >>> code = compiled("def f(x):\\n    return x + y", "f", "f", ("y",), False)
    >>> code.co_name, code.co_freevars
    ('f', ('y',))
    """
    import ast

    module = ast.parse(_surroundings(name, qualname, variables))
    inside: Any = module.body[0]
    while type(inside.body[-1]) is not ast.Pass:
        inside = inside.body[-1]
    inside.body[-1:] = ast.parse(source).body
    flags = _LATE if late_annotations else 0
    file = f"<teleported {qualname}>"
    found = _find(compile(module, file, "exec", flags, dont_inherit=True), name)
    if found is None or not set(found.co_freevars) <= set(variables):
        raise SyntaxError(f"the function {name} was not found in its own source")
    return found


def _surroundings(name: str, qualname: str, variables: tuple[str, ...]) -> str:
    """A function that has the variables and, for a method, its class, which private names mean."""
    given = ", ".join(one for one in variables if one != "__class__")
    above = qualname.split(".")[-2:-1]
    inside = "pass"
    if above and above[0].isidentifier():
        inside = f"class {above[0]}: pass"
    elif name.isidentifier() and name not in variables:  # where it names itself it means a global
        inside = f"global {name}; pass"
    return f"def __outer__({given}):\n {inside}"


def _find(code: CodeType, name: str) -> CodeType | None:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_name == name and inner.co_flags & _OPTIMIZED:  # not a class
                return inner
            found = _find(inner, name)
            if found is not None:
                return found
    return None
