"""``netobj stubs``: writes a ``typing.Protocol`` for a service that runs somewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from plumbum import cli

from netobj.cli.connecting import Security, connected
from netobj.cli.stub_text import Method, Space, module_text
from netobj.core.consts import Described, Op
from netobj.core.handle import RemoteMethod, RemoteObject
from netobj.errors import NetobjError

_DEEPEST = 5  # namespaces inside of one another
_MOST = 2000  # names of one of them
_MOST_STEPS = 20
_NOT_THEIRS = ("builtins", "netobj.introspection")
_OF_ALL = frozenset(("get_service_aliases", "get_service_name"))  # of every service


class StubsCommand(Security):
    """Writes what a running service offers as a typing.Protocol, for type checkers and editors.

    ADDRESS is HOST, HOST:PORT, [IPV6]:PORT or unix:PATH, or netobj://HOST:PORT and its kin
    (netobjs:// is over TLS). SERVICE is a namespace of the service, with dots, of which the
    Protocol is to be; without it, all of the service is written. What is there under the names of
    attributes is looked at only with --read.
    """

    PROGNAME = "netobj stubs"

    asynchronous = cli.Flag("--async", help="for netobj.aio: with methods that are async def")
    output = cli.SwitchAttr("-o", str, argname="FILE", help="write FILE, not standard output")
    name = cli.SwitchAttr("--name", str, argname="NAME", help="how the Protocol is to be called")
    read = cli.Flag(
        "--read",
        help="read attributes, to find the namespaces among them; properties run over there",
    )

    def main(self, address: str, service: str = "") -> int:
        try:
            with connected(address, self.security()) as conn:
                text = self._text(conn, address, service)
            output = cast("str | None", self.output)
            if output is None:
                sys.stdout.write(text)
                sys.stdout.flush()
            else:
                Path(output).write_text(text, encoding="utf-8")
        except (OSError, ValueError, NetobjError) as exc:
            print(f"{self.PROGNAME}: {exc}", file=sys.stderr)
            return 1
        return 0

    def _text(self, conn: Any, address: str, service: str) -> str:
        depth = _DEEPEST if self.read else 0
        target, space = conn.root, described(conn, conn.root, depth)
        for step in filter(None, service.split(".")):
            inner = dict(space.spaces).get(step)
            target = getattr(target, step)
            if inner is None and not _is_space(target):
                raise ValueError(f"{service!r} is no namespace of the service at {address}")
            space = described(conn, target, depth) if inner is None else inner
        name = cast("str | None", self.name)
        if name is not None:
            if not name.isidentifier():
                raise ValueError(f"--name {name!r} is no name of a class")
            space = space._replace(name=name)
        where = f" in {service}" if service else ""
        about = f"What the service at {address} offers{where}; written by `netobj stubs`."
        return module_text(about, space, bool(self.asynchronous))


def described(conn: Any, target: Any, depth: int = 0) -> Space:
    """What *target*, a proxy of *conn*'s, shows of itself; so many levels of attributes are read.

    Raises as calls do. Two round trips, and with *depth* one for each attribute more.
    """
    handle = target.____handle__
    description = handle.imported.description
    paths = [name.split(".") for name in sorted(set(description.methods) - _OF_ALL)[:_MOST]]
    documents = [conn.request_async(Op.DOCUMENT, handle, path, ()) for path in (None, *paths)]
    names = [name for name in dir(target) if not name.startswith("_")][:_MOST]
    doc, *about = [_document(answer) for answer in documents]
    methods = [
        (path, Method(path[-1], signature, text))
        for path, (text, signature) in zip(paths, about, strict=True)
    ]
    space = _space(description.name, doc[0], methods)
    known = {path[0] for path in paths} | _OF_ALL
    attributes, spaces = [], list(space.spaces)
    for name in sorted(set(names) - known):
        inner = _space_at(conn, target, name, depth)
        if inner is None:
            attributes.append(name)
        else:
            spaces.append((name, inner._replace(name=name)))
    return space._replace(
        attributes=tuple(attributes),
        specials=tuple(sorted(description.specials)),
        spaces=tuple(spaces),
    )


def _space(name: str, doc: str | None, methods: list[tuple[list[str], Method]]) -> Space:
    """*methods*, whose paths lead through namespaces, in these."""
    own = tuple(method for path, method in methods if len(path) == 1)
    inner: dict[str, list[tuple[list[str], Method]]] = {}
    for path, method in methods:
        if 1 < len(path) <= _MOST_STEPS:
            inner.setdefault(path[0], []).append((path[1:], method))
    spaces = tuple((first, _space(first, None, held)) for first, held in inner.items())
    return Space(name, doc, own, spaces=spaces)


def _space_at(conn: Any, target: Any, name: str, depth: int) -> Space | None:
    if depth <= 0:
        return None
    try:
        value = getattr(target, name)
    except Exception:  # whatever a property of theirs raises
        return None
    return described(conn, value, depth - 1) if _is_space(value) else None


def _is_space(value: Any) -> bool:
    """Whether *value* is an object of theirs with methods of its own."""
    if not issubclass(type(value), RemoteObject) or issubclass(type(value), RemoteMethod):
        return False
    description = value.____handle__.imported.description
    return (
        description.kind == Described.INSTANCE
        and description.module not in _NOT_THEIRS
        and bool(description.methods)
    )


def _document(answer: Any) -> tuple[str | None, str | None]:
    """Docstring and signature, where they are told."""
    try:
        found = answer.value
    except Exception:  # a name that is gone, or refused by now
        return None, None
    if type(found) is not tuple or len(found) != 2:
        return None, None
    doc, signature = (one if type(one) is str else None for one in cast("Iterable[Any]", found))
    return doc, signature
