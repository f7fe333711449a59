"""Listening sockets on both loops, and on one that cannot say when a socket is ready."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Any

import pytest
from looped import LOOPS, run, until

from netobj.aio import listening
from netobj.aio.listening import Host, Listening, bind

NewLoop = Callable[[], asyncio.AbstractEventLoop]
LOG = logging.getLogger("listening")


class Unready(asyncio.SelectorEventLoop):
    """As the loop of Windows: it accepts, but tells of no socket that is ready."""

    def add_reader(self, *_: Any) -> None:
        raise NotImplementedError


KINDS: dict[str, NewLoop] = {**LOOPS, "unready": Unready}


@pytest.fixture(params=KINDS)
def new_loop(request: pytest.FixtureRequest) -> NewLoop:
    return KINDS[request.param]


class Guests:
    """Who came, and what became of them."""

    def __init__(self) -> None:
        self.accepted: list[socket.socket] = []
        self.refused: list[str] = []
        self.failed: list[OSError] = []

    @property
    def host(self) -> Host:
        return Host(self._accept, self._refuse, self.failed.append)

    def _accept(self, sock: socket.socket, address: Any) -> None:
        self.accepted.append(sock)
        sock.close()

    def _refuse(self, sock: socket.socket, reason: str) -> None:
        self.refused.append(reason)
        sock.close()


class Failing:
    """A listening socket whose first *calls* of accept fail."""

    def __init__(self, sock: socket.socket, calls: list[OSError | None]) -> None:
        self._sock = sock
        self._calls = calls

    def accept(self) -> Any:
        error = self._calls.pop(0) if self._calls else None
        if error is not None:
            raise error
        return self._sock.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def visit(listener: Any) -> None:
    socket.create_connection(listener.getsockname()).close()


def test_who_comes_is_accepted(new_loop: NewLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_AT_ONCE", 2)

    async def main() -> None:
        guests = Guests()
        (listener,) = await bind("127.0.0.1", 0)
        there = Listening([listener], guests.host, LOG)
        there.begin(10)
        for _ in range(5):
            visit(listener)
        await until(lambda: len(guests.accepted) == 5)
        await asyncio.sleep(0)
        visit(listener)
        await until(lambda: len(guests.accepted) == 6)
        there.close()
        assert listener.fileno() == -1

    run(main(), new_loop)


@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.EMFILE, errno.ECONNABORTED])
def test_it_goes_on_when_the_system_fails(
    number: int,
    new_loop: NewLoop,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(listening, "ACCEPT_PAUSE", 0.001)

    async def main() -> None:
        guests = Guests()
        (sock,) = await bind("127.0.0.1", 0)
        error = OSError(number, "no such luck")
        listener: Any = Failing(sock, [error, None, error])
        there = Listening([listener], guests.host, LOG)
        there.begin(10)
        for count in (1, 2, 3):
            visit(sock)
            await until(lambda wanted=count: len(guests.accepted) == wanted)
        assert (guests.refused, guests.failed) == ([], [])
        there.close()

    run(main(), new_loop)
    assert caplog.text.count("trying again soon: ") == 2


def test_without_a_descriptor_the_newcomer_is_refused(
    new_loop: NewLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "ACCEPT_PAUSE", 0.001)

    async def main() -> None:
        guests = Guests()
        (sock,) = await bind("127.0.0.1", 0)
        listener: Any = Failing(sock, [OSError(errno.EMFILE, "Too many open files")])
        there = Listening([listener], guests.host, LOG)
        there.begin(10)
        with monkeypatch.context() as full:
            full.setattr(there._spare, "renew", lambda: False)
            visit(sock)
            await until(lambda: guests.refused)
        assert guests.refused == ["Too many open files"]
        visit(sock)
        await until(lambda: guests.accepted)
        there.close()

    run(main(), new_loop)


def test_closing_in_a_pause(new_loop: NewLoop, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        guests = Guests()
        (sock,) = await bind("127.0.0.1", 0)
        listener: Any = Failing(sock, [OSError(errno.ENOMEM, "no room")])
        there = Listening([listener], guests.host, LOG)
        there.begin(10)
        visit(sock)
        await until(lambda: "no room" in caplog.text)
        there.close()
        await asyncio.sleep(0)

    run(main(), new_loop)


def test_other_errors_end_it(new_loop: NewLoop) -> None:
    async def main() -> None:
        guests = Guests()
        (sock,) = await bind("127.0.0.1", 0)
        broken = OSError(errno.EINVAL, "broken")
        there = Listening([Failing(sock, [broken])], guests.host, LOG)  # type: ignore[list-item]
        there.begin(10)
        visit(sock)
        await until(lambda: guests.failed)
        assert (guests.failed, guests.accepted) == ([broken], [])
        there.close()

    run(main(), new_loop)


def test_a_socket_that_cannot_listen() -> None:
    async def main() -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        there = Listening([sock], Guests().host, LOG)
        with pytest.raises(OSError, match="not supported"):
            there.begin(10)
        there.close()

    run(main())


# --- binding ------------------------------------------------------------------------------------


def test_all_interfaces() -> None:
    async def main() -> None:
        found = await bind(None, 0)
        hosts = {sock.getsockname()[0] for sock in found}
        assert "0.0.0.0" in hosts
        assert hosts <= {"0.0.0.0", "::"}
        for sock in found:
            sock.close()

    run(main())


def test_a_port_that_is_taken() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match="in use") as info:
                await bind("127.0.0.1", port)
            assert info.value.filename == f"127.0.0.1:{port}"

    run(main())


def test_an_address_of_another_machine() -> None:
    async def main() -> None:
        with pytest.raises(OSError, match=r"'192\.0\.2\.1:0'"):
            await bind("192.0.2.1", 0)

    run(main())


def test_what_this_machine_does_not_have_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may stand for addresses of a kind that the machine has not."""

    async def main() -> None:
        addresses = ["192.0.2.1", "127.0.0.1", "127.0.0.1"]

        async def found(*_: Any, **__: Any) -> Any:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0)) for one in addresses]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
        (sock,) = await bind("bank", 0)
        assert sock.getsockname()[0] == "127.0.0.1"
        sock.close()
        addresses.clear()
        with pytest.raises(OSError, match="bank:0 has no address"):
            await bind("bank", 0)

    run(main())
