"""The page of what has been mended names tests that are there, and commits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "mended.rst").read_text(encoding="utf-8")
ROWS = re.findall(r"   \* - (.+)\n     - (.+)\n     - ``(.+)``\n", PAGE)


def test_every_row_is_read() -> None:
    assert len(ROWS) == PAGE.count("   * - ") - 1 >= 40  # but for the head


@pytest.mark.parametrize(("wrong", "since", "test"), ROWS)
def test_its_test_is_there(wrong: str, since: str, test: str) -> None:
    path, name = test.split("::")
    source = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^ *(async )?def {name}\(", source, re.MULTILINE), f"{wrong}: no {test}"
    assert re.fullmatch(r"[0-9a-f]{7}|issue \d+", since)
