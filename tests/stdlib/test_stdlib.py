"""CPython's own tests of list, dict, set, BytesIO and Counter, on those of another process."""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from typing import Any

import pytest
from stdlib_exceptions import EXCEPTIONS
from stdlib_suites import SUITES, Peer, Suite, run

for module in ("test.test_list", "test.test_memoryio"):
    pytest.importorskip(module, reason="this Python comes without CPython's tests")

HANGS = 60.0
"""Seconds; the report holds the tests to ten, but a busy machine is not a bug."""


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


def cases() -> Iterator[Any]:
    for suite in SUITES:
        for test in suite.tests():
            name = f"{suite.name}.{test}"
            reason = EXCEPTIONS.get(name)
            marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True)]
            yield pytest.param(suite, test, id=name, marks=marks)


# CPython's own __del__ methods raise where the remote iterator does not keep the proxy alive.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("suite", "test"), list(cases()))
def test_with_the_remote_type(peer: Peer, suite: Suite, test: str) -> None:
    raised = run(peer, suite, test, HANGS)
    if isinstance(raised, unittest.SkipTest):
        pytest.skip(f"the test skips itself, with the local type, too: {raised}")
    if raised is not None:
        raise raised


def test_most_of_them_pass() -> None:
    names = {f"{suite.name}.{test}" for suite in SUITES for test in suite.tests()}
    assert len(names - EXCEPTIONS.keys()) >= 150
