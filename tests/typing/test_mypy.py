"""What mypy makes of programs that use netobj: it is run over examples, good ones and bad ones.

A bad example says at the end of a line what mypy has to say about it: ``# E: ...``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.py"))
EXPECTED = re.compile(r"# E: (.*)")
ERROR = re.compile(r"[^:]*?([^/\\:]+\.py):(\d+): error: (.*)")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], list[str]]:
    """(file, line) -> the errors that mypy finds there."""
    folder = tmp_path_factory.mktemp("mypy")
    settings = folder / "mypy.ini"
    settings.write_text(
        "[mypy]\nstrict = True\n[mypy-msgpack.*,numpy.*,pandas.*]\n"
        "ignore_missing_imports = True\nfollow_imports = skip\n"
    )
    command = [sys.executable, "-m", "mypy", "--config-file", str(settings)]
    command += ["--cache-dir", str(folder / "cache"), "--no-error-summary", "--hide-error-context"]
    run = subprocess.run(
        [*command, *map(str, EXAMPLES)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"MYPYPATH": str(ROOT), "PATH": ""},
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    errors: dict[tuple[str, int], list[str]] = {}
    for line in run.stdout.splitlines():
        match = ERROR.fullmatch(line)
        if match:
            errors.setdefault((match[1], int(match[2])), []).append(match[3])
    return errors


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples(example: Path, found: dict[tuple[str, int], list[str]]) -> None:
    expected = {
        number: match[1].strip()
        for number, line in enumerate(example.read_text(encoding="utf-8").splitlines(), 1)
        if (match := EXPECTED.search(line))
    }
    errors = {line: text for (name, line), text in found.items() if name == example.name}
    assert errors.keys() == expected.keys(), errors
    for line, words in expected.items():
        assert any(words in text for text in errors[line]), errors[line]
    assert bool(expected) is example.stem.endswith("_bad")
