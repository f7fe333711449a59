from __future__ import annotations

import os
from typing import Any

import pytest

from netobj.cli.sharing import LocalBox, LocalInterpreter


def test_a_box_keeps_things() -> None:
    box = LocalBox()
    box.put("a", [1])
    assert box.get("a") == [1]
    assert box.namespace == {"a": [1]}
    with pytest.raises(KeyError, match="b"):
        box.get("b")


@pytest.mark.parametrize("name", ["eval", "execute", "modules", "builtins", "namespace"])
def test_a_box_lets_nobody_at_the_interpreter(name: str) -> None:
    with pytest.raises(AttributeError, match="start it with --share-local"):
        LocalBox()._netobj_getattr(name)


@pytest.mark.parametrize("local", [LocalBox(), LocalInterpreter()])
@pytest.mark.parametrize("name", ["__class__", "__dict__", "_netobj_getattr", "_reachable", "x"])
def test_no_other_name_is_reachable(local: Any, name: str) -> None:
    with pytest.raises(AttributeError, match=f"'local' has no '{name}', only .*put"):
        local._netobj_getattr(name)


def test_what_is_reachable_is_listed_and_there() -> None:
    for local in (LocalBox(), LocalInterpreter()):
        for name in dir(local):
            assert local._netobj_getattr(name) is not None


def test_an_interpreter_does_all() -> None:
    local = LocalInterpreter()
    local.put("x", 20)
    local.execute("y = x + 1")
    assert local.eval("y * 2") == 42
    assert local.modules.os is os
    assert local.modules["os.path"] is os.path
    with pytest.raises(AttributeError, match="nosuchmodule"):
        _ = local.modules.nosuchmodule
