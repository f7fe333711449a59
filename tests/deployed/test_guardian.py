"""The guardian as it runs over there: as text, in a process of its own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from netobj.deployed import guardian
from patience import HANG, wait_until

TEXT = Path(guardian.__file__).read_bytes()
READ = f"import sys;exec(sys.stdin.buffer.read({len(TEXT)}))"


def archive(script: str) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as target:
        target.writestr("script.py", script)
    return memory.getvalue()


@contextmanager
def guarding(folder: Path, script: str, **changes: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A guardian that has been told to run *script* in *folder*."""
    content = archive(script)
    order = {
        "mark": "m",
        "folder": str(folder),
        "command": ["-u", "script.py"],
        "token": "secret",
        "grace": HANG,
        "size": len(content),
        **changes,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", READ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        process.stdin.write(TEXT + json.dumps(order).encode() + b"\n" + content)
        process.stdin.flush()
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


WAITS = "import os, sys; print(os.getpid(), sys.stdin.readline()); sys.stdin.read()"


def test_it_runs_and_cleans_up(tmp_path: Path) -> None:
    folder = tmp_path / "deployed"
    with guarding(folder, WAITS) as process:
        assert line_of(process) == b"m started\n"
        assert line_of(process).split()[1] == b"secret"
        assert folder.stat().st_mode & 0o777 == 0o700
        process.communicate(timeout=HANG)
        assert process.returncode == 0
        assert not folder.exists()


@pytest.mark.parametrize(
    ("script", "code"),
    [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)],
)
def test_it_ends_as_the_program_does(tmp_path: Path, script: str, code: int) -> None:
    with guarding(tmp_path / "deployed", script) as process:
        assert process.wait(HANG) == code
        assert not (tmp_path / "deployed").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_end_both(tmp_path: Path, number: int) -> None:
    with guarding(tmp_path / "deployed", WAITS) as process:
        line_of(process)
        child = int(line_of(process).split()[0])
        process.send_signal(number)
        assert process.wait(HANG) == 128 + number
        assert not (tmp_path / "deployed").exists()
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_a_program_that_does_not_end_is_killed(tmp_path: Path) -> None:
    forever = "import signal; print('up'); [signal.pause() for _ in iter(int, 1)]"
    with guarding(tmp_path / "deployed", forever, grace=0.1) as process:
        assert [line_of(process), line_of(process)] == [b"m started\n", b"up\n"]
        process.communicate(timeout=HANG)
        assert process.returncode == 128 + signal.SIGKILL
        assert not (tmp_path / "deployed").exists()


def test_half_an_archive_does_nothing(tmp_path: Path) -> None:
    with guarding(tmp_path / "deployed", WAITS, size=10**6) as process:
        out, _ = process.communicate(timeout=HANG)
        assert (out, process.returncode) == (b"", 1)
        assert not (tmp_path / "deployed").exists()


def test_no_archive_at_all(tmp_path: Path) -> None:
    with guarding(tmp_path / "deployed", WAITS, size=100) as process:
        _, errors = process.communicate(timeout=HANG)
        assert b"BadZipFile" in errors
        assert process.returncode == 1
        assert not (tmp_path / "deployed").exists()


@pytest.mark.parametrize("made", [Path.mkdir, Path.touch, lambda path: path.symlink_to("/tmp")])
def test_what_is_there_already_is_left_alone(tmp_path: Path, made: Any) -> None:
    made(tmp_path / "deployed")
    with guarding(tmp_path / "deployed", WAITS) as process:
        _, errors = process.communicate(timeout=HANG)
        assert b"FileExistsError" in errors
        wait_until(lambda: process.poll() is not None)
    assert os.path.lexists(tmp_path / "deployed")


def test_nothing_comes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ], input=TEXT, capture_output=True, timeout=HANG, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
