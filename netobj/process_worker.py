"""What a worker process runs. It imports nothing of netobj, so that a worker starts quickly."""

from __future__ import annotations

import pickle
import signal
from typing import Any


def begin() -> None:
    """The first thing that a worker does: Ctrl-C is its parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def work(packed: bytes) -> bytes:
    """Call the function in *packed*; the answer is whether it returned, and what, or raised."""
    function: Any = None
    try:
        function, args, kwargs = pickle.loads(packed)
        answer = True, function(*args, **kwargs)
    except Exception as exc:
        answer = False, exc.with_traceback(None)
    try:
        packed = pickle.dumps(answer)
        if not answer[0]:
            pickle.loads(packed)  # many an exception can be pickled, but not built again
        return packed
    except Exception as exc:
        what = "returned" if answer[0] else f"raised {type(answer[1]).__name__}: {answer[1]}"
        name = getattr(function, "__qualname__", "the function")
        text = f"what {name} {what} in a worker process cannot be pickled: {exc}"
        return pickle.dumps((False, TypeError(text)))
