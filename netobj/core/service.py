"""Services: what a side lets the other reach.

A :class:`Service` exposes what is named ``exposed_...`` or marked ``@exposed``. Given to a
server as a class, each connection gets an instance of its own; as an instance, all share it.
"""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, ClassVar

from netobj.core.exposure import Exposure, exposed
from netobj.teleportation import export_function


class Service:
    """Base of services.

    ``ALIASES`` names the service (the first is its name); by default it is the class's name
    without "Service", in capitals. ``CONFIG`` holds settings that the service needs; what the
    program gives when connecting or serving wins over them. ``EXPOSURE`` says for all methods
    without a mark of their own what ``@exposed(...)`` says for one, for example
    ``Exposure(by_value=True)``: results travel as copies.

    >>> class EchoService(Service):
    ...     def exposed_echo(self, text): return text
    >>> EchoService.get_service_name()
    'ECHO'
    """

    ____inner____ = frozenset(("ALIASES", "CONFIG", "EXPOSURE", "on_connect", "on_disconnect"))
    ALIASES: ClassVar[tuple[str, ...] | list[str]] = ()
    CONFIG: ClassVar[Mapping[str, Any]] = {}
    EXPOSURE: ClassVar[Exposure | None] = None

    def on_connect(self, conn: Any) -> None:
        """Called when a connection is there, before any call of the peer runs."""

    def on_disconnect(self, conn: Any) -> None:
        """Called once after the connection has ended."""

    @classmethod
    def get_service_aliases(cls) -> tuple[str, ...]:
        """The names of the service, in capitals; the first is its proper name."""
        if cls.ALIASES:
            return tuple(str(name).upper() for name in cls.ALIASES)
        name = cls.__name__.upper()
        if name != "SERVICE" and name.endswith("SERVICE"):
            name = name[: -len("SERVICE")]
        return (name,)

    @classmethod
    def get_service_name(cls) -> str:
        """The proper name of the service."""
        return cls.get_service_aliases()[0]

    exposed_get_service_aliases = get_service_aliases
    exposed_get_service_name = get_service_name


class VoidService(Service):
    """Exposes nothing: what a client shows by default."""


class SlaveService(Service):
    """Exposes the whole interpreter: the serving side of classic mode.

    Whoever connects can do all that the process may do.
    """

    ALIASES = ("SLAVE",)
    CONFIG: ClassVar[Mapping[str, Any]] = {
        "allow_all_attrs": True,
        "allow_public_attrs": True,
        "allow_setattr": True,
        "allow_delattr": True,
        "allow_pickle": True,
        "allow_interrupt": True,
        "instantiate_custom_exceptions": True,
        "import_custom_exceptions": True,
        "include_local_traceback": True,
        "include_local_version": True,
        "trust_class_names": True,
        "log_exceptions": False,
    }

    def __init__(self) -> None:
        self.exposed_namespace: dict[str, Any] = {}
        self._conn: Any = None

    def on_connect(self, conn: Any) -> None:
        self._conn = conn
        super().on_connect(conn)

    @property
    def namespace(self) -> dict[str, Any]:
        """The dictionary in which :meth:`eval` and :meth:`execute` work."""
        return self.exposed_namespace

    @exposed
    def execute(self, text: str) -> None:
        """Execute Python source in the connection's namespace."""
        exec(text, self.exposed_namespace)

    @exposed
    def eval(self, text: str) -> Any:
        """Evaluate a Python expression in the connection's namespace."""
        return builtins.eval(text, self.exposed_namespace)

    @exposed
    def getmodule(self, name: str) -> ModuleType:
        """Import the module of that (dotted) name."""
        return importlib.import_module(name)

    @exposed
    def getconn(self) -> Any:
        """The connection as this side has it."""
        return self._conn


class FakeSlaveService(VoidService):
    """A client's face towards classic servers that expect one: exposes nothing."""


class ModuleNamespace:
    """The modules of the other side, by attribute, item and ``in``; each fetched once.

    ``namespace.os.path`` is an attribute of a module, ``namespace["os.path"]`` the module of
    that name.
    """

    def __init__(self, getmodule: Any) -> None:
        self.__getmodule = getmodule
        self.__cache: dict[str, Any] = {}

    def __contains__(self, name: str) -> bool:
        try:
            self[name]
        except ImportError:
            return False
        return True

    def __getitem__(self, name: str | tuple[str, ...]) -> Any:
        if isinstance(name, tuple):
            name = ".".join(name)
        found = self.__cache.get(name)
        if found is None:
            found = self.__cache[name] = self.__getmodule(name)
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except ImportError as exc:
            raise AttributeError(f"the other side has no module {name!r}") from exc


class Master:
    """What a connection to a :class:`SlaveService` offers; its names are the connection's."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self.modules = ModuleNamespace(lambda name: conn.root.getmodule(name))

    @property
    def builtins(self) -> Any:
        """The remote module ``builtins``."""
        return self.modules["builtins"]

    builtin = builtins

    @property
    def namespace(self) -> Any:
        """The remote dictionary in which :meth:`eval` and :meth:`execute` work."""
        found = self.__dict__.get("_namespace")
        if found is None:
            found = self.__dict__["_namespace"] = self._conn.root.namespace
        return found

    @property
    def eval(self) -> Any:
        """Evaluates a Python expression over there: ``eval("6 * 7")``."""
        return self._conn.root.eval

    @property
    def execute(self) -> Any:
        """Executes Python source over there: ``execute("x = 1")``."""
        return self._conn.root.execute

    def teleport(self, func: Callable[..., Any], globals: Any = None, def_: bool = True) -> Any:
        """*func* as a function of the other side; see :func:`netobj.classic.teleport_function`."""
        importer = self.modules["netobj.teleportation"].import_function
        return importer(export_function(func), self.namespace if globals is None else globals, def_)


class MasterService(Service):
    """The using side of classic mode: gives its connections ``modules``, ``eval`` and so on."""

    CONFIG: ClassVar[Mapping[str, Any]] = {
        "trust_class_names": True,
        "instantiate_custom_exceptions": True,
    }

    def on_connect(self, conn: Any) -> None:
        conn.extend(self._make_master(conn))
        super().on_connect(conn)

    def _make_master(self, conn: Any) -> Master:
        return Master(conn)


class ClassicService(MasterService, SlaveService):
    """Both sides of classic mode at once."""

    CONFIG: ClassVar[Mapping[str, Any]] = {**SlaveService.CONFIG}


class ClassicClient(MasterService, FakeSlaveService):
    """What connects to a classic server: uses the other side, and exposes nothing itself.

    Of the objects that it passes the server may use the public names, and reads no globals.
    """

    CONFIG: ClassVar[Mapping[str, Any]] = {**MasterService.CONFIG, "allow_public_attrs": True}


def instance_of(service: Any) -> Any:
    """*service* itself, or a new instance of it if it is a class."""
    return service() if isinstance(service, type) else service


__all__ = [
    "ClassicClient",
    "ClassicService",
    "FakeSlaveService",
    "Master",
    "MasterService",
    "ModuleNamespace",
    "Service",
    "SlaveService",
    "VoidService",
    "instance_of",
]
