from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netobj.deployed import starting
from patience import HANG, wait_until

SHOW = "import msgpack, sys; print(msgpack.__file__, __name__, sys.argv[0])"


def start(folder: Path, oldest: str, own: Path | None) -> list[str]:
    """What the script in *folder* prints; *own*: where the interpreter has packages of its own."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(own or ""), str(folder), oldest],
        capture_output=True,
        text=True,
        timeout=HANG,
        check=True,
    )
    return done.stdout.split()


PROGRAM = f"""
import sys
sys.path[:0] = ["", *filter(None, sys.argv[1:2])]
code = compile(open({starting.__file__!r}).read(), "starting.py", "exec")
names = {{"__name__": "starting"}}
exec(code, names)
names["main"](sys.argv[2], sys.argv[3], "script.py")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A deployed folder."""
    deployed = tmp_path / "deployed"
    package(deployed / starting.FALLBACK, "version = (1, 2, 4)")
    (deployed / "script.py").write_text(SHOW)
    return deployed


def package(folder: Path, text: str) -> None:
    (folder / "msgpack").mkdir(parents=True)
    (folder / "msgpack" / "__init__.py").write_text(text)


def test_no_msgpack(folder: Path) -> None:
    found, name, script = start(folder, "1.2.3", None)
    assert found == str(folder / "fallback" / "msgpack" / "__init__.py")
    assert (name, script) == ("__main__", str(folder / "script.py"))


@pytest.mark.parametrize("text", ["version = (1, 2, 2)", "raise ImportError", "", "1 / 0"])
def test_a_msgpack_that_will_not_do(folder: Path, tmp_path: Path, text: str) -> None:
    package(tmp_path / "own", text)
    assert start(folder, "1.2.3", tmp_path / "own")[0].startswith(str(folder))


@pytest.mark.parametrize("version", ["(1, 2, 3)", "(1, 10, 0)", "(2, 0, 0, 'rc1')"])
def test_a_msgpack_that_will_do(folder: Path, tmp_path: Path, version: str) -> None:
    package(tmp_path / "own", f"version = {version}")
    assert start(folder, "1.2.3", tmp_path / "own")[0].startswith(str(tmp_path / "own"))


def test_the_folder_goes_when_the_script_has_ended(folder: Path) -> None:
    start(folder, "1.2.3", None)
    assert not folder.exists()


def test_a_child_of_fork_leaves_it(folder: Path) -> None:
    (folder / "script.py").write_text(
        "import os, sys\n"
        "if os.fork() == 0: sys.exit()\n"
        "os.wait(); print(os.path.exists(os.path.dirname(__file__)))"
    )
    assert start(folder, "1.2.3", None) == ["True"]
    assert not folder.exists()


def test_the_folder_goes_with_the_server_if_the_guardian_is_gone(folder: Path) -> None:
    (folder / "script.py").write_text("import sys; print('up', flush=True); sys.stdin.read()")
    guardian = (
        "import os, subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', {PROGRAM!r}, '', {str(folder)!r}, '1.2.3'],"
        " stdin=subprocess.PIPE)\n"
        "sys.stdin.readline()\n"
        "os._exit(0)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", guardian], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.wait(HANG) == 0
    wait_until(lambda: not os.path.exists(folder))
