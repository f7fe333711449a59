"""Exceptions <-> values: :class:`Dumper` makes tables of them, :class:`Loader` reads these.

What a table looks like is told in :mod:`netobj.core.vinegar_table`; which class stands for a
remote one is decided in :mod:`netobj.core.vinegar_classes`.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from netobj.core.config import Config
from netobj.core.consts import VERSION
from netobj.core.lookup import mro_of
from netobj.core.quiet import quietly
from netobj.core.rules import has_hooks
from netobj.core.vinegar_classes import (
    GROUP,
    ClassFinder,
    builtin_ancestors,
    holds_remote,
    instance_dict,
    is_group_class,
    native_fields,
    new_instance,
    restore_attributes,
    tells_text,
)
from netobj.core.vinegar_table import (
    MAX_BASES,
    MAX_DEPTH,
    MAX_NAME,
    MAX_NODES,
    MAX_NOTES,
    Node,
    RemoteTraceback,
    is_name,
    parse,
)
from netobj.errors import (
    AccessDenied,
    CallCancelled,
    GenericException,
    ProtocolError,
    RateLimitExceeded,
    RemoteBaseException,
)

if TYPE_CHECKING:
    import logging

TEXT_ROOM: Final = 4_000_000  # characters of texts in one table
TEXT_SHARE: Final = 64_000  # of which one text may take so many

_ERROR_ID: Final = "_netobj_error_id"  # in an exception: under which it was logged, here or there
_OWN_FOLDER: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep
_NOTES_ARE_SHOWN: Final = sys.version_info >= (3, 11)
_SILENT: Final = (
    *(StopIteration, StopAsyncIteration, GeneratorExit),
    *(AccessDenied, CallCancelled, RateLimitExceeded),
)
"""Not failures of this side: ends of iterations, refusals and calls that nobody wants."""

_get: Final[Mapping[str, Callable[[BaseException], Any]]] = {
    name: vars(BaseException)[name].__get__
    for name in ("args", "__cause__", "__context__", "__suppress_context__", "__traceback__")
}
_set: Final[Mapping[str, Callable[[BaseException, Any], None]]] = {
    name: vars(BaseException)[name].__set__
    for name in ("args", "__cause__", "__context__", "__suppress_context__")
}
_new_group: Final[Callable[..., BaseException]] = getattr(GROUP, "__new__", BaseException)
_GENERIC_NAME: Final = f"{GenericException.__module__}.{GenericException.__qualname__}"
_qualname_of: Final[Callable[[type], str]] = vars(type)["__qualname__"].__get__


class Dumper:
    """Turns exceptions of this side into tables.

    *remember* is called with each exception that is not the peer's own and returns the id
    under which this side keeps it. *origin* returns the id under which the peer keeps an
    exception which came from it, else None. *config* may be replaced at any time.

    >>> dumper = Dumper(Config(), remember=lambda exc: 7, origin=lambda exc: None)
    >>> node = Node(*dumper.dump(StopIteration("done"))[-1])
    >>> node.home, node.qualname, node.args, node.attributes
    (7, 'StopIteration', ('done',), (('value', 'done'),))
    """

    def __init__(
        self,
        config: Config,
        remember: Callable[[BaseException], int],
        origin: Callable[[BaseException], int | None],
    ) -> None:
        self.config = config
        self.remember = remember
        self.origin = origin

    def dump(self, exc: BaseException) -> tuple[Any, ...]:
        """The table of *exc*; items of args and attribute values stay the objects they are.

        Chains are cut silently after 32 levels or 256 exceptions. An exception that cannot
        say what it holds is no error: a text in the place says so. If the traceback is not
        sent, it is logged here, under the id which the table carries.
        """
        versions = None
        if self.config.include_local_version:
            versions = (f"python {sys.version.split()[0]}", f"netobj {VERSION}")
        table = _Table(self)
        with quietly():
            error_id = _log(exc, self.config)
            table.add(exc, 1)
        outermost = Node(*table.nodes[-1])._replace(error_id=error_id, versions=versions)
        return (*table.nodes[:-1], tuple(outermost))


class _Table:
    """One table while it is made."""

    def __init__(self, dumper: Dumper) -> None:
        self.nodes: list[tuple[Any, ...]] = []
        self._dumper = dumper
        self._shows_all = dumper.config.include_local_traceback
        self._room = TEXT_ROOM
        self._sizes: list[int] = []  # of the nodes, each with all that is in it
        self._seen: dict[int, tuple[BaseException, int | None]] = {}  # by id(): exc, index

    def add(self, exc: BaseException, depth: int) -> int | None:
        """The index of *exc*, added now or before; None where the chain is cut."""
        if id(exc) in self._seen:
            return self._seen[id(exc)][1]  # None while it is being added: a cycle
        if depth > MAX_DEPTH or len(self._seen) >= MAX_NODES:
            return None
        self._seen[id(exc)] = (exc, None)
        group = _group_of(exc)
        members = None
        if group is not None:
            members = self._add_members(group[1], depth)
        cause = self._add_link(exc, "__cause__", depth)
        # What "raise ... from None" hides is nobody's business who is not shown the traceback.
        hidden = _get["__suppress_context__"](exc)
        context = None
        if not hidden or self._shows_all or _get["__context__"](exc) is _get["__cause__"](exc):
            context = self._add_link(exc, "__context__", depth)
        links = (cause, context, hidden, members)
        self.nodes.append((*self._identity(exc), *self._contents(exc, group), *links))
        index = len(self.nodes) - 1
        self._sizes.append(1 + sum(self._sizes[member] for member in members or ()))
        self._seen[id(exc)] = (exc, index)
        return index

    def _add_members(self, group: tuple[BaseException, ...], depth: int) -> tuple[int, ...]:
        members: list[int] = []
        size = 1
        for member in group:
            index = self.add(member, depth + 1)
            if index is not None and size + self._sizes[index] <= MAX_NODES:
                size += self._sizes[index]
                members.append(index)
        return tuple(members)

    def _add_link(self, exc: BaseException, name: str, depth: int) -> int | None:
        linked = _get[name](exc)
        return None if linked is None else self.add(linked, depth + 1)

    def _identity(self, exc: BaseException) -> tuple[Any, ...]:
        cls = type(exc)
        origin = self._dumper.origin(exc)
        home = self._dumper.remember(exc) if origin is None else None
        return (
            home,
            origin,
            _module_of(cls),
            str.__str__(_qualname_of(cls))[:MAX_NAME],
            tuple(base.__name__ for base in builtin_ancestors(cls))[:MAX_BASES],
            issubclass(cls, Exception) and not issubclass(cls, RemoteBaseException),
        )

    def _contents(self, exc: BaseException, group: _Group | None) -> tuple[Any, ...]:
        args: tuple[Any, ...] = _get["args"](exc)
        if group is not None:
            args = (group[0], *args[2:])
        text = _text(exc)
        shown = None
        if self._dumper.config.include_local_traceback and not issubclass(type(exc), _SILENT):
            shown = self._clip(_traceback_text(exc))
        notes = tuple(self._clip(note) for note in _notes(exc))
        return (args, _attributes(exc), notes, self._clip(text), shown, None, None)

    def _clip(self, text: str) -> str:
        share = min(TEXT_SHARE, self._room)
        if len(text) > share:
            half = max(share // 2 - 20, 0)
            text = f"{text[:half]}\n... cut ...\n{text[len(text) - half :]}"
        self._room = max(self._room - len(text), 0)
        return text


_Group = tuple[str, tuple[BaseException, ...]]


def unsendable(what: str, exc: BaseException, failure: BaseException) -> RuntimeError:
    """What stands for *exc*, with which *what* ended, when *failure* kept it from being sent."""
    return RuntimeError(
        f"{what} a {type(exc).__name__}, which could not be sent: "
        f"{type(failure).__name__}: {failure}"
    )


def _group_of(exc: BaseException) -> _Group | None:
    """The message and the members of a group, else None."""
    found: tuple[Any, Any]
    if is_group_class(type(exc)):
        slots = vars(GROUP)
        found = slots["message"].__get__(exc), slots["exceptions"].__get__(exc)
    elif GROUP is None and any(_module_of(c) == "exceptiongroup" for c in mro_of(type(exc))):
        found = _safely(getattr, exc, "message"), _safely(getattr, exc, "exceptions")
    else:
        return None
    message, members = found
    if not issubclass(type(message), str) or type(members) is not tuple:
        return None
    return str.__str__(message), tuple(m for m in members if issubclass(type(m), BaseException))


def _module_of(cls: type) -> str:
    module = _safely(type.__getattribute__, cls, "__module__")
    return module if is_name(module) else "?"


def _attributes(exc: BaseException) -> tuple[tuple[str, Any], ...]:
    found: dict[str, Any] = {}
    for name, descriptor in native_fields(type(exc)).items():
        value = _safely(descriptor.__get__, exc)
        if value is not None:
            found[name] = value
    if has_hooks(type(exc)):
        return tuple(found.items())  # it has a rule of its own, which is not asked here
    for name, value in list(instance_dict(exc).items()):
        if type(name) is str and not name.startswith("_"):
            found[name] = value
    return tuple(found.items())


def _notes(exc: BaseException) -> list[str]:
    notes = instance_dict(exc).get("__notes__", ())
    if type(notes) not in (list, tuple):
        return []
    own = [note for note in notes if type(note) is not RemoteTraceback]
    return [_text(note) for note in own[:MAX_NOTES]]


def _traceback_text(exc: BaseException) -> str:
    """The frames of *exc* and, if it came from a third process, those known from there."""
    lines = _safely(traceback.format_tb, _users_part(_get["__traceback__"](exc)))
    own = "  (it could not be formatted)\n" if lines is None else "".join(lines)
    beyond = _remote_tb(exc)
    return own if beyond is None else f"{own}\n{beyond}"


def _users_part(frames: TracebackType | None) -> TracebackType | None:
    """*frames* without netobj's own that led to the user's; all, if there are no others."""
    first = frames
    while first is not None and first.tb_frame.f_code.co_filename.startswith(_OWN_FOLDER):
        first = first.tb_next
    return frames if first is None else first


def users_traceback(exc: BaseException) -> TracebackType | None:
    """Where *exc* was raised, from the first frame that is not netobj's own; None: in none."""
    frames = _users_part(_get["__traceback__"](exc))
    own = frames is None or frames.tb_frame.f_code.co_filename.startswith(_OWN_FOLDER)
    return None if own else frames


def _remote_tb(exc: BaseException) -> str | None:
    known = instance_dict(exc).get("_remote_tb")
    return str.__str__(known) if type(known) is RemoteTraceback else None


def _text(value: object) -> str:
    try:
        return str.__str__(str(value))
    except BaseException as problem:  # whatever it is: the call has to be answered
        failed, name = _qualname_of(type(value)), _qualname_of(type(problem))
        return f"<str() of this {failed} raised {name}>"


def _safely(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What *function* returns, or None when it raises: it may run into anybody's code."""
    try:
        return function(*args, **kwargs)
    except BaseException:
        return None


def _logger(config: Config) -> logging.Logger | None:
    # The core does not import logging, which brings threading along; the front-ends do.
    if config.logger is not None or "logging" not in sys.modules:
        return config.logger
    logger: logging.Logger = sys.modules["logging"].getLogger("netobj")
    return logger


def _log(exc: BaseException, config: Config) -> str | None:
    """Log *exc* if it is to be logged; its id in the log if the peer is to be told one."""
    if not config.log_exceptions or issubclass(type(exc), _SILENT):
        return None
    logger = _logger(config)
    if logger is None:
        return None
    beyond = None if _NOTES_ARE_SHOWN else _remote_tb(exc)  # else it is shown with the notes
    suffix = "" if beyond is None else f"\n{beyond}"
    name = _qualname_of(type(exc))
    if config.include_local_traceback:
        _safely(logger.debug, "%s goes to the peer%s", name, suffix, exc_info=exc)
        return None
    contents = instance_dict(exc)
    known = contents.get(_ERROR_ID)
    if type(known) is str:  # on its way through a chain of calls: it is in a log already
        return known
    contents[_ERROR_ID] = error_id = os.urandom(4).hex()
    text = "error %s: %s goes to the peer without its traceback%s"
    _safely(logger.warning, text, error_id, name, suffix, exc_info=exc)
    return error_id


def log_untold(exc: BaseException, config: Config, path: object) -> None:
    """Log *exc*, with which a call of *path* has ended whose caller wants no answer."""
    logger = _logger(config)
    if config.log_exceptions and logger is not None:
        name = f"{path[:_LONGEST_NAME]!r} " if type(path) is str else ""
        text = "a call of the peer's %swithout an answer failed"
        with quietly():
            _safely(logger.warning, text, name, exc_info=exc)


_LONGEST_NAME: Final = 200


class Loader:
    """Builds the exceptions that the peer has dumped; runs no code of their classes.

    *home* returns the exception which this side keeps under an id, or None if it has let go of
    it. *came_from* is told each exception built and the id under which the peer keeps it.
    *side* names this side in error texts. *config* may be replaced through :meth:`configure`.

    >>> loader = Loader(Config(), home=lambda id: None, came_from=lambda exc, id: None, side="A")
    >>> dumper = Dumper(Config(), remember=lambda exc: 7, origin=lambda exc: None)
    >>> loader.load(dumper.dump(StopIteration("done")))
    StopIteration('done')
    """

    def __init__(
        self,
        config: Config,
        home: Callable[[int], BaseException | None],
        came_from: Callable[[BaseException, int], None],
        side: str,
    ) -> None:
        self.home = home
        self.came_from = came_from
        self._classes = ClassFinder(config)
        self._side = side

    def configure(self, config: Config) -> None:
        """Use *config* from now on; the classes made so far are kept."""
        self._classes.config = config

    def load(self, dumped: object) -> BaseException:
        """The exception of the table *dumped*: an ``Exception``, or this side's very own.

        Raises ProtocolError for anything that is not such a table, and nothing else.
        """
        try:
            nodes = parse(dumped)
        except ValueError as problem:
            text = f"{self._side}: the peer sent a malformed exception: {problem}"
            raise ProtocolError(text) from None
        loaded: list[BaseException] = []
        for node in nodes:
            own = None if node.origin is None else self.home(node.origin)
            loaded.append(self._build(node, loaded) if own is None else own)
        return loaded[-1]

    def _build(self, node: Node, loaded: list[BaseException]) -> BaseException:
        members = [loaded[index] for index in node.members or ()]
        exc = self._instance(node, members)
        restore_attributes(exc, node.attributes)
        for name, link in (("__cause__", node.cause), ("__context__", node.context)):
            if link is not None:
                _set[name](exc, loaded[link])
        _set["__suppress_context__"](exc, node.suppress_context)
        _annotate(exc, node)
        if node.home is not None:
            self.came_from(exc, node.home)
        return exc

    def _instance(self, node: Node, members: list[BaseException]) -> BaseException:
        """The exception with its class, args and members; the rest is still to be set."""
        if GROUP is not None and not all(isinstance(m, Exception) for m in members):
            # Such a member is this side's own, so this side may well see it in a group.
            return GROUP(_message(node), members)
        cls = self._classes.find(
            node.module,
            node.qualname,
            node.bases,
            is_exception=node.is_exception,
            is_group=GROUP is not None and bool(members),
        )
        if holds_remote(node.args):  # which would have to be asked for its text
            cls = self._classes.telling(cls)
        if is_group_class(cls):
            group = _new_group(cls, _message(node), members)
            _set["args"](group, (_message(node), members, *node.args[1:]))
            return group
        try:
            exc = new_instance(cls)
        except TypeError:
            exc = GenericException()
        name = f"{node.module}.{node.qualname}"
        nameless = type(exc) is GenericException and name != _GENERIC_NAME
        _set["args"](exc, (f"{name}: {node.text}",) if nameless else node.args)
        if members:
            instance_dict(exc)["exceptions"] = tuple(members)
        return exc


def _message(node: Node) -> str:
    return node.args[0] if node.args and type(node.args[0]) is str else node.text


def _annotate(exc: BaseException, node: Node) -> None:
    """Give *exc* its notes, its text (for classes made here), and the remote traceback."""
    contents = instance_dict(exc)
    notes: list[str] = list(node.notes)
    if node.traceback is not None:
        about = ", ".join((*(node.versions or ()), "most recent call last"))
        contents["_remote_tb"] = RemoteTraceback(f"Remote traceback ({about}):\n{node.traceback}")
    elif node.error_id is not None:
        remark = f"The other side logged the traceback under id {node.error_id}."
        contents["_remote_tb"] = RemoteTraceback(remark)
        contents[_ERROR_ID] = node.error_id
    if _NOTES_ARE_SHOWN and "_remote_tb" in contents:
        notes.append(contents["_remote_tb"])
    if notes:
        contents["__notes__"] = notes
    if tells_text(type(exc)):
        contents["_remote_text"] = node.text
