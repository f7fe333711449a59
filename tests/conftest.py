"""What all tests share: how many rounds they make, how often threads take turns, certificates."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import settings

from certificates import Certificates

SCALE = int(os.environ.get("NETOBJ_TEST_SCALE", "1"))

if "NETOBJ_TEST_SWITCH" in os.environ:  # seconds, such as 1e-5, for races of threads
    sys.setswitchinterval(float(os.environ["NETOBJ_TEST_SWITCH"]))

# No deadline for an example: a busy machine is not a bug.
settings.register_profile("run", deadline=None)
settings.register_profile("long", deadline=None, max_examples=settings.default.max_examples * SCALE)
settings.load_profile("run" if SCALE == 1 else "long")


@pytest.fixture(scope="session")
def scale() -> int:
    """The factor for rounds, seeds and soaks: 1 in .ci/run, more in .ci/long."""
    return SCALE


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """What a new authority has signed."""
    return Certificates(tmp_path_factory.mktemp("certificates"))
