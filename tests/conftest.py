"""What all tests share: rounds, turns of threads, certificates, and a machine behind SSH."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings
from plumbum import SshMachine

from certificates import Certificates
from patience import wait_until
from sshd import Sshd, running

SCALE = int(os.environ.get("NETOBJ_TEST_SCALE", "1"))

if "NETOBJ_TEST_SWITCH" in os.environ:  # seconds, such as 1e-5, for races of threads
    sys.setswitchinterval(float(os.environ["NETOBJ_TEST_SWITCH"]))

# No deadline for an example: a busy machine is not a bug.
settings.register_profile("run", deadline=None)
settings.register_profile("long", deadline=None, max_examples=settings.default.max_examples * SCALE)
settings.load_profile("run" if SCALE == 1 else "long")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What is logged may be no UTF-8, and pytest-xdist's workers can report nothing else."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def scale() -> int:
    """The factor for rounds, seeds and soaks: 1 in .ci/run, more in .ci/long."""
    return SCALE


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """What a new authority has signed."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A real one, for the tests of a module."""
    with running(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def shared_machine(sshd: Sshd) -> Iterator[SshMachine]:
    with sshd.machine() as machine:
        yield machine
    wait_until(lambda: sshd.is_clean(0))


@pytest.fixture
def machine(sshd: Sshd, shared_machine: SshMachine) -> Iterator[SshMachine]:
    """This machine, reached through SSH; no test leaves anything on it."""
    yield shared_machine
    wait_until(sshd.is_clean)
