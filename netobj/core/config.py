"""The settings of a connection: one frozen :class:`Config`, every key documented once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netobj.core.consts import DEFAULT_LIMITS, SPECIALS, Limit

if TYPE_CHECKING:
    import logging

SAFE_ATTRS: frozenset[str] = frozenset(SPECIALS) - {"__dir__"} | {"__doc__"}
"""The special names that ``allow_safe_attrs`` opens: operators, containers, iteration, context
managers, conversion. ``__new__``, which RPyC counts among them, is not safe and is left out, and
so is ``__dir__``, which names what is private: ``dir()`` asks for the names that are open."""


Settings = Mapping[str, Any]
"""Settings of a connection by key, on top of the defaults."""
EMPTY: Final[Settings] = {}
"""No settings, so that the defaults hold; or nothing else that is given by name."""


class Serve(Enum):
    """Who runs what the peer calls by default."""

    AUTO = "auto"  # the connection's server thread, else a worker
    CALLER = "caller"  # whoever calls serve(), poll() or poll_all()


class Introspect(Enum):
    """What ``conn.root.system`` tells of connections and calls; see :mod:`netobj.introspection`."""

    OWN = "own"  # how many connections there are, and of the caller's own what is to be said
    ALL = "all"  # the same of all connections of the server


class Config(NamedTuple):
    """The settings of one side of a connection; keys are RPyC's where RPyC has them.

    >>> Config().merge({"allow_public_attrs": True}).allow_public_attrs
    True
    """

    # What the peer may reach
    allow_safe_attrs: bool = True  # the names in safe_attrs
    safe_attrs: frozenset[str] = SAFE_ATTRS
    allow_exposed_attrs: bool = True  # names with the prefix, and what @exposed marks
    exposed_prefix: str = "exposed_"
    allow_public_attrs: bool = False  # names that do not begin with "_", and lead to no frame
    allow_all_attrs: bool = False  # every name
    allow_getattr: bool = True  # reading attributes at all
    allow_setattr: bool = False  # setting attributes
    allow_delattr: bool = False  # deleting attributes
    allow_pickle: bool = False  # unpickling bytes of the peer, and pickling for it
    allow_interrupt: bool = False  # the peer may raise KeyboardInterrupt in a call of its own
    trust_class_names: bool = False  # isinstance(proxy, a class imported here) by its name
    introspect: Introspect | None = None  # root.system is there; True is "own", False None

    # Exceptions
    include_local_traceback: bool = False  # send the traceback's text along; else log it here
    include_local_version: bool = False  # send the versions of Python and netobj along
    import_custom_exceptions: bool = False  # import the module of a peer's exception class
    instantiate_custom_exceptions: bool = False  # use such a class where it is imported
    instantiate_oldstyle_exceptions: bool = False  # accepted for old programs, no effect
    propagate_SystemExit_locally: bool = False  # noqa: N815  raise it here, too
    propagate_KeyboardInterrupt_locally: bool = True  # noqa: N815  in the main thread
    log_exceptions: bool = True  # log what a handler raises
    logger: logging.Logger | None = None  # None: the logger "netobj"

    # Calls and life
    sync_request_timeout: float | None = None  # seconds a synchronous call may take
    heartbeat_interval: float | None = 20.0  # seconds of silence before a ping; None: never
    heartbeat_timeout: float = 20.0  # seconds the peer has to answer it
    spin_time: float = 100e-6  # seconds a waiting thread polls before it blocks; 0: never
    serve: Serve = Serve.AUTO  # or "caller": what the peer calls waits for serve() and poll()
    before_closed: Callable[[Any], object] | None = None  # called with the root before close
    close_catchall: bool = False  # swallow what before_closed raises
    bind_threads: bool = True  # accepted for old programs: it is simply how calls run
    limits: tuple[int, ...] = DEFAULT_LIMITS  # by consts.Limit; set by name: {"frame": 10**6}

    # Time that a peer has, in seconds; None: for ever
    handshake_timeout: float | None = 10.0  # TLS, the login, the hello: each of them
    frame_timeout: float | None = 10.0  # a frame that has begun: its end, or 16 KiB more of it
    write_timeout: float | None = 20.0  # what waits to be written: to take any of it

    # Set at run time
    connid: str | None = None  # by default a number of this process's
    credentials: Any = None  # what the authenticator returned
    endpoints: Any = None  # (local address, peer address)
    fellows: Callable[[], Iterable[Any]] | None = None  # the connections of the same server

    def merge(self, changes: Mapping[str, Any]) -> Config:
        """A copy with *changes* (key -> value); raises ``ValueError`` for an unknown key."""
        changes = dict(changes)
        if not changes.keys() <= _KEYS:
            raise ValueError(
                f"unknown configuration keys {', '.join(sorted(changes.keys() - _KEYS))}: "
                "see netobj.core.config.Config for those there are"
            )
        if "safe_attrs" in changes:
            changes["safe_attrs"] = frozenset(changes["safe_attrs"])
        if "serve" in changes and type(changes["serve"]) is not Serve:
            changes["serve"] = Serve(changes["serve"])
        if "introspect" in changes:
            changes["introspect"] = introspection(changes["introspect"])
        if "limits" in changes:
            changes["limits"] = _limits(self.limits, changes["limits"])
        return self._replace(**changes)


def introspection(value: Any) -> Introspect | None:
    """What *value* of the setting ``introspect`` means. Raises ValueError if it is none.

    >>> introspection(True), introspection(False), introspection("all")
    (<Introspect.OWN: 'own'>, None, <Introspect.ALL: 'all'>)
    """
    if value is None or type(value) is bool:
        return Introspect.OWN if value else None
    return Introspect(value)


_KEYS: Final = frozenset(Config._fields)
_LIMIT_NAMES: Final = {limit.name.lower(): limit for limit in Limit}
_LEAST: Final = {Limit.FRAME: 1024, Limit.ITEMS: 64, Limit.GREETING: 1024}
"""What each side may rely on; of every other limit, 1 is the least."""


def _limits(limits: tuple[int, ...], changes: Mapping[str, int] | tuple[int, ...]) -> Any:
    """*limits* with *changes*: by name, or all of them by place. Raises ValueError, TypeError."""
    if isinstance(changes, Mapping):
        if not changes.keys() <= _LIMIT_NAMES.keys():
            unknown = ", ".join(sorted(set(changes) - _LIMIT_NAMES.keys()))
            raise ValueError(f"unknown limits {unknown}: there are {', '.join(_LIMIT_NAMES)}")
        changed = list(limits)
        for name, number in changes.items():
            changed[_LIMIT_NAMES[name]] = number
        changes = tuple(changed)
    changes = (*changes, *limits[len(changes) :])
    if len(changes) != len(Limit):
        raise ValueError("limits are given by name: {'frame': 1_000_000}, say")
    for limit, number in zip(Limit, changes, strict=True):
        if type(number) is not int:
            raise TypeError(f"the limit {limit.name.lower()} is an int, not {number!r}")
        least = _LEAST.get(limit, 1)
        if not least <= number < 2**63:
            raise ValueError(f"the limit {limit.name.lower()} is {least} at the least: {number}")
    return changes


class ConfigMapping(MutableMapping[str, Any]):
    """A live mapping over the settings that somebody else holds, as RPyC's ``conn._config``.

    *get* returns the Config in force; *put* takes the one that replaces it.
    """

    def __init__(self, get: Callable[[], Config], put: Callable[[Config], None]) -> None:
        self._get = get
        self._put = put

    def __getitem__(self, key: str) -> Any:
        config = self._get()
        if key not in config._fields:
            raise KeyError(key)
        return getattr(config, key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._put(self._get().merge({key: value}))

    def __delitem__(self, key: str) -> None:
        raise TypeError(f"the setting {key!r} cannot be deleted, only set")

    def __iter__(self) -> Iterator[str]:
        return iter(Config._fields)

    def __len__(self) -> int:
        return len(Config._fields)


_DEFAULTS: Final = Config()
_UNCHANGED: Final = _DEFAULTS._asdict()
DEFAULT_CONFIG: dict[str, Any] = {**_UNCHANGED, "safe_attrs": set(SAFE_ATTRS)}
"""What each new connection starts from. A program that changes it (``safe_attrs`` is a set here)
changes all connections that it makes after that; what a service or a caller sets still wins."""


def settings_for(service: Any, changes: Mapping[str, Any]) -> Config:
    """The settings of a connection that shows *service*, with *changes* (key -> value) on top.

    *service* may have settings of its own, a mapping ``CONFIG``. Raises ``ValueError`` for an
    unknown key.

    >>> settings_for(None, {"allow_public_attrs": True}).allow_public_attrs
    True
    """
    defaults = _DEFAULTS
    if DEFAULT_CONFIG != _UNCHANGED:
        defaults = defaults.merge(DEFAULT_CONFIG)
    changes = {**getattr(service, "CONFIG", {}), **changes}
    return defaults.merge(changes) if changes else defaults
