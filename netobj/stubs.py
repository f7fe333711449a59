"""``netobj.stub``: a proxy that type checkers and editors know."""

from __future__ import annotations

from typing import Any

from netobj.core.handle import RemoteMethod, RemoteObject
from netobj.interfaces import Interface, P, checked_interface, known_names, missing_error, names_of


def stub(target: Any, protocol: Interface[P]) -> P:
    """*target*, most often ``conn.root``, as what the ``typing.Protocol`` *protocol* describes.

    It is the same proxy; type checkers and editors know from here on what it has. That its names
    are there is checked: by what is known already, else in one round trip. Their types are not:
    ``@exposed(check_types=True)`` does that, where they are declared.

    Raises AttributeError that names what is missing, TypeError if *protocol* is no Protocol.

    >>> import netobj
    >>> from typing import Protocol
    >>> class Calculator(Protocol):
    ...     def add(self, a: int, b: int) -> int: ...
    >>> class CalculatorService(netobj.Service):
    ...     @netobj.exposed
    ...     def add(self, a, b): return a + b
    >>> with netobj.connect_thread(remote_service=CalculatorService) as conn:
    ...     calculator = netobj.stub(conn.root, Calculator)
    ...     calculator.add(1, 2)
    3
    """
    interface = checked_interface(protocol)
    missing = names_of(interface)
    if issubclass(type(target), RemoteObject) and not issubclass(type(target), RemoteMethod):
        missing -= known_names(target)
    if missing:
        missing = missing.difference(dir(target))
    if missing:
        raise missing_error(interface, missing)
    typed: P = target
    return typed
