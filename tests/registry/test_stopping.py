from __future__ import annotations

import threading

from netobj.registry.stopping import Stop


def test_waiting_ends_when_it_is_set() -> None:
    stop = Stop()
    waited: list[bool] = []
    thread = threading.Thread(target=lambda: waited.append(stop.wait(60)))
    thread.start()
    stop.set()
    thread.join(20)
    assert waited == [True]
    assert stop.is_set
    stop.set()
    stop.close()
    assert stop.wait(60)


def test_waiting_ends_in_time() -> None:
    stop = Stop()
    assert not stop.wait(0)
    assert not stop.wait(-1)
    assert not stop.wait(0.001)
    stop.close()
    assert stop.is_set
