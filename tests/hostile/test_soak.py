"""A mixed load with random cuts, for some seconds: nothing goes wrong, hangs, or is left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into Linux' /proc")
@pytest.mark.timeout(600)
def test_for_some_seconds(scale: int) -> None:
    found = subprocess.run(
        [sys.executable, str(SOAK), "--seconds", str(6 * scale)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, ""), found.stdout + found.stderr
