"""A connection on an event loop, as its users see it."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Generic

from netobj.aio.link import CLOSE_PATIENCE, Link
from netobj.calls import Call, Pending, operation_name, report, scope, target_name
from netobj.core.config import Config, ConfigMapping
from netobj.core.consts import CLOSED_HERE
from netobj.core.numbers import numbers
from netobj.core.typed import Root
from netobj.errors import ConnectionLost, PingError
from netobj.introspection import introspect


class Connection(Link, Generic[Root]):
    """One side of a connection on an event loop; made by :func:`netobj.aio.connect` and its kin,
    and by :class:`netobj.aio.Server`.

    Belongs to the loop that it was made on. What the peer calls runs by itself: ``async def``
    functions as tasks; plain functions on a server in worker threads, on a client on the loop,
    unless they are marked ``@exposed(slow=True)``. To type checkers ``Connection[Calculator]`` says
    what *root* is, a ``typing.Protocol`` whose methods are ``async def``.
    """

    _extras: Any = None

    @property
    def _config(self) -> ConfigMapping:
        """The settings as RPyC's programs read and write them."""
        return ConfigMapping(lambda: self.config, self._reconfigure)

    def _reconfigure(self, config: Config) -> None:
        self.config = config
        self.session.reconfigure(config)
        introspect(self)

    @property
    def root(self) -> Root:
        """A reference to the root of the other side: its service. No I/O."""
        return self._root  # type: ignore[return-value]

    @property
    def closed(self) -> bool:
        """True once the connection has ended, for whatever reason."""
        return self.session.lost is not None

    def __repr__(self) -> str:
        state = f"closed: {self.session.lost}" if self.closed else "open"
        return f"<netobj.aio.Connection to {self.peer_name} ({state})>"

    def __getattr__(self, name: str) -> Any:
        extras = self.__dict__.get("_extras")
        if extras is not None and not name.startswith("_"):
            return getattr(extras, name)
        raise AttributeError(f"a netobj.aio.Connection has no attribute {name!r}")

    async def close(self) -> None:
        """Say goodbye and end the connection; calls that wait fail with ConnectionLost.

        Closing twice does no harm. The setting ``before_closed`` is called first, with the root;
        its calls have 0.4 seconds. Returns within about a second, whatever the peer does, after the
        service's ``on_disconnect`` and the tasks that ran for the peer.
        """
        if not self.closed and not self._closing:
            self._closing = True
            try:
                await self._call_before_closed()
            finally:
                self.session.goodbye("the other side closed the connection")
                self.flush()
                self.lose(CLOSED_HERE)
        await self.wait_closed()

    async def _call_before_closed(self) -> None:
        hook = self.config.before_closed
        if hook is None:
            return
        token = scope.set(scope.get().but(deadline=time.monotonic() + CLOSE_PATIENCE))
        try:
            result = hook(self.root)
            if asyncio.iscoroutine(result):
                await result
        except Exception:
            if not self.config.close_catchall:
                raise
        finally:
            scope.reset(token)

    async def __aenter__(self) -> Connection[Root]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def ping(self, timeout: float | None = 3) -> None:
        """Check that the other side is there: its reader echoes a message.

        Raises PingError when the echo does not come within *timeout* seconds, ConnectionLost.
        """
        token = next(numbers.requests)
        future = self._pings[token] = self.loop.create_future()
        try:
            if not self.closed:
                self.session.ping(token)
                self.flush()
                await asyncio.wait_for(future, timeout)
        except asyncio.TimeoutError:
            raise PingError(f"{self.peer_name} did not answer a ping within {timeout} s") from None
        finally:
            self._pings.pop(token, None)
        if self.closed:
            raise ConnectionLost(self.session.lost)

    async def attach(self, service: Any) -> None:
        """Let *service* hear of the connection, then let the peer's calls run."""
        try:
            result = service.on_connect(self)
            if asyncio.iscoroutine(result):
                await result
        except BaseException:
            self.lose("the service's on_connect raised")  # it was never connected
            raise
        self.service = service
        if self.closed:  # before the service could hear of it
            self.dispatcher.run_hook(service.on_disconnect)
        self.dispatcher.open()

    def extend(self, extras: object) -> None:
        """The public attributes of *extras* are attributes of this connection from here on."""
        self._extras = extras

    # --- what is under way -------------------------------------------------------------------

    @property
    def calls(self) -> tuple[Call, ...]:
        """The peer's calls that are not answered yet, and those whose streams are open."""
        return tuple(Call(self, request) for request in self.session.served())

    def dump_pending(self) -> str:
        """Which calls wait on whom, since when, in which task or thread: for a hang."""
        pending = []
        for token in list(self.session.pending.values()):
            op, path, target = token.name
            name = operation_name(op, path, target_name(target))
            where = None if token.done else token.where
            pending.append(Pending(token.seq, name, token.since, where))
        return report(self, pending, list(self.calls))
