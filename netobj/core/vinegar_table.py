"""The form in which an exception travels: a flat table.

A table is a tuple of nodes, each the plain tuple of a :class:`Node`. The last node is the
exception itself; the others are its cause, context and group members, theirs, and so on. A
node names another by its index, which is always smaller than its own: so a table has no
cycles, an exception that is both cause and context is sent once, and a long chain does not
nest on the wire.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

MAX_NODES: Final = 256  # also of groups, with each exception as often as it is in one
MAX_DEPTH: Final = 32
MAX_NOTES: Final = 100
MAX_NAME: Final = 1000  # characters of a module's or class's name
MAX_BASES: Final = 32


class RemoteTraceback(str):
    """What is known here of a remote traceback, ready to be shown below the local one.

    It is an entry of ``__notes__`` where Python shows these (3.11 and later), told from the
    user's notes by its type, and ``_remote_tb`` of the exception everywhere.

    >>> isinstance(RemoteTraceback("..."), str)
    True
    """

    __slots__ = ()


class Node(NamedTuple):
    """One exception of a table; the fields in the order of the wire."""

    home: int | None  # the id under which the sender keeps it; None: it is not the sender's
    origin: int | None  # the id under which the receiver keeps it: it comes home
    module: str
    qualname: str
    bases: tuple[str, ...]  # the names of the builtin classes it inherits from, nearest first
    is_exception: bool  # False: only a BaseException
    args: tuple[Any, ...]
    attributes: tuple[tuple[str, Any], ...]
    notes: tuple[str, ...]
    text: str  # its str()
    traceback: str | None
    error_id: str | None  # under which the sender has logged the traceback
    versions: tuple[str, ...] | None  # e.g. ("python 3.11.7", "netobj 0.1.0")
    cause: int | None  # the index of a node, as are the next and the last
    context: int | None
    suppress_context: bool
    members: tuple[int, ...] | None  # of an exception group


def parse(dumped: object) -> list[Node]:
    """The nodes of the table *dumped*, every field checked; ``ValueError`` says what is wrong.

    >>> parse(())
    Traceback (most recent call last):
    ValueError: not a tuple of 1 to 256 exceptions
    """
    if type(dumped) is not tuple or not 1 <= len(dumped) <= MAX_NODES:
        raise ValueError(f"not a tuple of 1 to {MAX_NODES} exceptions")
    nodes = [_parse_node(index, values) for index, values in enumerate(dumped)]
    _check_groups(nodes)
    return nodes


def _check_groups(nodes: list[Node]) -> None:
    """Whoever shows a group shows a member wherever it stands: a short table could be endless."""
    sizes: list[int] = []
    depths: list[int] = []
    for node in nodes:
        members = node.members or ()
        sizes.append(1 + sum(sizes[index] for index in members))
        depths.append(1 + max((depths[index] for index in members), default=0))
        if sizes[-1] > MAX_NODES or depths[-1] > MAX_DEPTH:
            raise ValueError(f"a group of more than {MAX_NODES} exceptions, or {MAX_DEPTH} levels")


def _parse_node(index: int, values: object) -> Node:
    if type(values) is not tuple or len(values) != len(_RULES):
        raise ValueError(f"not a tuple of {len(_RULES)} fields")
    for (name, rule), value in zip(_RULES.items(), values, strict=True):
        if not rule(value):
            raise ValueError(f"its field {name!r} is not what it should be")
    node = Node(*values)
    for link in (node.cause, node.context, *(node.members or ())):
        if link is not None and link >= index:
            raise ValueError(f"exception {index} refers to {link}, which is not an earlier one")
    return node


def is_name(value: object) -> bool:
    """Whether *value* is a str that a class or a module can be named.

    >>> is_name("Outer.<locals>.Inner"), is_name("a" + chr(0)), is_name(None)
    (True, False, False)
    """
    if type(value) is not str or len(value) > MAX_NAME or "\0" in value:
        return False
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_tuple_of(rule: Callable[[object], bool], limit: int) -> Callable[[object], bool]:
    return lambda value: (
        type(value) is tuple and len(value) <= limit and all(rule(item) for item in value)
    )


def _or_none(rule: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or rule(value)


def _is_attribute(value: object) -> bool:
    return type(value) is tuple and len(value) == 2 and type(value[0]) is str


def _is_index(value: object) -> bool:
    return type(value) is int and value >= 0


_RULES: Final[Mapping[str, Callable[[object], bool]]] = {
    "home": _or_none(_is_index),
    "origin": _or_none(_is_index),
    "module": is_name,
    "qualname": is_name,
    "bases": _is_tuple_of(is_name, MAX_BASES),
    "is_exception": lambda value: type(value) is bool,
    "args": lambda value: type(value) is tuple,
    "attributes": _is_tuple_of(_is_attribute, sys.maxsize),
    "notes": _is_tuple_of(_is_text, MAX_NOTES),
    "text": _is_text,
    "traceback": _or_none(_is_text),
    "error_id": _or_none(is_name),
    "versions": _or_none(_is_tuple_of(is_name, 10)),
    "cause": _or_none(_is_index),
    "context": _or_none(_is_index),
    "suppress_context": lambda value: type(value) is bool,
    "members": _or_none(_is_tuple_of(_is_index, MAX_NODES)),
}
