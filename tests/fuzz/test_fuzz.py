"""The targets of fuzzing without atheris: the corpus, and what Hypothesis makes of it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import CORPUS, TARGETS, Target

RUN = Path(__file__).with_name("run.py")
targets = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)

Change = Callable[[bytearray, int, int], None]


def flip(data: bytearray, at: int, value: int) -> None:
    data[at] ^= value or 1


def put(data: bytearray, at: int, value: int) -> None:
    data[at] = value


def insert(data: bytearray, at: int, value: int) -> None:
    data.insert(at, value)


def cut_out(data: bytearray, at: int, value: int) -> None:
    del data[at : at + 1 + value % 8]


def end_here(data: bytearray, at: int, value: int) -> None:
    del data[at + 1 :]


def repeat(data: bytearray, at: int, value: int) -> None:
    data[at:at] = data[at : at + 1 + value % 16]


changes = st.lists(
    st.tuples(
        st.sampled_from([flip, put, insert, cut_out, end_here, repeat]),
        st.integers(0, 400),
        st.integers(0, 255),
    ),
    max_size=6,
)


@targets
def test_the_corpus(target: Target) -> None:
    seeds = target.seeds()
    assert len(seeds) > 1
    for seed in seeds:
        target(seed)


def test_each_target_has_its_corpus() -> None:
    assert {path.stem for path in CORPUS.glob("*.json")} == set(TARGETS)


@targets
def test_some_of_the_corpus_is_right(target: Target) -> None:
    def is_right(seed: bytes) -> bool:
        try:
            target.parse(seed)
        except target.allowed:
            return False
        return True

    assert any(map(is_right, target.seeds()))


@targets
def test_changed_seeds(target: Target) -> None:
    seeds = target.seeds()

    @given(st.sampled_from(seeds), changes, st.sampled_from([b"", *seeds]))
    def check(seed: bytes, changed: list[tuple[Change, int, int]], behind: bytes) -> None:
        data = bytearray(seed)
        for change, at, value in changed:
            if data:
                change(data, at % len(data), value)
        target(bytes(data) + behind)

    check()


@targets
def test_any_bytes(target: Target) -> None:
    @given(st.binary(max_size=300))
    def check(data: bytes) -> None:
        target(data)

    check()


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is an extra")
def test_atheris_runs() -> None:
    subprocess.run([sys.executable, str(RUN), "urls", "--seconds", "1"], check=True)
