from __future__ import annotations

import os
import signal
import threading

import pytest

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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_that_has_the_sockets_too_changes_nothing() -> None:
    stop = Stop()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        stop.set()  # its own
        os.write(writing, b"x")
        while True:  # until it is killed
            signal.pause()
    os.close(writing)
    try:
        assert os.read(reading, 1) == b"x"
        assert not stop.wait(0.001)
        stop.set()
        assert stop._reader.recv(1) == b""  # who waits wakes
        assert stop.wait(60)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(reading)
        stop.close()
