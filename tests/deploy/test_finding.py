"""The line for the login shell, run by a shell of this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from netobj.deploy.finding import candidates, command
from patience import HANG

PROGRAM = b"print(sys.stdin.readline() + sys.version.split()[0])"


def found(pythons: list[str], shell: str = "/bin/sh") -> list[str]:
    line = command(pythons, "mark", len(PROGRAM))
    done = subprocess.run(
        [shell, "-c", line],
        input=PROGRAM + b"hello\n",
        stdout=subprocess.PIPE,
        timeout=HANG,
        check=False,
    )
    return done.stdout.decode().split("\n")


VERSION = sys.version.split()[0]
RAN = [f"mark python {VERSION}", "hello", VERSION, ""]


def test_the_local_version_is_first() -> None:
    names = candidates()
    assert names[:2] == [f"python3.{sys.version_info.minor}", "python3"]
    assert names[-1] == "python"
    assert len(names) == len(set(names))
    assert {"python3.10", "python3.13"} < set(names)


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "zsh", "ksh", "fish", "tcsh", "csh"])
def test_any_login_shell(shell: str) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"no {shell} on this machine")
    assert found(candidates(sys.executable), path) == RAN


def test_the_first_that_will_do(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\necho -n 2.7.18; exit 1\n")
    old.chmod(0o755)
    pythons = ["no-such-python", str(old), *candidates(sys.executable), "never"]
    assert found(pythons) == RAN


def test_none_will_do(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\necho -n 2.7.18; exit 1\n")
    old.chmod(0o755)
    assert found(["no-such-python", str(old)]) == [
        f"mark none no-such-python:missing {old}:2.7.18",
        "",
    ]


@pytest.mark.parametrize(
    "name", ["it's", 'a "b"', "$HOME", "`touch x`", "a;b", "!!", "a\\b", "ä ö"]
)
def test_a_path_is_only_a_path(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.symlink_to(sys.executable)
    assert found(candidates(path))[0] == f"mark python {VERSION}"
    path.unlink()
    assert found(candidates(path)) == [f"mark none {candidates(path)[0]}:missing", ""]
