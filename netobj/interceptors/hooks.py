"""Which of a chain's interceptors have something to say to what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from netobj.core.outcomes import is_async
from netobj.interceptors.interceptor import Interceptor

Hook = Callable[..., Any]


def checked(interceptors: Iterable[Any]) -> tuple[Interceptor, ...]:
    """*interceptors* as a tuple. Raises TypeError for what is no interceptor, or cannot be one."""
    chain = tuple(interceptors)
    for one in chain:
        if not isinstance(one, Interceptor):
            raise TypeError(
                f"interceptors= takes objects whose classes derive from netobj.Interceptor, "
                f"not {one!r}"
            )
        if is_async(one.on_message):
            raise TypeError(
                f"{type(one).__name__}.on_message is called where nothing can be awaited, and "
                "cannot be an async def"
            )
    return chain


def overrides(interceptor: Interceptor, name: str) -> bool:
    """Whether *interceptor* has a method *name* of its own."""
    if name in vars(interceptor):
        return True
    return getattr(type(interceptor), name) is not getattr(Interceptor, name)


def hooks(interceptors: Iterable[Interceptor], name: str) -> tuple[Hook, ...]:
    """The methods *name* of those that have one, the outermost first."""
    return tuple(getattr(one, name) for one in interceptors if overrides(one, name))


def around_calls(
    interceptors: Iterable[Interceptor], accepted: bool, outgoing: bool
) -> tuple[Hook, ...]:
    """What stands around the calls of one direction, on a side that has *accepted* the peer."""
    forward = accepted is not outgoing
    return hooks((one for one in interceptors if forward or one.both_ways), "on_call")


def for_loop(hook: Hook) -> Hook:
    """What stands in the place of *hook*, an ``on_call``, on an event loop: its own twin, if any.

    A class that changes ``on_call`` alone does not have that of its base.
    """
    owner = getattr(hook, "__self__", None)
    if "on_call" not in getattr(owner, "__dict__", {}):
        for cls in type(owner).__mro__:
            if "on_call_async" in vars(cls):
                twin: Hook = getattr(owner, "on_call_async")  # noqa: B009
                return twin
            if "on_call" in vars(cls):
                break
    return hook


def with_interceptors(config: Mapping[str, Any], more: Iterable[Any]) -> Mapping[str, Any]:
    """Settings with *more* interceptors, outside of those that *config* has."""
    chain = (*more, *config.get("interceptors", ()))
    return {**config, "interceptors": checked(chain)} if chain else config


def wrong_call() -> ValueError:
    """What ``next`` raises for anything else than the call that the interceptor was given."""
    return ValueError("an interceptor's next() takes the very call that on_call was given")
