"""The floors of the house: a module imports only from floors below its own.

Read from the source with ``ast``, so that imports inside functions and under TYPE_CHECKING
count, too. A new module must be put on a floor here before it can be imported from anywhere.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "netobj"

# (floor, step): the floors are the architecture's; where modules of one floor build on one
# another, steps say in which order, so that every import goes strictly down.
FLOORS = {
    "netobj.errors": (0, 0),
    "netobj.core": (0, 0),
    "netobj.core.consts": (0, 0),
    "netobj.core.lookup": (0, 0),
    "netobj.core.quiet": (0, 0),
    "netobj.core.growing": (1, 0),
    "netobj.core.config": (0, 1),
    "netobj.core.landing": (0, 0),
    "netobj.core.arrays": (0, 1),
    "netobj.core.rebuilding": (0, 2),
    "netobj.core.events": (1, 0),
    "netobj.core.bounds": (1, 0),
    "netobj.core.compressing": (1, 0),
    "netobj.core.framing": (1, 0),
    "netobj.core.registered": (1, 0),
    "netobj.core.exposure": (1, 0),
    "netobj.core.protocol": (1, 0),
    "netobj.core.async_": (1, 0),
    "netobj.version": (1, 0),
    "netobj.core.documents": (1, 0),
    "netobj.core.values": (1, 1),
    "netobj.core.watching": (1, 1),
    "netobj.core.rules": (2, 0),
    "netobj.core.vinegar_table": (2, 0),
    "netobj.core.vinegar_classes": (2, 0),
    "netobj.core.access": (2, 1),
    "netobj.core.vinegar": (2, 1),
    "netobj.core.describe": (2, 2),
    "netobj.core.offering": (2, 2),
    "netobj.core.admission": (0, 0),
    "netobj.core.numbers": (0, 0),
    "netobj.core.promises": (0, 0),
    "netobj.core.flow": (0, 0),
    "netobj.core.keeping": (0, 0),
    "netobj.core.closing": (0, 0),
    "netobj.core.outcomes": (2, 0),
    "netobj.core.handle": (2, 3),
    "netobj.core.localclass": (2, 3),
    "netobj.core.hello": (2, 3),
    "netobj.core.boxing": (2, 4),
    "netobj.core.copies": (2, 4),
    "netobj.core.flows": (2, 5),
    "netobj.core.oneways": (2, 5),
    "netobj.core.receiving": (2, 6),
    "netobj.core.sending": (2, 7),
    "netobj.core.patience": (2, 8),
    "netobj.core.session": (3, 0),
    "netobj.core.ends": (3, 0),
    "netobj.core.pumping": (3, 0),
    "netobj.core.handlers": (3, 1),
    "netobj.core.known_classes": (0, 0),
    "netobj.core.typed": (0, 0),
    "netobj.interfaces": (0, 1),
    "netobj.checking": (0, 2),
    "netobj.sources": (0, 0),
    "netobj.urls": (0, 0),
    "netobj.teleportation": (3, 1),
    "netobj.calls": (4, 0),
    "netobj.greetings": (4, 0),
    "netobj.core.arguments": (4, 0),
    "netobj.core.extending": (4, 0),
    "netobj.core.fetching": (4, 0),
    "netobj.core.methods": (4, 1),
    "netobj.core.specials": (4, 2),
    "netobj.core.netref": (4, 3),
    "netobj.core.service": (4, 1),
    "netobj.introspection": (4, 2),
    "netobj.process_worker": (0, 0),
    "netobj.process_pool": (5, 0),
    "netobj.gates": (4, 0),
    "netobj.governed": (4, 1),
    "netobj.functions": (4, 2),
    "netobj.registry": (5, 0),
    "netobj.refusing": (5, 0),
    "netobj.lasting": (5, 0),
    "netobj.stubs": (5, 0),
    "netobj.sockets": (5, 0),
    "netobj.taking_turns": (5, 0),
    "netobj.auth": (5, 0),
    "netobj.interceptors": (5, 1),
    "netobj.blocking": (5, 2),
    "netobj.ssh": (5, 3),
    "netobj.aio": (5, 4),
    "netobj.factory": (6, 0),
    "netobj.helpers": (6, 0),
    "netobj.files": (6, 0),
    "netobj.transfer": (6, 1),
    "netobj.multiprocess": (6, 1),
    "netobj.deployed": (6, 0),
    "netobj.servers": (6, 1),
    "netobj.classic": (7, 0),
    "netobj.deploy": (7, 0),
    "netobj.cli": (7, 1),
    "netobj.interactive": (7, 2),
    "netobj.utils": (8, 0),
    "netobj.lib": (8, 0),
    "netobj": (9, 0),
}

# Packages whose files are one room: among themselves they may import, without a cycle.
ROOMS = (
    "netobj.auth",
    "netobj.interceptors",
    "netobj.blocking",
    "netobj.checking",
    "netobj.aio",
    "netobj.servers",
    "netobj.registry",
    "netobj.cli",
    "netobj.deploy",
    "netobj.deployed",
)

# Functions of these names are public: a module of the same name would take their place.
TAKEN = ("stub", "async_", "service", "exposed", "connect", "timed", "buffiter", "restricted")

# The core does no I/O, starts nothing and asks no clock. logging imports threading.
NOT_IN_CORE = {
    "_socket", "_thread", "asyncio", "concurrent", "logging", "multiprocessing", "queue",
    "select", "selectors", "signal", "socket", "ssl", "subprocess", "threading", "time",
}  # fmt: skip

# Used by the core where the program has them, so never imported at the top of a module.
OPTIONAL_IN_CORE = {"numpy", "pandas"}


class Import(NamedTuple):
    """One imported module, and how it is imported."""

    target: str
    line: int
    typing_only: bool
    at_top: bool


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
CORE = [name for name in SOURCES if name.startswith("netobj.core")]


def is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imported_by(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """The modules that *node* names: ``from package import module`` names the module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    assert node.level == 0, f"relative import in line {node.lineno}"
    for alias in node.names:
        full = f"{node.module}.{alias.name}"
        yield full if full in SOURCES else f"{node.module}"


def find_imports(
    node: ast.AST, *, typing_only: bool = False, at_top: bool = True
) -> Iterator[Import]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        for target in imported_by(node):
            yield Import(target, node.lineno, typing_only, at_top)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        at_top = False
    for child in ast.iter_child_nodes(node):
        guarded = isinstance(node, ast.If) and is_type_checking(node) and child in node.body
        yield from find_imports(child, typing_only=typing_only or guarded, at_top=at_top)


def imports_of(module: str) -> list[Import]:
    tree = ast.parse(SOURCES[module].read_text(encoding="utf-8"))
    return list(find_imports(tree))


def own_imports_of(module: str) -> list[Import]:
    return [found for found in imports_of(module) if found.target.split(".")[0] == "netobj"]


def room_of(module: str) -> str | None:
    return next((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), None)


def floor_of(module: str) -> tuple[int, int]:
    if module.startswith("netobj.utils."):
        module = "netobj.utils"
    floor = FLOORS.get(room_of(module) or module)
    assert floor is not None, f"{module} is not in the plan: add it to FLOORS in {__file__}"
    return floor


def is_allowed(module: str, found: Import) -> bool:
    if floor_of(found.target) < floor_of(module):
        return True
    if room_of(module) is not None and room_of(module) == room_of(found.target):
        return True
    # Names for the type checker may come from the same floor; nothing is imported for them.
    return found.typing_only and floor_of(found.target)[0] == floor_of(module)[0]


@pytest.mark.parametrize("module", SOURCES)
def test_imports_go_down(module: str) -> None:
    wrong = [
        f"line {found.line}: {module} (floor {floor_of(module)}) imports "
        f"{found.target} (floor {floor_of(found.target)})"
        for found in own_imports_of(module)
        if not is_allowed(module, found)
        # A package may name its own submodules to the type checker.
        and not (found.typing_only and module in ("netobj.core", "netobj.utils"))
    ]
    assert wrong == []


@pytest.mark.parametrize("module", SOURCES)
def test_own_modules_are_imported_at_the_top(module: str) -> None:
    hidden = [
        f"line {found.line}: {found.target}"
        for found in own_imports_of(module)
        if not found.at_top and not found.typing_only
    ]
    assert hidden == []


def test_there_is_no_cycle() -> None:
    graph = {
        module: {found.target for found in own_imports_of(module) if not found.typing_only}
        for module in SOURCES
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import one another: {' -> '.join(error.args[1])}")


def test_every_import_names_a_module_that_is_there() -> None:
    missing = [
        f"{module}, line {found.line}: {found.target}"
        for module in SOURCES
        for found in own_imports_of(module)
        if found.target not in SOURCES
    ]
    assert missing == []


@pytest.mark.parametrize("module", CORE)
def test_core_imports_only_the_standard_library_and_msgpack(module: str) -> None:
    at_top = {*sys.stdlib_module_names, "msgpack", "netobj"} - NOT_IN_CORE
    inside = at_top | OPTIONAL_IN_CORE
    wrong = [
        f"line {found.line}: {found.target}"
        for found in imports_of(module)
        if not found.typing_only
        and found.target.split(".")[0] not in (at_top if found.at_top else inside)
    ]
    assert wrong == []


def test_core_at_run_time_has_no_sockets_threads_or_loops() -> None:
    code = f"import sys, {', '.join(CORE)}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    forbidden = {"socket", "selectors", "asyncio", "threading"}
    # What the interpreter itself has loaded before (a .pth file of the environment may do so), and
    # what uuid needs on Python 3.10, to know the platform.
    bare = subprocess.run(
        [sys.executable, "-c", "import sys, uuid; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert forbidden & (set(run.stdout.split()) - set(bare.stdout.split())) == set()


@pytest.mark.parametrize("name", TAKEN)
def test_no_module_takes_the_name_of_a_function(name: str) -> None:
    assert f"netobj.{name}" not in SOURCES


def test_the_finder_sees_hidden_and_typing_imports() -> None:
    source = (
        "if TYPE_CHECKING:\n    import netobj.errors\n"
        "else:\n    import netobj.core.consts\n"
        "def f():\n    from netobj.core import config\n"
    )
    assert list(find_imports(ast.parse(source))) == [
        Import("netobj.errors", 2, typing_only=True, at_top=True),
        Import("netobj.core.consts", 4, typing_only=False, at_top=True),
        Import("netobj.core.config", 6, typing_only=False, at_top=False),
    ]


@pytest.mark.parametrize(
    ("module", "target", "allowed"),
    [
        ("netobj.core.session", "netobj.core.boxing", True),
        ("netobj.core.session", "netobj.core.handlers", False),
        ("netobj.core.values", "netobj.blocking.connection", False),
        ("netobj.blocking.connection", "netobj.blocking.streams", True),
        ("netobj.blocking.connection", "netobj.servers.threaded", False),
        ("netobj.helpers", "netobj.factory", False),
        ("netobj.core.describe", "netobj.core.access", True),
        ("netobj.core.access", "netobj.core.describe", False),
        ("netobj.factory", "netobj", False),
    ],
)
def test_the_rule_itself(module: str, target: str, allowed: bool) -> None:
    assert is_allowed(module, Import(target, 1, typing_only=False, at_top=True)) is allowed
