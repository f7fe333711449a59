"""The page of names has every public name."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

import netobj
import netobj.aio

PAGE = (Path(__file__).parents[2] / "docs" / "api.rst").read_text(encoding="utf-8")


@pytest.mark.parametrize("module", [netobj, netobj.aio], ids=lambda module: module.__name__)
def test_every_public_name_is_there(module: ModuleType) -> None:
    by_module = set(netobj.errors.__all__)
    assert ".. automodule:: netobj.errors" in PAGE
    for name in set(module.__all__) - by_module:
        shown = rf"^\.\. auto\w+:: {module.__name__}\.{name}$|``(?:netobj\.)?{name}``"
        assert re.search(shown, PAGE, re.MULTILINE), name
