"""Functions that run in worker processes: a pool of processes for each service.

A pool is made when it is first used; when a worker crashes, what the pool runs and holds fails, and
the next call makes another pool. What goes to a worker is pickled here: the function by its name,
and arguments that are plain values. Nothing is unpickled but what came from our own workers, and
the workers unpickle nothing but what came from here.

``_lock`` protects the table of pools; making a pool starts no process yet.
"""

from __future__ import annotations

import os
import pickle
import threading
from typing import TYPE_CHECKING, Any, Final

from netobj import process_worker
from netobj.core.boxing import is_numpy_array, is_numpy_scalar
from netobj.core.exposure import ORIGINAL
from netobj.core.handle import RemoteObject
from netobj.core.lookup import describe
from netobj.core.outcomes import Ruled
from netobj.core.registered import USER_TYPES, is_plain_named_tuple
from netobj.core.values import ENCODERS
from netobj.errors import CallCancelled, WorkerCrashed

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

_pools: Final[dict[type, Executor]] = {}
_lock = threading.Lock()

_SCALARS: Final = frozenset((type(None), bool, int, float, complex, str, bytes, bytearray))
_CONTAINERS: Final = frozenset((list, tuple, set, frozenset))
_DEEPEST: Final = 100


def run_in_process(ruled: Ruled, service: type) -> Future[bytes]:
    """Have a worker process of *service* call the function; see :func:`come_to`.

    Raises TypeError for a function or arguments that cannot go there.
    """
    _check_values(ruled)
    function = getattr(ruled.function, ORIGINAL, ruled.function)
    try:
        packed = pickle.dumps((function, ruled.args, ruled.kwargs))
    except Exception as exc:
        raise TypeError(
            f"{ruled.name} cannot be called in a worker process, which needs a function that can "
            f"be imported, of a service that can be pickled: {exc}"
        ) from None
    for _ in range(_ATTEMPTS):
        pool = _pool_of(service)
        try:
            return pool.submit(process_worker.work, packed)
        except RuntimeError:  # a worker died while nothing ran, or the pool was closed just now
            _forget(service, pool)
    return _pool_of(service).submit(process_worker.work, packed)


_ATTEMPTS: Final = 2


def come_to(ruled: Ruled, future: Future[bytes], service: type) -> Any:
    """What the call has returned, whose *future* is done; raises what it has raised.

    Raises WorkerCrashed where its process has ended.
    """
    from concurrent.futures import BrokenExecutor, CancelledError  # it is loaded by now

    try:
        packed = future.result()
    except CancelledError:
        raise CallCancelled(f"{ruled.name}: the service's processes were closed") from None
    except BrokenExecutor:
        raise WorkerCrashed(
            f"a worker process of {service.__name__} ended while it ran {ruled.name}, or another "
            "call: this one may have run or not"
        ) from None
    returned, value = pickle.loads(packed)
    if returned:
        return value
    raise value


def _check_values(ruled: Ruled) -> None:
    for value in (*ruled.args, *ruled.kwargs.values()):
        wrong = _not_plain(value, 0)
        if wrong is None:
            continue
        hint = "pass plain values"
        if issubclass(type(wrong), RemoteObject):
            hint = "a remote object; pass plain values, or declare arguments_by_value=True"
        raise TypeError(
            f"{ruled.name} runs in another process, where {describe(wrong)} cannot go: {hint}"
        )


def _not_plain(value: Any, depth: int) -> Any:
    """The first thing in *value* that is no plain value; None where all is plain."""
    kind = type(value)
    if kind in _SCALARS or kind in ENCODERS or kind in USER_TYPES:
        return None
    if is_numpy_scalar(kind) or is_numpy_array(kind):
        return None
    if depth < _DEEPEST:
        if kind in _CONTAINERS or (issubclass(kind, tuple) and is_plain_named_tuple(kind)):
            found = (_not_plain(item, depth + 1) for item in value)
            return next((wrong for wrong in found if wrong is not None), None)
        if kind is dict:
            return _not_plain((*value, *value.values()), depth + 1)
    return value


def _pool_of(service: type) -> Executor:
    with _lock:
        pool = _pools.get(service)
        if pool is None:
            pool = _pools[service] = _new_pool(getattr(service, "PROCESSES", None))
        return pool


def _new_pool(workers: int | None) -> Executor:
    import multiprocessing  # these are slow to import, and of use to few
    from concurrent.futures.process import ProcessPoolExecutor

    return ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=process_worker.begin
    )


def _forget(service: type, pool: Executor) -> None:
    with _lock:
        if _pools.get(service) is pool:
            del _pools[service]
    pool.shutdown(wait=False, cancel_futures=True)


def close_pool(service: type) -> None:
    """Let the processes of *service* end when they have run what they run.

    Should it be called again, another server's for example, there will be new ones.
    """
    with _lock:
        pool = _pools.get(service)
    if pool is not None:
        _forget(service, pool)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    _pools.clear()  # they are the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
