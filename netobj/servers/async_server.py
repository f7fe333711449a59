"""An asyncio server in a thread, for programs that are not asyncio's."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

from netobj import aio
from netobj.aio.server import TURNS
from netobj.auth.tls import one_context
from netobj.calls import Call
from netobj.interceptors.hooks import checked
from netobj.servers.base import Server
from netobj.servers.signals import on_ctrl_c, on_sigterm
from netobj.taking_turns import Room


class AsyncServer(Server):
    """Serves all connections from one event loop; see :class:`netobj.servers.base.Server`.

    ``async def`` methods run on the loop, plain ones in at most *workers* threads. *ssl* is another
    name of *ssl_context*. *new_event_loop*: makes the loop, for example ``uvloop.new_event_loop``.

    >>> import netobj
    >>> class EchoService(netobj.Service):
    ...     async def exposed_echo(self, text): return text
    >>> with AsyncServer(EchoService, hostname="localhost") as server:
    ...     with netobj.connect("localhost", server.port) as conn:
    ...         conn.root.echo("hello")
    'hello'
    """

    def __init__(
        self,
        service: Any,
        *args: Any,
        workers: int = aio.server.WORKERS,
        ssl: Any = None,
        new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
        **kwargs: Any,
    ) -> None:
        kwargs["ssl_context"] = one_context(kwargs.get("ssl_context"), ssl)
        super().__init__(service, *args, **kwargs)
        if self.executor is not None:
            raise ValueError("AsyncServer takes no executor: use netobj.ThreadedServer")
        self._threads = workers
        self._new_event_loop = new_event_loop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._taken = False  # the listener is the loop's, which closes it
        self._running: aio.Server | None = None
        self._cut: tuple[Call, ...] = ()
        self._ended = threading.Event()  # the loop is closed
        self._room: Room | None = None  # that of several processes
        self._start_settled = threading.Event()  # it accepts, or never will
        self._start_failure: BaseException | None = None

    @property
    def connections(self) -> tuple[Any, ...]:
        """The connections that have not ended."""
        running = self._running
        return () if running is None else running.connections

    def start(self) -> None:
        """Serve until :meth:`close`, or until Ctrl-C; returns at once if closed.

        In the main thread SIGTERM ends it, too. Calls that run then have ``grace`` seconds to end.
        """
        self.active = True
        loop = self._new_event_loop()
        grace = 0.0
        listener = None
        try:
            listener = self._take_listener()
            if listener is not None:
                self._register()
                with on_sigterm(self._interrupt), on_ctrl_c(self._interrupt):
                    loop.run_until_complete(self._serve(listener))
        except KeyboardInterrupt:
            self.logger.info("interrupted: the server closes")
            grace = self.grace
        except OSError as exc:  # it is closed meanwhile
            if not self._closed:
                self._settle_start(exc)
                raise
        except BaseException as exc:
            self._settle_start(exc)
            raise
        finally:
            self._settle_start(None)
            try:
                loop.run_until_complete(self._wind_up(grace))
            finally:
                loop.close()
                if listener is not None:
                    listener.close()
                self.close()
                self._ended.set()

    def _tell_started(self) -> None:
        """The interceptors are told on the loop."""

    def _settle_start(self, failure: BaseException | None) -> None:
        if not self._start_settled.is_set():
            self._start_failure = failure
            self._start_settled.set()

    def _start_in_thread(self) -> threading.Thread:
        thread = super()._start_in_thread()
        if checked(self._settings().interceptors):  # one of them may refuse to start
            self._start_settled.wait()
            if self._start_failure is not None:
                raise self._start_failure
        return thread

    def _run(self) -> None:
        try:
            super()._run()
        except BaseException as exc:
            if exc is not self._start_failure:  # else it is raised where the server was started
                raise

    def _take_listener(self) -> socket.socket | None:
        with self._lock:
            listener = None if self._closed else self.listener
            self._taken = listener is not None
        self._listening.spare.close()  # the loop has one of its own
        return listener

    async def _serve(self, listener: socket.socket) -> None:
        config = {**self.protocol_config}
        config["logger"] = config.get("logger") or self.logger
        server = aio.Server(
            self.service,
            sock=listener,
            ssl_context=self.ssl_context,
            authenticator=self.authenticator,
            psk=self.psk,
            insecure=True,  # what is not was refused when the listener was bound
            config=config,
            workers=self._threads,
            max_connections=self.max_connections,
            backlog=self.backlog,
            logger=self.logger,
        )
        if self._room is not None:
            server.share(self._room)
        server.face = self
        await server.start()
        self._settle_start(None)
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._running = server
            if self._closed:
                server.stop()
            elif not self.active:  # a signal came before there was a loop to tell
                server.stop(self.grace)
        self._cut = await server.serve_forever()

    async def _wind_up(self, grace: float) -> None:
        """Leave nothing on the loop that would never end."""
        if self._running is not None:
            await self._running.close(grace)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=aio.link.CLOSE_PATIENCE)
        await asyncio.get_running_loop().shutdown_asyncgens()
        for _ in range(TURNS):
            await asyncio.sleep(0)

    def accept_from(self, listener: socket.socket, room: Room) -> None:
        """As :meth:`netobj.servers.base.Server.accept_from`."""
        super().accept_from(listener, room)
        self._room = room

    def cut(self) -> None:
        """As :meth:`netobj.servers.base.Server.cut`; the loop does it, and is not waited for."""
        loop, server = self._loop, self._running
        if loop is not None and server is not None:
            loop.call_soon_threadsafe(server.cut)

    def _accept_method(self, sock: socket.socket) -> None:
        raise NotImplementedError("the event loop accepts connections")

    def _runs_here(self) -> bool:
        """True on the server's own loop, which must not wait for itself."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _interrupt(self) -> None:
        self.logger.info("interrupted: the server closes")
        self.active = False
        self._stop(self.grace)

    def _stop(self, grace: float) -> bool:
        """Have the loop close the server; False if there is none, or none any more."""
        loop, server = self._loop, self._running
        if loop is None or server is None:
            return False
        try:
            loop.call_soon_threadsafe(server.stop, grace)
        except RuntimeError:  # the loop has ended meanwhile
            return False
        return True

    def close(self, grace: float = 0) -> tuple[Call, ...]:
        """As :meth:`netobj.servers.base.Server.close`.

        The thread that runs :meth:`start` does it, and is told here; only with *grace* is it waited
        for, and are the calls that were cut returned; not if a call on its loop closes the server.
        """
        with self._lock:
            known = self._closed
            if self._taken:
                self._listener = None
                self._listening.unlink()
        super().close()
        # After that: a loop that begins later sees that the server is closed.
        if not self._stop(grace) or known or not grace or self._runs_here():
            return ()
        self._ended.wait()
        return self._cut
