"""What keeps a server registered: a thread that registers it now, again and again, and no more."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from netobj.registry.client import REREGISTER_INTERVAL, Attempt, RegistryClient, resolve
from netobj.registry.messages import MOST_HOSTS
from netobj.registry.stopping import Stop

Advertise: TypeAlias = str | tuple[str, int]
"""A host, or a host and a port."""

PATIENCE: Final = 0.5
"""Seconds that a server which closes gives its registry to hear of it."""
_FIRST_RETRY: Final = 1.0
_LONGEST_RETRY: Final = 10.0
_JOIN: Final = 2.0


class Registration:
    """Keeps a server at *port* of *interface* registered by *registrar* from :meth:`start` on.

    A registry that is away is asked again after 1, 2, 4, 8 seconds and then every 10. *names*
    returns the names of the service. *advertise*: the host, as an address or a name, or (host,
    port), at which clients reach it, where that is not where it is bound.

    Any object with RPyC's ``register(aliases, port, interface=...)`` and ``unregister(port)`` may
    be the registrar; *advertise* takes one of netobj's (ValueError). Nothing is raised in the
    thread, only logged.
    """

    def __init__(
        self,
        registrar: Any,
        names: Callable[[], Iterable[str]],
        port: int,
        interface: str,
        logger: logging.Logger,
        advertise: Advertise | None = None,
    ) -> None:
        check_advertise(registrar, advertise)
        self._registrar = registrar
        self._names = names
        self._interface = interface
        self._logger = logger
        self._host: str | None = None
        self._port = port
        if isinstance(advertise, str):
            self._host = advertise
        elif advertise is not None:
            self._host, self._port = advertise
        self._stop = Stop()
        self._thread = threading.Thread(target=self._run, name="netobj registration", daemon=True)

    def start(self) -> bool:
        """Begin; returns at once, False if the system has no thread left."""
        try:
            self._thread.start()
        except RuntimeError as exc:
            self._logger.error("the server is not registered: %s", exc)
            return False
        return True

    def discard(self) -> None:
        """Give back what it holds, where it was not started."""
        self._stop.close()

    def stop(self) -> None:
        """Have the thread unregister the server and end; returns at once."""
        self._stop.set()

    def join(self) -> None:
        """Wait until it has ended, some seconds at most."""
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN)
        if self._thread.is_alive():
            self._logger.warning("%r does not return: it is left alone", self._registrar)

    def _run(self) -> None:
        trouble: str | None = None
        registered = False
        retry = _FIRST_RETRY
        pause = 0.0
        try:
            while not self._stop.wait(pause):
                before, (trouble, may_have) = trouble, self._register()
                # What was cut short changes nothing of what a registry knows since before.
                registered = may_have or (registered and self._stop.is_set)
                if trouble:
                    pause, retry = retry, min(2 * retry, _LONGEST_RETRY)
                else:
                    pause = getattr(self._registrar, "REREGISTER_INTERVAL", REREGISTER_INTERVAL)
                    retry = _FIRST_RETRY
                if trouble != before and not self._stop.is_set:
                    self._say(trouble)
            if registered:
                self._unregister()
        finally:
            self._stop.close()

    def _say(self, trouble: str) -> None:
        if trouble:
            self._logger.warning("not registered, trying again: %s", trouble)
        else:
            self._logger.info("registered with %r", self._registrar)

    def _register(self) -> Attempt:
        registrar = self._registrar
        try:
            if isinstance(registrar, RegistryClient):
                return registrar.attempt(
                    self._names(), self._port, self._interface, hosts=self._hosts(), stop=self._stop
                )
            done = registrar.register(self._names(), self._port, interface=self._interface)
            return Attempt("" if done else "the registrar says so", bool(done))
        except Exception as exc:
            return Attempt(f"{type(exc).__name__}: {exc}", False)

    def _unregister(self) -> None:
        registrar = self._registrar
        try:
            if isinstance(registrar, RegistryClient):
                registrar.unregister(
                    self._port, self._interface, hosts=self._hosts(), timeout=PATIENCE
                )
            else:
                registrar.unregister(self._port)
        except Exception:
            self._logger.exception("unregistering with %r raised", registrar)

    def _hosts(self) -> list[str]:
        """Where it is reached, looked up each time: what a name stands for may change."""
        return [] if self._host is None else resolve(self._host)[:MOST_HOSTS]


def check_advertise(registrar: Any, advertise: Advertise | None) -> None:
    """Raise ValueError where *registrar* cannot register another address than the server's."""
    if advertise is not None and not isinstance(registrar, RegistryClient):
        raise ValueError(
            f"advertise= takes a registrar of netobj's, not {registrar!r}: "
            "registrar=netobj.utils.registry.UDPRegistryClient(token=...), for example"
        )
