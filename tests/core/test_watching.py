from __future__ import annotations

from netobj.core.framing import frame
from netobj.core.watching import WatchedQueue


def test_what_is_refused_is_not_queued() -> None:
    seen: list[bytes] = []

    def see(message: bytes) -> bool:
        seen.append(message)
        return b"no" in message

    yes, no = frame(b"yes"), frame(b"no")
    queue = WatchedQueue([yes], see)
    queue.append(yes)
    queue.append(no)
    queue.extend((no, memoryview(b"raw")))
    queue.extend((yes, memoryview(b"raw")))
    assert list(queue) == [yes, yes, yes, memoryview(b"raw")]
    assert seen == [yes, yes, no, no, yes]
