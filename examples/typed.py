"""Types on both sides: the server checks what comes, and type checkers know the client's calls.

python examples/typed.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Protocol

import beside

import netobj


class Thermometer(Protocol):
    """What the client knows of the service; `netobj stubs` can write it."""

    def celsius(self, fahrenheit: float) -> float: ...

    def warmest(self, values: tuple[float, ...]) -> float: ...

    def readings(self, count: int) -> Iterator[float]: ...


class ThermometerService(netobj.Service):
    """What is behind it. (`pip install 'netobj[types]'` for check_types.)"""

    @netobj.exposed(check_types=True)
    def celsius(self, fahrenheit: float) -> float:
        return round((fahrenheit - 32) / 1.8, 1)

    @netobj.exposed(check_types=True)
    def warmest(self, values: tuple[float, ...]) -> float:
        return max(values)

    @netobj.exposed(check_types=True, stream=True)
    def readings(self, count: int) -> Iterator[float]:
        for number in range(count):
            yield 20.0 + number


def serve() -> None:
    # What clients do wrong is theirs to know, and not for the server's log.
    quiet = {"log_exceptions": False}
    server = netobj.ThreadedServer(ThermometerService, hostname="localhost", protocol_config=quiet)
    print(server.port, flush=True)
    server.start()


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        serve()
        return
    with beside.server(__file__) as port, netobj.connect("localhost", port) as conn:
        thermometer = netobj.stub(conn.root, Thermometer)
        print(thermometer.celsius(212), thermometer.warmest((1.5, 2)))
        print(*thermometer.readings(3))
        try:
            thermometer.warmest((1.5, "2"))  # type: ignore[arg-type]  # mypy has found it
        except TypeError as error:
            print(error)


if __name__ == "__main__":
    main()
