"""Whole connections over every kind of stream, and over what stands in on other platforms."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

import netobj
from netobj.blocking import dispatch as dispatch_module
from netobj.blocking import io_thread as io_thread_module
from netobj.blocking import reader as reader_module
from netobj.blocking import streams
from netobj.blocking.streams import Stream
from netobj.blocking.waker import PairWaker

Until = Callable[[Callable[[], object]], None]


def use(one: Stream, other: Stream, until: Until) -> None:
    with netobj.connect_stream(other, netobj.SlaveService) as there:
        with netobj.connect_stream(one) as here:
            assert here.root.eval("6 * 7") == 42
            ident = here.root.eval("lambda f: f()")(threading.get_ident)
            assert ident == threading.get_ident()
            data = os.urandom(5 * 2**20)
            assert here.root.eval("lambda data: data")(data) == data
            results = [netobj.async_(here.root.eval)(str(i)) for i in range(50)]
            assert [result.value for result in results] == list(range(50))
            share(here)
            event = threading.Event()
            here.root.execute("import threading")
            here.root.eval("lambda f: threading.Thread(target=f).start()")(event.set)
            assert event.wait(20)
            here.ping(timeout=20)
        until(lambda: there.closed)
        with pytest.raises(netobj.ConnectionLost):
            there.ping()


def share(here: netobj.Connection) -> None:
    wrong: list[object] = []
    same = here.root.eval("lambda x, f: f(x)")

    def work(number: int) -> None:
        data = bytes([number]) * 50_000
        try:
            for _ in range(10):
                if same(data, lambda x: x) != data:
                    wrong.append(number)
        except BaseException as exc:
            wrong.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_a_connection_over_each_kind(make: Callable[[], Any], until: Until) -> None:
    before = len(os.listdir("/proc/self/fd"))
    use(*make(), until)
    # The I/O thread has some of its own, once for the process.
    until(lambda: len(os.listdir("/proc/self/fd")) <= before + 2)


def test_a_connection_with_all_that_stands_in(
    make: Callable[[], Any], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_wait", streams._select_wait)
    for module in (reader_module, dispatch_module, io_thread_module):
        monkeypatch.setattr(module, "Waker", PairWaker)
    monkeypatch.setattr(io_thread_module, "_current", None)
    use(*make(), until)
