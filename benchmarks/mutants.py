"""Do the tests of the core notice when the core is wrong? Breaks it in many small ways, and counts.

A mutant is one module of ``netobj/core`` with one small change: a comparison, a number or an
operator is another one, a condition is reversed, a statement is gone. The tests that run the
changed line (of those in ``.ci/core_tests``, which also have to run every branch of the core) are
run against each mutant, the quickest first, until one fails: then the mutant is killed. What
survives is printed as a diff: either a test is missing, or the mutant means the same
(``EQUIVALENT`` below says of which that is known).

The changes are cosmic-ray's operators, and :class:`RemoveStatement`. Of the many operators that fit
one place one is taken, so that easy ones do not make up the score; what changes only annotations is
left out. By default a sample is drawn, the same each time.

Needs the extras ``test``, ``dev`` and ``mutation``, and a system with ``fork``::

    python benchmarks/mutants.py --sample 300 --seed 6 --jobs 2
    python benchmarks/mutants.py --module session --show   # what there is, without a run
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple

from cosmic_ray.ast import get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names
from coverage import Coverage

ROOT: Final = Path(__file__).parents[1]
CORE: Final = ROOT / "netobj" / "core"
TESTS: Final = (ROOT / ".ci" / "core_tests").read_text().split()

SAME: Final = ("Eq_Is", "Eq_IsNot")
"""Identity in the place of equality (and the reverse) mostly means the same, or nothing at all."""

LONGEST: Final = 5
"""Seconds: tests that take longer are left out; what only they would notice counts as survived."""
HUNG: Final = 20
"""Seconds: a test that takes so long with a mutant, but not without, has noticed it."""
SECONDS: Final = 180
"""Of the processor; a mutant that takes more runs in circles, and so is noticed."""
CLOCK: Final = 900
"""Seconds of the clock, which other programs may use up."""

EQUIVALENT: Final[dict[tuple[str, str], str]] = {
    ("exposure", "break"): "the next turns find nothing either",
    ("values", "max_map_len=0,"): "a map is refused by refuse_map as well",
    (
        "flow",
        "return self.sent < self.granted or self.refused or self.sent_end or self.lost is not None",
    ): "nobody has sent more than was granted",
    ("framing", "if end < len(data):"): "that it is not greater was just asked",
    (
        "arrays",
        "flat = numpy.ascontiguousarray(array).reshape(-1)",
    ): "numpy takes every negative number there as it takes -1",
}
"""Mutants that mean the same as the original: module and changed line -> why."""


class RemoveStatement(Operator):
    """Puts ``pass`` in the place of a call or an assignment to an attribute or item."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "simple_stmt" and self._acts(node.children[0]):
            yield node.start_pos, node.end_pos

    @staticmethod
    def _acts(statement: Any) -> bool:
        if statement.type in ("atom_expr", "await_expr", "del_stmt"):
            return True
        if statement.type != "expr_stmt" or statement.children[0].type != "atom_expr":
            return False
        return statement.children[1].type != "annassign"

    def mutate(self, node: Any, _index: int) -> Any:
        return _passing(node)

    @classmethod
    def examples(cls) -> tuple[Any, ...]:
        return ()


def _passing(node: Any) -> Any:
    statement = node.children[0]
    passing = get_ast("pass\n").children[0].children[0]
    passing.prefix = statement.get_first_leaf().prefix
    node.children[0] = passing
    passing.parent = node
    return node


class Mutant(NamedTuple):
    """One module with one change."""

    module: str
    operator: str
    line: int
    before: str
    after: str
    code: str

    def diff(self) -> str:
        return f"{self.module}.py:{self.line} {self.operator}\n  - {self.before}\n  + {self.after}"


def operators() -> dict[str, Operator]:
    """The operators by name."""
    wanted = [name for name in operator_names() if name.startswith("core/Replace")]
    wanted += ["core/AddNot", "core/NumberReplacer", "core/ZeroIterationForLoop"]
    found = {name.partition("/")[2]: get_operator(name)() for name in sorted({*wanted})}
    same = [name for name in found if name.endswith(SAME) or "_Is_" in name or "_IsNot_" in name]
    for name in same:
        if not name.endswith(("_Is_IsNot", "_IsNot_Is")):
            del found[name]
    return {**found, "RemoveStatement": RemoveStatement()}


def family(name: str) -> str:
    """Operators of one family fit the same places."""
    for start in ("ReplaceBinaryOperator", "ReplaceComparisonOperator", "ReplaceUnaryOperator"):
        if name.startswith(start):
            return start
    return name


Fit = tuple[str, int]
"""An operator's name, and which of its occurrences in a module is meant."""


def places(tree: Any, found: dict[str, Operator]) -> dict[tuple[str, Any], list[Fit]]:
    """Family and place -> what fits there."""
    counts: dict[str, int] = defaultdict(int)
    at: dict[tuple[str, Any], list[Fit]] = defaultdict(list)

    def walk(node: Any) -> None:
        for name, operator in found.items():
            for start, _ in operator.mutation_positions(node):
                at[family(name), start].append((name, counts[name]))
                counts[name] += 1
        for child in getattr(node, "children", ()):
            walk(child)

    walk(tree)
    return at


class _Bare(ast.NodeTransformer):
    """Takes away what does not run: annotations and docstrings."""

    def visit_FunctionDef(self, node: Any) -> Any:
        node.returns = None
        for arg in (*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs):
            arg.annotation = None
        for arg in (node.args.vararg, node.args.kwarg):
            if arg is not None:
                arg.annotation = None
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_AnnAssign(self, node: Any) -> Any:
        node.annotation = ast.Constant(value=None)
        return self.generic_visit(node)


def bare(code: str) -> str:
    return ast.dump(_Bare().visit(ast.parse(code)))


def candidates(module: Path, found: dict[str, Operator]) -> list[tuple[Path, list[Fit]]]:
    """The places of *module*, and what fits there."""
    at = places(get_ast(module.read_text()), found)
    return [(module, fitting) for _, fitting in sorted(at.items(), key=lambda item: str(item[0]))]


def make(module: Path, operator: Operator, name: str, occurrence: int) -> Mutant | None:
    """The mutant; None where the change would not run."""
    source = module.read_text()
    code = mutate_code(source, operator, occurrence)
    try:
        if code is None or bare(code) == bare(source):
            return None
    except SyntaxError:
        return None
    return Mutant(module.stem, name, *_changed(source, code), code)


def _changed(source: str, code: str) -> tuple[int, str, str]:
    old, new = source.splitlines(), code.splitlines()
    for tag, start, end, from_, to in difflib.SequenceMatcher(a=old, b=new).get_opcodes():
        if tag != "equal":
            return (
                start + 1,
                " | ".join(line.strip() for line in old[start:end]),
                " | ".join(line.strip() for line in new[from_:to]),
            )
    return 0, "", ""


class Survey:
    """A plugin of pytest that notes which lines of the core each test runs, and for how long."""

    def __init__(self, coverage: Coverage) -> None:
        self._coverage = coverage
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_setup(self, item: Any) -> None:
        self._coverage.switch_context(item.nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration if report.passed else 2 * LONGEST


class Chosen:
    """A plugin of pytest that runs these tests only, in this order."""

    def __init__(self, tests: list[str]) -> None:
        self._places = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if item.nodeid in self._places]
        items.sort(key=lambda item: self._places[item.nodeid])


Lines = dict[tuple[str, int], list[str]]
"""A module and a line of it -> the tests that run it, the quickest first; 0: the module's own."""


def survey(result: Path) -> None:
    """Run all tests once, in a process of its own, and write what they run as JSON."""
    _tell(os.open(result.with_suffix(".txt"), os.O_RDWR | os.O_CREAT))
    coverage = Coverage(source=[str(CORE)], data_file=None)
    plugin = Survey(coverage)
    coverage.start()
    status = _pytest(["--deselect", "tests/core/test_state_machine.py", *TESTS], plugin)
    coverage.stop()
    data, seconds = coverage.get_data(), plugin.seconds
    lines = []
    for file in data.measured_files():
        # Doctests would be those of the package itself, and not of a copy with a mutant.
        for line, tests in data.contexts_by_lineno(file).items():
            quick = {
                test for test in tests if test.startswith("tests/") and seconds[test] < LONGEST
            }
            lines.append((Path(file).stem, line, sorted(quick, key=seconds.__getitem__)))
    for module in CORE.glob("*.py"):
        # Those of its own may look at its constants only, and run no line of it.
        own = [test for test in seconds if test.startswith(f"tests/core/test_{module.stem}.py:")]
        quick = {test for test in own if seconds[test] < LONGEST}
        lines.append((module.stem, 0, sorted(quick, key=seconds.__getitem__)))
    result.write_text(json.dumps(lines))
    os._exit(int(status))


def tests_for(mutant: Mutant, lines: Lines) -> list[str]:
    """The tests that run the changed line, the quickest first.

    For what runs when the module is imported (a constant, a default) those that run any of it, and
    those of its own.
    """
    source = (CORE / f"{mutant.module}.py").read_text()
    within = _statement(ast.parse(source), mutant.line)
    found = [lines.get((mutant.module, line), []) for line in within]
    if not any(found):
        found = [tests for (module, _), tests in lines.items() if module == mutant.module]
    longest = max(found, key=len, default=[])
    return [*dict.fromkeys([*longest, *(test for tests in found for test in tests)])]


def _statement(tree: ast.AST, line: int) -> range:
    """The lines of the innermost statement around *line*, without those of its body."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or line)
    ]
    inner = max(around, key=lambda node: node.lineno, default=None)
    if inner is None:
        return range(line, line + 1)
    body = getattr(inner, "body", [])
    end = body[0].lineno - 1 if body else inner.end_lineno or line
    return range(inner.lineno, max(end, inner.lineno) + 1)


def _tell(whom: int) -> None:
    os.setpgrp()
    for number in (0, 1, 2):
        os.dup2(whom, number)


def _pytest(arguments: list[str], plugin: object) -> int:
    import pytest

    os.chdir(ROOT)
    sys.path.append(str(ROOT))  # process pools of tests import them
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-c"]
    return pytest.main([*options, str(ROOT / "pyproject.toml"), *arguments], plugins=[plugin])


def run_tests(package: str, tests: list[str]) -> None:
    """In a process of its own: ends with 0 if all of *tests* pass."""
    _tell(os.open(os.devnull, os.O_RDWR))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    sys.path.insert(0, package)
    import netobj.core.consts  # what is run against, before anything else can choose

    if not str(netobj.core.consts.__file__).startswith(package):
        os._exit(70)
    files = dict.fromkeys(test.partition("::")[0] for test in tests)
    os._exit(int(_pytest(["-x", f"--timeout={HUNG}", *files], Chosen(tests))))


def survives(mutant: Mutant, package: str, tests: list[str]) -> bool:
    """Whether *tests* pass with *mutant* in the copy of the package in the folder *package*."""
    path = Path(package, "netobj", "core", f"{mutant.module}.py")
    original = path.read_text()
    path.write_text(mutant.code)
    shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)
    try:
        process = get_context("fork").Process(target=run_tests, args=(package, tests))
        process.start()
        process.join(CLOCK)
        if process.is_alive():
            os.killpg(process.pid or 0, signal.SIGKILL)
            process.join()
        if process.exitcode == 70:
            raise RuntimeError("the tests did not run against the copy of the package")
        return process.exitcode == 0
    finally:
        path.write_text(original)


def main() -> None:
    parser = argparse.ArgumentParser(description="Mutation testing of netobj/core.")
    parser.add_argument("--module", action="append", help="only this module, e.g. session")
    parser.add_argument("--sample", type=int, default=300, help="how many mutants (0: all)")
    parser.add_argument("--seed", type=int, default=6, help="which sample")
    parser.add_argument("--jobs", type=int, default=1, help="how many at once")
    parser.add_argument("--minutes", type=float, default=600, help="begin none after that long")
    parser.add_argument("--show", action="store_true", help="print the mutants, do not run them")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    found = operators()
    modules = [CORE / f"{name}.py" for name in options.module or ()] or sorted(CORE.glob("*.py"))
    drawn = [one for module in modules for one in candidates(module, found)]
    print(f"{len(drawn)} places", flush=True)
    chance.shuffle(drawn)
    mutants: list[Mutant] = []
    for module, fitting in drawn:
        name, occurrence = chance.choice(fitting)
        mutant = make(module, found[name], name, occurrence)
        if mutant is not None:
            mutants.append(mutant)
        if len(mutants) == options.sample:
            break
    if options.show:
        print(*(mutant.diff() for mutant in mutants), sep="\n")
        return
    import hypothesis  # noqa: F401  # here and not in each child
    import numpy  # noqa: F401
    import pandas  # noqa: F401

    started = time.monotonic()
    survived: list[Mutant] = []
    equivalent = done = 0
    with tempfile.TemporaryDirectory() as scratch:
        noted = Path(scratch, "lines.json")
        process = get_context("fork").Process(target=survey, args=(noted,))
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(f"without any mutant:\n{noted.with_suffix('.txt').read_text()}")
        lines = {(module, line): tests for module, line, tests in json.loads(noted.read_text())}
        print(f"{len(lines)} lines surveyed", flush=True)
        packages = [str(Path(scratch, str(number))) for number in range(options.jobs)]
        for package in packages:
            shutil.copytree(ROOT / "netobj", Path(package, "netobj"))

        def judge(mutant: Mutant) -> tuple[Mutant, bool | None]:
            if time.monotonic() > started + 60 * options.minutes:
                return mutant, None
            package = packages.pop()
            try:
                return mutant, survives(mutant, package, tests_for(mutant, lines))
            finally:
                packages.append(package)

        with ThreadPoolExecutor(options.jobs) as pool:
            for verdict in as_completed([pool.submit(judge, mutant) for mutant in mutants]):
                mutant, lives = verdict.result()
                if lives is None:
                    continue
                done += 1
                if done % 25 == 0:
                    print(f"{done} of {len(mutants)}", flush=True)
                if lives and (mutant.module, mutant.before) in EQUIVALENT:
                    equivalent += 1
                elif lives:
                    survived.append(mutant)
                    print(f"survived {done}: {mutant.diff()}", flush=True)
    judged = done - equivalent
    killed = judged - len(survived)
    minutes = (time.monotonic() - started) / 60
    print(
        f"{killed} of {judged} mutants killed, {100 * killed / max(1, judged):.1f} %; "
        f"{equivalent} more are equivalent; seed {options.seed}, {minutes:.0f} minutes"
    )


if __name__ == "__main__":
    main()
