"""``conn.root.system``: what a service offers, and who uses it, for a peer that may ask.

It is there where the setting ``introspect`` is on, and shows what the policy of the connection
shows. Everything is looked up as it lies in classes and objects: properties do not run. What goes
out is plain data, so that nobody gets at an object by asking for its name.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from functools import lru_cache, partialmethod, singledispatchmethod
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
)
from typing import Any, Final, NamedTuple, TypedDict

from netobj.calls import Call, scope
from netobj.core.access import Access
from netobj.core.config import Introspect
from netobj.core.documents import document_of, signature_of
from netobj.core.exposure import Exposure, Mounted, exposed, exposure_of, unwrapped
from netobj.core.handle import RemoteObject
from netobj.core.lookup import MISSING, bind, describe, find, instance_dict
from netobj.core.outcomes import is_async
from netobj.core.service import Service
from netobj.errors import AccessDenied

NAME: Final = "system"
"""Under which the root has it."""

_DEEPEST: Final = 16  # namespaces inside of one another
_ROUTINES: Final = (
    FunctionType,
    BuiltinFunctionType,
    MethodType,
    MethodDescriptorType,
    ClassMethodDescriptorType,
    staticmethod,
    classmethod,
    partialmethod,
    singledispatchmethod,
    type(lru_cache(len)),
)
_CO_GENERATOR: Final = 0x20 | 0x200  # inspect.CO_GENERATOR and CO_ASYNC_GENERATOR


class MethodInfo(TypedDict):
    """One entry of ``system.methods()``."""

    name: str  # with dots, where it is in a namespace
    signature: str | None  # None: it does not tell
    doc: str | None  # the first line
    kind: str  # "function", "coroutine", "stream", "generator" or "class"


class ConnectionInfo(TypedDict):
    """One of the connections that ``system.connections()`` shows."""

    id: str
    address: str
    since: datetime | None  # in UTC; None: it began before anybody asked for such things
    own: bool  # it is the caller's


class ConnectionsInfo(TypedDict):
    """What ``system.connections()`` returns."""

    count: int
    shown: list[ConnectionInfo]


class CallInfo(TypedDict):
    """One entry of ``system.calls()``."""

    name: str
    seconds: float  # since it arrived
    address: str  # the caller's
    connection: str  # its id


class Found(NamedTuple):
    """What lies under a name: *value*, bound to its object where it is a method of it."""

    value: Any
    exposure: Exposure | None
    callable: bool
    namespace: bool = False


class System:
    """What a peer finds under ``conn.root.system``; *connection* is this side's.

    >>> import netobj
    >>> class Bank(netobj.Service):
    ...     CONFIG = {"introspect": True}
    ...     @netobj.exposed
    ...     def deposit(self, account: str, amount: int = 1) -> int:
    ...         "Put money into an account."
    >>> with netobj.connect_thread(remote_service=Bank) as conn:
    ...     system = conn.root.system
    ...     system.methods()[0]["name"], system.signature("deposit"), system.help("deposit")
    ...     system.connections()["count"], system.calls()
    ('deposit', '(account: str, amount: int = 1) -> int', 'Put money into an account.')
    (1, [])
    """

    __slots__ = ("_connection", "_since")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._since = datetime.now(timezone.utc)

    @exposed(by_value=True)
    def methods(self) -> list[MethodInfo]:
        """What the caller may call, by name: signature, first line of the docstring, kind.

        The methods of namespaces (groups, what is mounted, attributes that are services) have
        dotted names. The kind is function, coroutine (an ``async def``), stream, generator or
        class. Names that begin with an underscore are left out, also where they may be used.
        """
        names = self._listed(self._root, "", ())
        return sorted(names, key=lambda one: one["name"])

    @exposed(by_value=True)
    def signature(self, name: str) -> str | None:
        """The signature of the method *name*, dotted for one of a namespace.

        None for what has none, as some functions that are written in C. Raises AccessDenied (an
        AttributeError) for what the caller may not use, TypeError for what is not called.
        """
        found = self._resolved(name)
        if not found.callable:
            raise TypeError(f"{self._side}: {name!r} is not called, and has no signature")
        return self._signature(found)

    @exposed(by_value=True)
    def help(self, name: str) -> str | None:
        """The docstring of the method or namespace *name*; None if it has none.

        Raises AccessDenied (an AttributeError) for what the caller may not use.
        """
        return _document(self._resolved(name).value)

    @exposed(by_value=True)
    def connections(self) -> ConnectionsInfo:
        """How many connections the server has (``count``), and what is to be said of them.

        ``shown`` has the caller's own, or, if the server is to tell it all, all of them: id,
        address, since when (UTC), and whether it is the caller's own.
        """
        shown = [
            ConnectionInfo(
                id=one.config.connid,
                address=one.peer_name,
                since=_since(one),
                own=one is self._connection,
            )
            for one in self._shown()
        ]
        return ConnectionsInfo(count=len(self._fellows()), shown=shown)

    @exposed(by_value=True)
    def calls(self) -> list[CallInfo]:
        """The calls that run for the caller's connection, streams among them, the oldest first.

        Or, if the server is to tell it all, of all connections. The one that asks is not there.
        """
        now = time.monotonic()
        shown = [
            CallInfo(
                name=call.name,
                seconds=max(0.0, now - call.since),
                address=one.peer_name,
                connection=one.config.connid,
            )
            for one in self._shown()
            for call in _running(one)
        ]
        return sorted(shown, key=lambda one: -one["seconds"])

    # --- connections -------------------------------------------------------------------------

    def _fellows(self) -> list[Any]:
        fellows = self._connection.config.fellows
        present = [] if fellows is None else list(fellows())
        if all(one is not self._connection for one in present):  # it has just come, or goes
            present.append(self._connection)
        return sorted(present, key=lambda one: (len(one.config.connid), one.config.connid))

    def _shown(self) -> Iterable[Any]:
        if self._connection.config.introspect is Introspect.ALL:
            return self._fellows()
        return [self._connection]

    # --- names -------------------------------------------------------------------------------

    @property
    def _root(self) -> object:
        found: object = self._connection.session.boxing.root
        return found

    @property
    def _side(self) -> str:
        found: str = self._connection.session.side
        return found

    def _listed(self, obj: object, prefix: str, above: tuple[object, ...]) -> Iterator[MethodInfo]:
        """The methods of *obj*, and of the namespaces in it; *above* are those that it is in."""
        above = (*above, obj)
        for name in self._connection.session.policy.names(obj):
            if name.startswith("_"):
                continue
            try:
                found = self._find(obj, name)
            except AttributeError:  # it has gone meanwhile, or its own rule says no after all
                continue
            if found is None:
                continue
            if found.namespace:
                if len(above) < _DEEPEST and all(found.value is not one for one in above):
                    yield from self._listed(found.value, f"{prefix}{name}.", above)
            elif found.callable:
                doc = _document(found.value)
                yield MethodInfo(
                    name=prefix + name,
                    signature=self._signature(found),
                    doc=doc.strip().partition("\n")[0] if doc else None,
                    kind=_kind(found),
                )

    def _resolved(self, name: str) -> Found:
        if type(name) is not str:
            raise TypeError(f"a name is a str, not {describe(name)}")
        obj = self._root
        *outer, last = name.split(".", _DEEPEST)
        for step in outer:
            found = self._find(obj, step)
            if found is None or not found.namespace:
                raise AccessDenied(
                    f"{self._side}: {step[:_LONGEST]!r} of {describe(obj)} is no namespace"
                )
            obj = found.value
        found = self._find(obj, last)
        if found is None:
            raise AccessDenied(f"{self._side}: {describe(obj)} has no {last[:_LONGEST]!r}")
        return found

    def _find(self, obj: object, name: str) -> Found | None:
        """What the caller finds under *name*; None if there is nothing, as it lies there.

        Raises AccessDenied, an AttributeError.
        """
        policy = self._connection.session.policy
        if policy.has_own_rules(obj):
            value = policy.getattr(obj, name)
            return Found(value, exposure_of(value), _is_callable(value), _is_service(value))
        real = policy.attribute(obj, name, Access.GET)
        on_type, own = find(type(obj), real), (instance_dict(obj) or {}).get(real, MISSING)
        found = on_type if own is MISSING else own
        if found is MISSING:
            return None
        exposure = exposure_of(found)
        if exposure is None and obj is self._root:
            exposure = self._connection.session.root_exposure
        if own is MISSING and type(found) is Mounted:
            return Found(found.what, exposure, _is_callable(found.what), True)
        if own is MISSING and _is_routine(found):
            return Found(bind(found, obj), exposure, True)
        return Found(found, exposure, _is_callable(found), _is_service(found))

    def _signature(self, found: Found) -> str | None:
        session = self._connection.session
        if _is_remote(found.value) or session.policy.has_own_rules(found.value):
            return None
        return signature_of(found.value, session.config.allow_all_attrs, unquoted=True)


_LONGEST: Final = 100
"""Characters of a name that an error repeats."""


def _is_routine(found: object) -> bool:
    """Whether *found*, which lies in a class, is a function or a wrapper of one."""
    return issubclass(type(found), _ROUTINES)


def _is_remote(value: object) -> bool:
    return issubclass(type(value), RemoteObject)


def _is_callable(value: object) -> bool:
    return find(type(value), "__call__") is not MISSING


def _is_service(value: object) -> bool:
    return issubclass(type(value), Service)


def _document(value: object) -> str | None:
    return None if _is_remote(value) else document_of(value)


def _kind(found: Found) -> str:
    if found.exposure is not None and found.exposure.stream:
        return "stream"
    if issubclass(type(found.value), type):
        return "class"
    bottom = unwrapped(found.value)
    flags = bottom.__code__.co_flags if type(bottom) is FunctionType else 0
    if flags & (_CO_GENERATOR):
        return "generator"
    return "coroutine" if is_async(found.value) else "function"


def _running(connection: Any) -> Iterator[Call]:
    """The calls that run for the peer of *connection*, but for the one that this thread serves."""
    for request in dict.fromkeys(connection.session.served()):
        if request.where is not None and request is not scope.get().request:
            yield Call(connection, request)


def _since(connection: Any) -> datetime | None:
    system: System | None = connection.introspection
    return None if system is None else system._since


def introspect(connection: Any) -> None:
    """Give *connection* what its settings say of introspection; called when they change, too."""
    system = None
    if connection.config.introspect is not None:
        system = connection.introspection or System(connection)
    if system is not connection.introspection:
        connection.introspection = system
        connection.session.offer(NAME, system)
