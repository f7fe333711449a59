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
        target = conn.root
        for step in filter(None, service.split(".")):
            target = getattr(target, step)
            if not _is_space(target):
                raise ValueError(f"{service!r} is no namespace of the service at {address}")
        space = described(conn, target, _DEEPEST if self.read else 0)
        name = cast("str | None", self.name)
        if name is not None:
            if not name.isidentifier():
                raise ValueError(f"--name {name!r} is no name of a class")
            space = space._replace(name=name)
        where = f" in {service}" if service else ""
        about = f"What the service at {address} offers{where}; written by `netobj stubs`."
        return module_text(about, space, bool(self.asynchronous))


def described(conn: Any, target: Any, depth: int = 0) -> Space:
    """What *target*, a proxy of *conn*'s, shows of itself; so many levels of namespaces are read.

    Raises as calls do. Two round trips, and with *depth* one for each attribute more.
    """
    handle = target.____handle__
    description = handle.imported.description
    methods = sorted(set(description.methods) - _OF_ALL)[:_MOST]
    documents = [conn.request_async(Op.DOCUMENT, handle, path, ()) for path in (None, *methods)]
    names = [name for name in dir(target) if not name.startswith("_")][:_MOST]
    doc, *about = [_document(answer) for answer in documents]
    attributes, spaces = [], []
    for name in sorted(set(names).difference(description.methods)):
        inner = _space_at(conn, target, name, depth)
        if inner is None:
            attributes.append(name)
        else:
            spaces.append((name, inner._replace(name=name)))
    return Space(
        description.name,
        doc[0],
        tuple(Method(name, found[1], found[0]) for name, found in zip(methods, about, strict=True)),
        tuple(attributes),
        tuple(sorted(description.specials)),
        tuple(spaces),
    )


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
        and description.module != "builtins"
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
