"""Thousands of worlds, each made of its seed, and cores that are broken on purpose."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulation.faults import FAULTS
from simulation.world import run

REPLAY = Path(__file__).with_name("replay.py")
CHUNKS, WORLDS = 20, 100
ENOUGH = 250  # seeds after which each fault is found


def fails(seed: int) -> str:
    """What goes wrong in the world of *seed*, or ""."""
    try:
        run(seed)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"
    return ""


@pytest.fixture(autouse=True)
def frozen() -> Iterator[None]:
    """What was there before is not looked through again and again."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_nothing_is_lost_and_nothing_is_left(chunk: int, scale: int) -> None:
    first = chunk * WORLDS * scale
    for seed in range(first, first + WORLDS * scale):
        problem = fails(seed)
        assert not problem, f"to see each step: python tests/simulation/replay.py {seed}"


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_core_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS[name](monkeypatch.setattr)
    assert any(map(fails, range(ENOUGH)))


def test_a_seed_means_the_same_each_time() -> None:
    def steps() -> list[str]:
        said: list[str] = []
        run(7, said.append)
        return said

    once = steps()
    assert len(once) > 100
    assert steps() == once
    replayed = subprocess.run(
        [sys.executable, str(REPLAY), "7"], capture_output=True, text=True, check=True
    )
    assert replayed.stdout.splitlines()[:-1] == once
