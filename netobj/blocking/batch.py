"""``netobj.batch``: calls that gather and leave together, each on what is not there yet."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from netobj.blocking.link import Link
from netobj.blocking.results import AsyncResult
from netobj.calls import scope
from netobj.core.consts import SPECIAL_INDEX, SPECIALS, Op
from netobj.core.handle import RemoteResult
from netobj.errors import AsyncResultTimeout

_GET: Final = int(Op.GET)
_CALL: Final = int(Op.CALL)
_SPECIAL: Final = int(Op.SPECIAL)
_MOST_GATHERED: Final = 128
"""Messages that gather at most before they leave."""


@contextmanager
def batch(conn: Link) -> Iterator[None]:
    """In the block, this thread's calls through proxies of *conn* do not wait: they gather.

    Each returns a :class:`BatchResult` at once, also attributes and items; what is called, read
    or set on that, and what it is passed to, is sent along. All leaves in one message or few, and
    runs over there in this order. At the end of the block all answers are waited for. Then the
    first failure is raised, unless the block itself has raised; ``value`` of each result gives
    its own answer or raises its own error. If one fails, those that are built upon it fail alike.

    What Python needs at once (``len``, ``bool``, ``str``, iteration, comparison ...) raises
    RuntimeError in the block. The time limits of calls hold from when they are made.

    >>> import netobj
    >>> with netobj.connect_thread(remote_service=netobj.SlaveService) as conn:
    ...     with netobj.batch(conn):
    ...         words = conn.root.eval("'to be or not to be'.split")()
    ...         _ = words.append("?")
    ...         last, count = words.pop(), words.count("be")
    ...     last.value, count.value  # after one round trip
    ('?', 2)
    """
    conn = getattr(type(conn), "____present__", _itself)(conn)
    if not isinstance(conn, Link):
        raise TypeError(
            f"batch() takes a netobj.Connection, not a {type(conn).__module__}."
            f"{type(conn).__name__} (with netobj.aio, calls that are built upon one another "
            "before they are awaited leave together)"
        )
    outer = scope.get()
    gathering = Gathering(conn, outer.batch)
    token = scope.set(outer.but(batch=gathering))
    try:
        yield
    except Exception:
        scope.reset(token)
        gathering.wait()
        raise
    except BaseException:
        scope.reset(token)
        raise
    scope.reset(token)
    gathering.wait()
    gathering.raise_first()


def _itself(conn: Any) -> Any:
    return conn


class Gathering:
    """What a ``batch`` block has asked for; belongs to the thread of the block.

    The attribute or item that was read last is held back until the next operation: if that is a
    call of it, both are one request.
    """

    def __init__(self, link: Link, outer: Gathering | None) -> None:
        self.over = False
        self._chain: int | None = None
        self._link = link
        self._outer = outer
        self._results: list[AsyncResult] = []
        self._held: BatchResult | None = None

    def for_link(self, link: Link) -> Gathering | None:
        """The innermost batch of *link*; None if there is none."""
        found: Gathering | None = self
        while found is not None and found._link is not link:
            found = found._outer
        return found

    def request(
        self,
        op: int,
        target: Any,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
    ) -> BatchResult:
        """As :meth:`Link.request`, without waiting. Raises RuntimeError where that cannot do."""
        if self.over:
            raise RuntimeError(_OVER)
        if op not in _LATE and not (op == _SPECIAL and SPECIALS[args[0]] in _LATE_SPECIALS):
            name = SPECIALS[args[0]] if op == _SPECIAL else Op(op).name.lower()
            raise self.needs_at_once(name)
        self._send_held()
        result = BatchResult(self, target, path)
        if op == _GET:
            self._held = result
        else:
            self._send(result, op, args, kwargs)
        return result

    def oneway(
        self, target: Any, path: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None
    ) -> None:
        """A call without an answer, in its turn."""
        if self.over:
            raise RuntimeError(_OVER)
        self._send_held()
        self._link.send_oneway(target, path, args, kwargs)
        self._let_leave()

    def call(self, read: BatchResult, args: tuple[Any, ...], kwargs: dict[str, Any]) -> BatchResult:
        """Call what *read* has read, or is the result of."""
        if read is not self._held:
            return self.request(_CALL, (read.____promise__,), None, args, kwargs)
        self._held = None
        target, path = read.____place__
        return self.request(_CALL, target, path, args, kwargs)

    def send_read(self, read: BatchResult) -> None:
        """Send *read*, whose value is wanted for itself."""
        if read is self._held:
            self._held = None
        self._send(read, _GET, (), None)

    def needs_at_once(self, name: str) -> RuntimeError:
        """Why *name*, a special method or an operation, cannot be had here."""
        return RuntimeError(
            f"{name} has to be known at once, and in a netobj.batch block nothing is until its "
            "end: ask for it behind the block, of the result's value"
        )

    def ask(self) -> None:
        """Write what has gathered: somebody is about to wait for it."""
        self._send_held()
        self._link.flush()

    def wait(self) -> None:
        """The block has ended: wait for every answer."""
        self.ask()
        self.over = True
        for result in self._results:
            try:
                result.wait()
            except AsyncResultTimeout:  # raised again by its value
                pass

    def raise_first(self) -> None:
        """Raise the first failure, if there is any."""
        for result in self._results:
            result.value  # noqa: B018

    def _send_held(self) -> None:
        if self._held is not None:
            self.send_read(self._held)

    def _send(
        self, result: BatchResult, op: int, args: tuple[Any, ...], kwargs: dict[str, Any] | None
    ) -> None:
        link = self._link
        target, path = result.____place__
        limit = link.config.sync_request_timeout
        sent = link.send_async(op, target, path, args, kwargs, limit, self._chain)
        _set_result(result, sent)
        self._results.append(sent)
        self._let_leave()

    def _let_leave(self) -> None:
        if len(self._link.session.out) >= _MOST_GATHERED:
            self._link.flush()


class Prompt(Gathering):
    """What the task of an ``async def`` method asks through blocking proxies, to be awaited.

    Calls leave at once and return without waiting; attributes and items are asked for when they
    are awaited, called or built upon. So ``await callback(x)`` means the same on every server.
    All belong to the *chain* of the call that the task serves.
    What Python needs at once waits, as it does in a thread, and stops the loop meanwhile.
    """

    def __init__(self, link: Link, chain: int | None) -> None:
        super().__init__(link, None)
        self._chain = chain
        self._others: dict[Link, Prompt] = {}

    def for_link(self, link: Link) -> Gathering | None:
        if link is self._link:
            return self
        return self._others.setdefault(link, Prompt(link, self._chain))

    def request(
        self,
        op: int,
        target: Any,
        path: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if type(target) is tuple or op in (_GET, _CALL):
            return super().request(op, target, path, args, kwargs)
        token = scope.set(scope.get().but(batch=None))
        try:
            return self._link.request(op, target, path, args, kwargs)
        finally:
            scope.reset(token)

    def needs_at_once(self, name: str) -> RuntimeError:
        return RuntimeError(f"{name} has to be known at once: await the result first")

    def _send(
        self, result: BatchResult, op: int, args: tuple[Any, ...], kwargs: dict[str, Any] | None
    ) -> None:
        super()._send(result, op, args, kwargs)
        self._results.clear()  # each is awaited by itself

    def _let_leave(self) -> None:
        self._link.flush()


class BatchResult(RemoteResult):
    """What will come of something that was asked for in a :func:`batch` block.

    It has the names of :class:`AsyncResult` (``value``, ``wait``, ``ready``, ``error`` ...); all
    other attributes, items and calls are those of what will come, and are asked for in turn.
    (``netobj.async_(result)`` leads to remote attributes that have one of those names.)
    """

    __slots__ = ("____gathering__", "____place__", "____result__", "__weakref__")
    ____gathering__: Gathering
    ____place__: tuple[Any, Any]  # the target and the path of the request
    ____result__: AsyncResult | None  # None: an attribute or item that is not asked for yet

    def __init__(self, gathering: Gathering, target: Any, path: Any) -> None:
        _set_gathering(self, gathering)
        _set_place(self, (target, path))
        _set_result(self, None)

    @property
    def ____promise__(self) -> AsyncResult:
        result = self.____result__
        if result is None:
            self.____gathering__.send_read(self)
            result = self.____result__
            assert result is not None
        return result

    def __repr__(self) -> str:
        result = self.____result__
        return f"<BatchResult of {'what is not asked for yet' if result is None else result!r}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what introspection asks for
            raise AttributeError(name)
        if name in _NAMES:  # what came of the call is an AttributeError itself
            return getattr(self.____promise__, name)
        if self.____gathering__.over:
            raise AttributeError(f"{name}: {_OVER}")
        return self.____ask__(_GET, name, ())

    def __eq__(self, other: object) -> bool:
        if other is self:
            return True
        raise self.____gathering__.needs_at_once("__eq__")

    def __hash__(self) -> int:
        return id(self)

    def __await__(self) -> Generator[Any, None, Any]:
        result = self.____promise__
        self.____gathering__.ask()
        return result.__await__()

    def __setattr__(self, name: str, value: object) -> None:
        self.____ask__(Op.SET, None, (name, value))

    def __delattr__(self, name: str) -> None:
        self.____ask__(Op.DELETE, None, (name,))

    def __call__(self, /, *args: Any, **kwargs: Any) -> BatchResult:
        return self.____gathering__.call(self, args, kwargs)

    def __getitem__(self, key: Any) -> BatchResult:
        return self.____ask__(_GET, [(key,)], ())

    def __setitem__(self, key: Any, value: object) -> None:
        self.____ask__(_SPECIAL, None, (SPECIAL_INDEX["__setitem__"], key, value))

    def __delitem__(self, key: Any) -> None:
        self.____ask__(_SPECIAL, None, (SPECIAL_INDEX["__delitem__"], key))

    def ____ask__(self, op: int, path: Any, args: tuple[Any, ...]) -> BatchResult:
        return self.____gathering__.request(op, (self.____promise__,), path, args)


_set_gathering: Final = BatchResult.__dict__["____gathering__"].__set__
_set_place: Final = BatchResult.__dict__["____place__"].__set__
_set_result: Final = BatchResult.__dict__["____result__"].__set__


_OVER: Final = "the netobj.batch block is over: what came of a call in it is the result's value"
_LATE: Final = frozenset(map(int, (Op.GET, Op.CALL, Op.SET, Op.DELETE)))
_LATE_SPECIALS: Final = frozenset("__getitem__ __setitem__ __delitem__".split())
_NAMES: Final = tuple(
    "value wait ready error expired cancel add_callback set_expiry future".split()
)
_OWN: Final = _LATE_SPECIALS | {
    *("__call__", "__repr__", "__dir__", "__await__", "__eq__", "__hash__"),
}


def _refused(name: str) -> Any:
    def special(self: BatchResult, /, *_operands: object) -> NoReturn:
        raise self.____gathering__.needs_at_once(name)

    return special


def _of_result(name: str) -> Any:
    def get(self: BatchResult) -> Any:
        result = self.____promise__
        self.____gathering__.ask()
        return getattr(result, name)

    return property(get, doc=getattr(AsyncResult, name).__doc__)


for _name in frozenset(SPECIALS) - _OWN:
    setattr(BatchResult, _name, _refused(_name))
for _name in _NAMES:
    setattr(BatchResult, _name, _of_result(_name))
