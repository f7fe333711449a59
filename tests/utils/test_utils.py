"""netobj.utils re-exports: each name is the one at its home, and nothing is defined there."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import netobj

UTILS = Path(netobj.__file__).parent / "utils"
MODULES = sorted(path.stem for path in UTILS.glob("*.py") if path.stem != "__init__")


def reexports(module: str) -> dict[str, str]:
    """name -> home, as the source of netobj.utils.<module> says."""
    tree = ast.parse((UTILS / f"{module}.py").read_text(encoding="utf-8"))
    return {
        alias.name: f"{node.module}"
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    }


@pytest.mark.parametrize("module", MODULES)
def test_each_name_is_the_one_at_its_home(module: str) -> None:
    here = importlib.import_module(f"netobj.utils.{module}")
    homes = reexports(module)
    assert sorted(homes) == sorted(here.__all__)
    for name, home in homes.items():
        assert getattr(here, name) is getattr(importlib.import_module(home), name), name


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_defined_there(module: str) -> None:
    docstring, *body = ast.parse((UTILS / f"{module}.py").read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr)
    assert all(isinstance(node, ast.ImportFrom | ast.Assign) for node in body)
    assigned = [ast.unparse(node.targets[0]) for node in body if isinstance(node, ast.Assign)]
    assert assigned == ["__all__"]


@pytest.mark.parametrize("module", MODULES)
def test_module_is_an_attribute_of_utils(module: str) -> None:
    assert getattr(netobj.utils, module) is importlib.import_module(f"netobj.utils.{module}")
