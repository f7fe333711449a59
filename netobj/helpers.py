"""What programs wrap around proxies: asynchronous calls, time limits, restrictions, copies."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Final

from netobj.blocking.connection import Connection
from netobj.blocking.results import AsyncResult
from netobj.core.consts import Op
from netobj.core.copies import fetch_copy
from netobj.core.fetching import ChunkedIterator
from netobj.core.handle import Handle, RemoteMethod, RemoteObject, RemotePath, RemoteResult
from netobj.core.methods import Nested
from netobj.errors import AccessDenied

_CALL: Final = int(Op.CALL)
_GET: Final = int(Op.GET)


def _place(proxy: Any, what: str) -> tuple[Handle | tuple[Any], Any]:
    """The target and the path behind a proxy, a bound method of one, or a result of a call."""
    kind = type(proxy)
    if issubclass(kind, RemoteMethod):
        if kind is not Nested and proxy.____target__ is not None:
            return proxy.____target__.____handle__, None
        return proxy.____handle__, proxy.____name__
    if issubclass(kind, RemoteResult):
        return (proxy.____promise__,), None
    if issubclass(kind, RemoteObject):
        return proxy.____handle__, None
    if issubclass(kind, AsyncResult):
        return (proxy,), None
    raise TypeError(f"{what} needs a remote object, not a {kind.__name__!r} of this side")


class async_:  # noqa: N801  (a function to its users)
    """Calls of *proxy* that do not wait: each returns an :class:`AsyncResult` at once.

    *proxy* may be such a result itself, though it is not there yet: the call is made on it over
    there, and fails as it fails. Attributes and items lead on from *proxy*, without asking, to
    what is called; to read one without calling it, ``await`` it, or use :func:`netobj.batch`.
    (Names that begin with an underscore, and ``proxy``, are this object's own.) A reference of
    :mod:`netobj.aio`, which is awaited anyway, is returned as it is.

    Calls of one thread run over there in the order in which they were made. The calls are made
    whether or not anybody keeps this wrapper or the results.

    >>> import netobj
    >>> with netobj.connect_thread(remote_service=netobj.SlaveService) as conn:
    ...     netobj.async_(conn.root.eval)("6 * 7").value
    ...     words = netobj.async_(conn.root).eval("'to be or not to be'.split()")
    ...     netobj.async_(words).count("be").value
    42
    2
    """

    __slots__ = ("__weakref__", "_link", "_path", "_steps", "_target", "proxy")
    __iter__ = __contains__ = None  # else Python would ask for items until one fails
    proxy: Any
    _link: Connection
    _path: Any
    _target: Handle | tuple[Any]
    _steps: str  # from the proxy on, for people

    def __new__(cls, proxy: Any) -> Any:
        # What netobj.aio gives does not wait as it is, so one spelling serves on every server.
        return proxy if issubclass(type(proxy), RemotePath) else super().__new__(cls)

    def __init__(self, proxy: Any) -> None:
        self._steps = ""
        if type(proxy) is async_:
            self.proxy, self._steps = proxy.proxy, proxy._steps
            self._target, self._path = proxy._target, proxy._path
            self._link = proxy._link
        else:
            self.proxy = proxy
            self._target, self._path = _place(proxy, "async_")
            holder: Any = self._target[0] if type(self._target) is tuple else self._target
            self._link = holder.link

    def __call__(self, /, *args: Any, **kwargs: Any) -> AsyncResult:
        return self._link.request_async(_CALL, self._target, self._path, args, kwargs)

    def _request(
        self, op: int, args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None = None
    ) -> AsyncResult:
        return self._link.request_async(op, self._target, self._path, args, kwargs, timeout)

    def __getattr__(self, name: str) -> async_:
        if name.startswith("_"):
            raise AttributeError(f"async_ leads to no names that begin with '_', as {name!r} does")
        return self._step(name)

    def __getitem__(self, key: Any) -> async_:
        return self._step((key,))

    def _step(self, step: Any) -> async_:
        further = async_(self)
        path = self._path
        if path is None:
            further._path = step if type(step) is str else [step]
        else:
            further._path = [*(path if type(path) is list else (path,)), step]
        further._steps += f".{step}" if type(step) is str else f"[{step[0]!r}]"
        return further

    def __await__(self) -> Generator[Any, None, Any]:
        return self._request(_GET, (), {}).__await__()

    def __repr__(self) -> str:
        return f"async_({self.proxy!r}){self._steps}"


class timed:  # noqa: N801  (a function to its users)
    """Calls of *proxy* that do not wait, and expire after *timeout* seconds.

    The other side knows: what it calls in turn, while it serves such a call, has no longer either.

    >>> import netobj
    >>> with netobj.connect_thread(remote_service=netobj.SlaveService) as conn:
    ...     netobj.timed(conn.root.eval, 10)("6 * 7").value
    42
    """

    __slots__ = ("__weakref__", "_call", "proxy", "timeout")

    def __init__(self, proxy: Any, timeout: float | None) -> None:
        if issubclass(type(proxy), RemotePath):
            raise TypeError(
                f"timed() is for blocking proxies, not for {proxy!r}: await its call in a "
                "`with netobj.deadline(seconds):` block"
            )
        self._call = async_(proxy)
        self.proxy = self._call.proxy
        self.timeout = timeout

    def __call__(self, /, *args: Any, **kwargs: Any) -> AsyncResult:
        return self._call._request(_CALL, args, kwargs, self.timeout)

    def __repr__(self) -> str:
        return f"timed({self.proxy!r}, {self.timeout})"


def buffiter(obj: Any, chunk: int = 10, max_chunk: int = 1000, factor: float = 2) -> Iterator[Any]:
    """Iterate *obj* over there in chunks: *chunk* items first, each time *factor* times more.

    Runs ahead of the consumer by up to *max_chunk* items, which is why it must be asked for.
    Raises ``ValueError`` where the numbers make no sense; local objects are simply iterated.

    >>> import netobj
    >>> with netobj.connect_thread(remote_service=netobj.SlaveService) as conn:
    ...     sum(netobj.buffiter(conn.root.eval("(n for n in range(100))")))
    4950
    """
    if not (0 < chunk <= max_chunk and factor >= 1):
        raise ValueError("buffiter: 0 < chunk <= max_chunk and factor >= 1")
    iterator: Iterator[Any] = iter(obj)
    if isinstance(iterator, ChunkedIterator) or not issubclass(type(iterator), RemoteObject):
        return iterator
    return ChunkedIterator(iterator, chunk, max_chunk, factor, only_ready=False)


def copy_of(ref: Any) -> Any:
    """A copy of plain remote data, made without pickle, in one round trip.

    Lists, dicts, tuples, sets, frozensets and bytearrays are copied recursively; other objects
    in them stay references. A local value is returned as it is. Raises NotEncodable for what is
    no plain data.

    >>> import netobj
    >>> with netobj.connect_thread(remote_service=netobj.SlaveService) as conn:
    ...     netobj.copy_of(conn.root.eval("[1, {'a': (2, 3)}]"))
    [1, {'a': (2, 3)}]
    """
    return fetch_copy(ref)


class Restricted:
    """See :func:`restricted`."""

    __slots__ = ("__netobj_attrs__", "__netobj_object__", "__netobj_wattrs__", "__weakref__")
    __netobj_object__: Any
    __netobj_attrs__: frozenset[str]
    __netobj_wattrs__: frozenset[str]

    def __init__(self, obj: Any, attrs: frozenset[str], wattrs: frozenset[str]) -> None:
        object.__setattr__(self, "__netobj_object__", obj)
        object.__setattr__(self, "__netobj_attrs__", attrs)
        object.__setattr__(self, "__netobj_wattrs__", wattrs)

    def _netobj_getattr(self, name: str) -> Any:
        if name not in self.__netobj_attrs__:
            raise _denied(name, "read")
        return getattr(self.__netobj_object__, name)

    def _netobj_setattr(self, name: str, value: Any) -> None:
        if name not in self.__netobj_wattrs__:
            raise _denied(name, "set")
        setattr(self.__netobj_object__, name, value)

    def _netobj_dir(self) -> list[str]:
        return sorted(self.__netobj_attrs__)

    __getattr__ = _netobj_getattr
    __setattr__ = _netobj_setattr


def _denied(name: str, verb: str) -> AccessDenied:
    return AccessDenied(
        f"the attribute {name!r} of a restricted object cannot be {verb}: it is not in the list "
        "given to restricted()"
    )


def restricted(obj: Any, attrs: Iterable[str], wattrs: Iterable[str] | None = None) -> Restricted:
    """A view of *obj* through which only *attrs* can be read and *wattrs* set, by anybody.

    *wattrs* defaults to *attrs*. Give it to a peer instead of *obj*.

    >>> view = restricted(["a"], ["append"])
    >>> view.append("b")
    """
    readable = frozenset(attrs)
    return Restricted(obj, readable, readable if wattrs is None else frozenset(wattrs))


class BgServingThread:
    """A thread that serves *conn* in the background, for programs that ask for one.

    netobj reads connections by itself and runs what the peer calls in workers, so this is only
    needed with ``serve="caller"``: then the thread is the one that serves. *callback* (no
    arguments) is called when the connection ends; *serve_interval* and *sleep_interval* are
    accepted for old programs and have no effect.
    """

    SERVE_INTERVAL: Final = 0.0
    SLEEP_INTERVAL: Final = 0.1

    def __init__(
        self,
        conn: Connection,
        callback: Callable[[], object] | None = None,
        serve_interval: float = SERVE_INTERVAL,
        sleep_interval: float = SLEEP_INTERVAL,
    ) -> None:
        self._conn = conn
        self._callback = callback
        self._active = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="netobj serving", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        if self._conn.served_by_caller:
            self._serve_by_hand()
        else:
            self._conn.wait_closed(self._stop)
        if self._conn.closed and self._active and self._callback is not None:
            self._callback()

    def _serve_by_hand(self) -> None:
        while self._active and not self._conn.closed:
            try:
                self._conn.serve(0.1)
            except EOFError:
                break

    def stop(self) -> None:
        """End the thread; the connection stays as it is."""
        if not self._active:
            raise RuntimeError("this BgServingThread was stopped before")
        self._active = False
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()


def classpartial(cls: Any, /, *args: Any, **kwargs: Any) -> Any:
    """A class as *cls* whose instances are made with these arguments.

    For a service that needs arguments and yet has an instance for each connection.

    >>> class Point:
    ...     def __init__(self, x, y=0): self.x, self.y = x, y
    >>> classpartial(Point, 1, y=2)().y
    2
    """

    def __init__(self: Any, *more: Any, **named: Any) -> None:  # noqa: N807
        cls.__init__(self, *args, *more, **{**kwargs, **named})

    namespace = {"__init__": __init__, "__module__": cls.__module__, "__doc__": cls.__doc__}
    return type(cls)(cls.__name__, (cls,), namespace)


def setup_logger(
    quiet: bool = False, logfile: str | None = None, namespace: str | None = None
) -> logging.Logger:
    """Log to the standard error output (or *logfile*), only errors if *quiet*.

    Returns netobj's logger, or that of the *namespace* below it.
    """
    logging.basicConfig(
        level=logging.ERROR if quiet else logging.DEBUG,
        format="%(asctime)s %(levelname)-8s %(name)s: %(message)s",
        filename=logfile,
    )
    return logging.getLogger("netobj" if namespace is None else f"netobj.{namespace}")


def spawn(function: Callable[..., object], /, *args: Any, **kwargs: Any) -> threading.Thread:
    """Run *function* in a new daemon thread, and return the thread."""
    thread = threading.Thread(target=function, args=args, kwargs=kwargs, daemon=True)
    thread.start()
    return thread
