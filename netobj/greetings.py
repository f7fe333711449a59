"""What a side of a connection says first, of itself."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from netobj.core import hello
from netobj.core.compressing import codecs
from netobj.core.config import Config
from netobj.core.consts import ONEWAY_FEATURE
from netobj.core.exposure import HIDING
from netobj.core.numbers import numbers


def greeting(config: Config, root: type) -> bytes:
    """What a connection with a *root* of this class begins with.

    Where the settings do not say who comes, what only peers on this machine see is left out.
    """
    side = side_of(config, root)
    if HIDING and config.endpoints is None:
        config = config._replace(endpoints=(None, None))
    return hello.greeting(config, root, side=side, process=numbers.process, features=features())


def side_of(config: Config, root: type) -> str:
    """What a side with a *root* of this class is called in texts.

    >>> from netobj.core.config import Config
    >>> side_of(Config(), dict), side_of(Config(connid="backup"), dict)
    ('the dict side', 'backup')
    """
    return config.connid or f"the {root.__name__} side"


@cache
def features() -> tuple[str, ...]:
    """What this process has beyond what every side has."""
    numpy = ("numpy",) if find_spec("numpy") is not None else ()
    return (ONEWAY_FEATURE, *codecs(), *numpy)
