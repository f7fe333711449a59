"""The page on how the house is built says what the code says: the floors, and the locks."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "house.rst").read_text(encoding="utf-8")

ROW = re.compile(r"│ (\d) +(\d) +│ (.*?)(?:   .*)?│")
LOCK = re.compile(r"^ *(?:self\.)?(\w+)(?:: [\w\[\]]+)? = threading\.R?Lock\(\)", re.MULTILINE)


def drawn() -> tuple[dict[str, tuple[int, int]], set[str]]:
    """The floor and step of every room in the drawing, and the planned ones among them."""
    inside = PAGE.split(".. the floors begin")[1].split(".. the floors end")[0]
    floors: dict[str, tuple[int, int]] = {}
    planned = set()
    for floor, step, names in ROW.findall(inside):
        for name in names.split():
            room = name.strip("()")
            full = room if room == "netobj" else f"netobj.{room}"
            assert full not in floors, f"{room} is drawn twice"
            floors[full] = int(floor), int(step)
            if name != room:
                planned.add(full)
    return floors, planned


def test_the_drawing_is_the_table_of_floors() -> None:
    enforced = runpy.run_path(str(ROOT / "tests" / "test_floors.py"))
    floors, planned = drawn()
    assert floors == enforced["FLOORS"]
    modules = " ".join(f"{module}." for module in enforced["SOURCES"])
    assert planned == {room for room in floors if f"{room}." not in modules}


def test_every_lock_is_explained() -> None:
    explained = set(re.findall(r"^``(\w+\.\w+)``  +", PAGE, re.MULTILINE))
    made = {
        f"{path.stem}.{name}"
        for path in (ROOT / "netobj").rglob("*.py")
        if path.parent.name != "cli"
        for name in LOCK.findall(path.read_text(encoding="utf-8"))
    }
    assert explained == made
