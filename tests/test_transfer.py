"""Files over a classic connection: what arrives, what is left of what was cut, what is refused."""

from __future__ import annotations

import io
import itertools
import logging
import os
import random
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import netobj
from netobj import classic, files, transfer

SERVE_STDIO = """
import os
import netobj
incoming, outgoing = os.dup(0), os.dup(1)
os.dup2(2, 1)
netobj.connect_pipes(incoming, outgoing, netobj.SlaveService).serve_all()
"""
CHUNK = 10_000
CONTENT = random.Random(0).randbytes(25 * CHUNK + 7)

on_unix = pytest.mark.skipif(sys.platform == "win32", reason="needs links and permissions of Unix")


@pytest.fixture(scope="module")
def other_process() -> Iterator[netobj.Connection]:
    with classic.connect_subproc([sys.executable, "-c", SERVE_STDIO]) as connection:
        yield connection
    connection.proc.wait(20)


@pytest.fixture(params=["remote", "mock"])
def conn(request: pytest.FixtureRequest) -> Any:
    if request.param == "mock":
        return classic.MockClassicConnection()
    return request.getfixturevalue("other_process")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "none").write_bytes(b"")
    (folder / "text.txt").write_bytes(b"two\r\nlines\n\x00\xff")
    (folder / "sub" / "big").write_bytes(CONTENT)
    (folder / "sub" / "deep" / "one chunk").write_bytes(CONTENT[:CHUNK])
    (folder / "sub" / "deep" / "\u00e9").write_bytes(b"name")
    return folder


def tree(folder: Path) -> dict[str, tuple[bytes | None, int]]:
    """Each path below *folder*: its content (None: a directory) and its permissions."""
    return {
        path.relative_to(folder).as_posix(): (
            None if path.is_dir() else path.read_bytes(),
            stat.S_IMODE(path.stat().st_mode),
        )
        for path in folder.rglob("*")
    }


# --- what arrives -------------------------------------------------------------------------------


def test_upload_and_download_of_a_directory(conn: Any, source: Path, tmp_path: Path) -> None:
    if sys.platform != "win32":
        (source / "text.txt").chmod(0o751)
        (source / "none").chmod(0o444)
        (source / "sub" / "deep").chmod(0o555)
    classic.upload(conn, str(source), str(tmp_path / "there"), chunk_size=CHUNK)
    classic.download(conn, str(tmp_path / "there"), tmp_path / "back", chunk_size=CHUNK)
    (source / "sub" / "deep").chmod(0o755)
    assert set(tree(source)) == set(tree(tmp_path / "back"))
    expected = tree(source)
    for folder in (tmp_path / "there", tmp_path / "back"):
        assert stat.S_IMODE((folder / "sub" / "deep").stat().st_mode) in (0o555, 0o777)
        (folder / "sub" / "deep").chmod(0o755)
        assert tree(folder) == expected


def test_upload_file_and_download_file(conn: Any, source: Path, tmp_path: Path) -> None:
    big = source / "sub" / "big"
    classic.upload_file(conn, big, str(tmp_path / "up"), CHUNK)
    classic.download_file(conn, str(tmp_path / "up"), str(tmp_path / "down"), chunk_size=CHUNK)
    assert (tmp_path / "down").read_bytes() == CONTENT
    (tmp_path / "down").chmod(0o600)
    classic.upload_file(conn, source / "none", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == b""


def test_upload_dir_and_download_dir(conn: Any, source: Path, tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "other").write_bytes(b"stays")
    classic.upload_dir(conn, str(source), str(tmp_path / "up"))
    classic.download_dir(conn, str(tmp_path / "up"), str(tmp_path / "down"))
    assert set(tree(tmp_path / "down")) == {*tree(source), "other"}


def test_filter_chooses_by_name(conn: Any, source: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    def wanted(name: str) -> bool:
        asked.append(name)
        return name not in ("sub", "none")

    classic.upload(conn, str(source), str(tmp_path / "up"), wanted)
    assert set(tree(tmp_path / "up")) == {"empty", "text.txt"}
    assert sorted(asked) == ["empty", "none", "sub", "text.txt"]
    classic.download(conn, str(source), str(tmp_path / "down"), filter=lambda name: "." not in name)
    assert "text.txt" not in tree(tmp_path / "down")
    assert "sub/deep/\u00e9" in tree(tmp_path / "down")


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 4 * CHUNK, 5 * CHUNK + 1])
def test_sizes_around_a_chunk(other_process: netobj.Connection, tmp_path: Path, size: int) -> None:
    (tmp_path / "from").write_bytes(CONTENT[:size])
    classic.upload(other_process, tmp_path / "from", tmp_path / "up", chunk_size=CHUNK)
    classic.download(other_process, tmp_path / "up", tmp_path / "down", chunk_size=CHUNK)
    assert (tmp_path / "down").read_bytes() == CONTENT[:size]
    assert sorted(os.listdir(tmp_path)) == ["down", "from", "up"]


def test_what_is_no_file(conn: Any, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    for copy, word in ((classic.upload, "upload"), (classic.download, "download")):
        with pytest.raises(ValueError, match=f"cannot {word} .*missing"):
            copy(conn, missing, str(tmp_path / "to"))
        copy(conn, missing, str(tmp_path / "to"), ignore_invalid=True)
    with pytest.raises(FileNotFoundError):
        classic.upload_file(conn, missing, str(tmp_path / "to"))
    with pytest.raises(ValueError, match="it is a directory"):
        classic.download_file(conn, str(tmp_path), str(tmp_path / "to"))
    with pytest.raises(NotADirectoryError, match="missing"):
        classic.upload_dir(conn, missing, str(tmp_path / "to"))
    with pytest.raises(ValueError, match="chunk_size is a number of bytes"):
        classic.upload(conn, str(tmp_path), str(tmp_path / "to"), chunk_size=0)
    assert os.listdir(tmp_path) == []


@on_unix
def test_links_and_special_files(
    conn: Any, source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(source / "pipe")
    (source / "nowhere").symlink_to("no such file")
    (source / "loop").symlink_to(source)
    (source / "linked").symlink_to("text.txt")
    with caplog.at_level(logging.WARNING):
        classic.download(conn, str(source), str(tmp_path / "down"))
    found = tree(tmp_path / "down")
    assert found["linked"] == found["text.txt"]
    assert not (tmp_path / "down" / "linked").is_symlink()
    assert found.keys().isdisjoint({"pipe", "nowhere", "loop"})
    assert [record.getMessage().partition(" is left out: ")[2] for record in caplog.records] == [
        "it leads back to a directory above it",
        "it is missing",
        "it is a fifo",
    ]
    with pytest.raises(ValueError, match="it is a fifo"):
        classic.upload(conn, str(source / "pipe"), str(tmp_path / "to"))


# --- resuming -----------------------------------------------------------------------------------


class Counting:
    """A function for ``progress=`` that ends the transfer at some point."""

    def __init__(self, until: int = sys.maxsize) -> None:
        self.until = until
        self.calls: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.calls.append((done, total))
        if done >= self.until:
            raise KeyboardInterrupt


WAYS = [classic.upload, classic.download]


@pytest.mark.parametrize("copy", WAYS)
def test_an_interrupted_transfer_goes_on(
    conn: Any, source: Path, tmp_path: Path, copy: Any
) -> None:
    start, end = source / "sub" / "big", tmp_path / "copy"
    with pytest.raises(KeyboardInterrupt):
        copy(conn, start, end, chunk_size=CHUNK, progress=Counting(5 * CHUNK))
    assert not end.exists()
    left = (tmp_path / f"copy{files.PART}").stat().st_size
    assert 5 * CHUNK <= left < len(CONTENT)
    seen = Counting()
    copy(conn, start, end, chunk_size=CHUNK, resume=True, progress=seen)
    assert seen.calls[0] == (left, len(CONTENT))
    assert seen.calls[-1] == (len(CONTENT), len(CONTENT))
    assert end.read_bytes() == CONTENT
    assert not (tmp_path / f"copy{files.PART}").exists()


@pytest.mark.parametrize("copy", WAYS)
def test_without_being_asked_it_begins_anew(
    conn: Any, source: Path, tmp_path: Path, copy: Any
) -> None:
    (tmp_path / f"copy{files.PART}").write_bytes(CONTENT[: 3 * CHUNK])
    seen = Counting()
    copy(conn, source / "sub" / "big", tmp_path / "copy", chunk_size=CHUNK, progress=seen)
    assert seen.calls[0] == (CHUNK, len(CONTENT))
    assert (tmp_path / "copy").read_bytes() == CONTENT


@pytest.mark.parametrize("copy", WAYS)
@pytest.mark.parametrize("part", [b"x" * 3 * CHUNK, CONTENT + b"more", CONTENT[:-1] + b"?"])
def test_what_is_there_of_another_file_is_not_mixed_in(
    conn: Any, source: Path, tmp_path: Path, copy: Any, part: bytes
) -> None:
    (tmp_path / f"copy{files.PART}").write_bytes(part)
    copy(conn, source / "sub" / "big", tmp_path / "copy", chunk_size=CHUNK, resume=True)
    assert (tmp_path / "copy").read_bytes() == CONTENT


@pytest.mark.parametrize("copy", WAYS)
def test_a_file_that_changes_while_its_rest_travels(
    conn: Any, source: Path, tmp_path: Path, copy: Any
) -> None:
    (tmp_path / f"copy{files.PART}").write_bytes(CONTENT[: 3 * CHUNK])
    big = source / "sub" / "big"

    def change(done: int, total: int) -> None:
        if done == 3 * CHUNK:
            big.write_bytes(b"y" * len(CONTENT))
            os.utime(big, ns=(0, 0))

    with pytest.raises(OSError, match="was changed while"):
        copy(conn, big, tmp_path / "copy", chunk_size=CHUNK, resume=True, progress=change)
    assert not (tmp_path / "copy").exists()
    assert not (tmp_path / f"copy{files.PART}").exists()


@pytest.mark.parametrize("copy", WAYS)
def test_files_that_are_there_already_do_not_travel_again(
    conn: Any, source: Path, tmp_path: Path, copy: Any
) -> None:
    copy(conn, source, tmp_path / "copy", chunk_size=CHUNK)
    before = (tmp_path / "copy" / "sub" / "big").stat().st_ino
    copy(conn, source, tmp_path / "copy", chunk_size=CHUNK, resume=True)
    assert (tmp_path / "copy" / "sub" / "big").stat().st_ino == before
    (source / "sub" / "big").write_bytes(CONTENT[::-1])
    copy(conn, source, tmp_path / "copy", chunk_size=CHUNK, resume=True)
    assert (tmp_path / "copy" / "sub" / "big").read_bytes() == CONTENT[::-1]


@on_unix
def test_permissions_of_directories_after_an_interruption(
    conn: Any, source: Path, tmp_path: Path
) -> None:
    (source / "sub").chmod(0o750)
    with pytest.raises(KeyboardInterrupt):
        classic.upload(conn, source, tmp_path / "up", chunk_size=CHUNK, progress=Counting(CHUNK))
    assert stat.S_IMODE((tmp_path / "up" / "sub").stat().st_mode) == 0o700
    (tmp_path / "up").chmod(0o711)
    classic.upload(conn, source, tmp_path / "up", chunk_size=CHUNK, resume=True)
    assert stat.S_IMODE((tmp_path / "up" / "sub").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "up").stat().st_mode) == 0o711


def test_a_lost_connection_leaves_what_the_next_one_goes_on_with(
    source: Path, tmp_path: Path
) -> None:
    conn = classic.connect_subproc([sys.executable, "-c", SERVE_STDIO])

    def kill(done: int, total: int) -> None:
        if done == 10 * CHUNK:
            conn.proc.kill()

    with conn, pytest.raises(netobj.ConnectionLost):
        classic.download(
            conn, source / "sub" / "big", tmp_path / "copy", chunk_size=CHUNK, progress=kill
        )
    conn.proc.wait(20)
    seen = Counting()
    with classic.connect_thread() as again:
        classic.download(
            again, source / "sub" / "big", tmp_path / "copy", chunk_size=CHUNK, resume=True,
            progress=seen,
        )  # fmt: skip
    assert seen.calls[0][0] >= 10 * CHUNK
    assert (tmp_path / "copy").read_bytes() == CONTENT


# --- progress -----------------------------------------------------------------------------------


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_told_in_bytes(conn: Any, source: Path, tmp_path: Path) -> None:
    seen = Counting()
    classic.upload(conn, source, tmp_path / "up", chunk_size=CHUNK, progress=seen)
    total = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
    done = [count for count, _ in seen.calls]
    assert {whole for _, whole in seen.calls} == {total}
    assert done == sorted(done)
    assert done[-1] == total
    assert all(b - a <= CHUNK for a, b in itertools.pairwise([0, *done]))


def test_a_bar_on_a_terminal(
    other_process: netobj.Connection, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", screen := Screen())
    big, copy = source / "sub" / "big", tmp_path / "copy"
    classic.upload(other_process, big, copy, chunk_size=CHUNK, progress=True)
    assert "100%" in screen.getvalue()
    with pytest.raises(ValueError, match="missing"):
        classic.upload(other_process, source / "missing", copy, progress=True)
    classic.upload(other_process, source / "empty", tmp_path / "copies", progress=True)
    monkeypatch.setattr(sys, "stdout", paper := io.StringIO())
    classic.upload(other_process, big, copy, chunk_size=CHUNK, progress=True)
    assert paper.getvalue() == ""


def test_a_bar_stops_where_the_transfer_did(
    other_process: netobj.Connection, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", screen := Screen())
    (tmp_path / "copy").mkdir()
    with pytest.raises(IsADirectoryError):
        classic.upload_file(
            other_process, source / "sub" / "big", tmp_path / "copy", CHUNK, progress=True
        )
    assert screen.getvalue().endswith("\n")
    assert "100%" not in screen.getvalue()


# --- a hostile other side -----------------------------------------------------------------------


class Hostile:
    """In the place of the other side's :mod:`netobj.files`: a listing of its choice."""

    def __init__(self, *listing: Any, content: Any = (b"stolen", None)) -> None:
        self._listing = listing
        self._content = content

    def look(self, path: str) -> Any:
        return ("directory", 0, 0o755, 1, 1)

    def entries(self, path: str) -> Any:
        return iter(self._listing)

    def begin(self, path: str, count: int) -> Any:
        return self._content


class HostileConnection:
    def __init__(self, half: Any) -> None:
        self.modules = {"netobj.files": half}


FILE = ("file", 6, 0o4755, 2, 2)
FOLDER = ("directory", 0, 0o755, 0, 0)


@pytest.mark.parametrize(
    "name", ["..", ".", "", "../escaped", "/escaped", "sub/../../escaped", "a/b", "a\0b"]
)
@pytest.mark.parametrize("facts", [FILE, FOLDER])
def test_names_from_the_other_side_do_not_lead_out(
    tmp_path: Path, name: str, facts: tuple[Any, ...]
) -> None:
    conn = HostileConnection(Hostile((name, "x", facts)))
    with pytest.raises(ValueError, match="nothing is written there"):
        classic.download(conn, "x", str(tmp_path / "target"))
    assert [path.name for path in tmp_path.rglob("*")] == ["target"]


@on_unix
def test_links_in_the_target_do_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "secret").write_bytes(b"mine")
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "target" / "file").symlink_to(tmp_path / "secret")
    with pytest.raises(NotADirectoryError, match="does not follow links"):
        classic.download(
            HostileConnection(Hostile(("folder", "x", FOLDER))), "x", str(tmp_path / "target")
        )
    classic.download(HostileConnection(Hostile(("file", "x", FILE))), "x", str(tmp_path / "target"))
    assert (tmp_path / "secret").read_bytes() == b"mine"
    assert os.listdir(tmp_path / "outside") == []
    assert (tmp_path / "target" / "file").read_bytes() == b"stolen"
    assert stat.S_IMODE((tmp_path / "target" / "file").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    "half",
    [
        Hostile("name"),
        Hostile(("name", "x")),
        Hostile(("name", "x", ("file",))),
        Hostile(("name", "x", ("file", -1, 0, 0, 0))),
        Hostile((b"name", "x", FILE)),
        Hostile(("name", "x", FILE), content=(b"more than was asked for", None)),
        Hostile(("name", "x", FILE), content=("text", None)),
        Hostile(("name", "x", FILE), content=(b"ok", object())),
        Hostile(("name", "x", FILE), content=b"ok"),
    ],
)
def test_malformed_answers(tmp_path: Path, half: Any) -> None:
    with pytest.raises(netobj.ProtocolError):
        classic.download(HostileConnection(half), "x", str(tmp_path / "target"), chunk_size=10)
    assert not (tmp_path / "target" / "name").exists()


def test_directories_without_end(tmp_path: Path) -> None:
    conn = HostileConnection(Hostile(("a", "x", FOLDER)))
    with pytest.raises(ValueError, match="more than 100 directories deep"):
        classic.download(conn, "x", str(tmp_path / "target"))


class EndlessReader(files.Reader):
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def read(self, count: int) -> Any:
        return self.answer

    def state(self) -> tuple[int, int]:
        return 0, 0

    def seek(self, position: int) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize("answer", [b"too much for one chunk", "text", [b"x"], None])
def test_chunks_that_are_none(tmp_path: Path, answer: Any) -> None:
    half = Hostile(("name", "x", FILE), content=(b"0123456789", EndlessReader(answer)))
    with pytest.raises(netobj.ProtocolError, match="something else than a part of a file"):
        classic.download(HostileConnection(half), "x", str(tmp_path / "target"), chunk_size=10)
    assert not (tmp_path / "target" / "name").exists()


# --- packages -----------------------------------------------------------------------------------


def imported_there(code: str, *path: str) -> str:
    """What *code* prints in a process that finds modules in *path* first."""
    return subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {list(path)!r}\n{code}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    folder = tmp_path / "local" / "shipped_package"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("answer = 42\n")
    (folder / "inner" / "__init__.py").write_text("from shipped_package import answer\n")
    (folder / "data.bin").write_bytes(b"\x00\xff")
    monkeypatch.syspath_prepend(str(tmp_path / "local"))
    for name in ("shipped_package", "shipped_package.inner"):
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]
    import_module("shipped_package.inner")
    module = sys.modules["shipped_package"]
    assert (folder / "__pycache__").is_dir() or sys.dont_write_bytecode
    (folder / "__pycache__").mkdir(exist_ok=True)
    return module


def test_upload_package(
    other_process: netobj.Connection, tmp_path: Path, package: ModuleType
) -> None:
    there = tmp_path / "there"
    classic.upload_package(other_process, package, there / "shipped_package")
    assert set(tree(there)) == {
        "shipped_package",
        "shipped_package/__init__.py",
        "shipped_package/data.bin",
        "shipped_package/inner",
        "shipped_package/inner/__init__.py",
    }
    other_process.modules.sys.path.append(str(there))
    assert other_process.modules["shipped_package.inner"].answer == 42


def test_upload_module_is_the_same_and_takes_a_single_file(
    other_process: netobj.Connection, tmp_path: Path
) -> None:
    assert classic.upload_module is classic.upload_package
    classic.upload_module(other_process, textwrap, str(tmp_path / "there"))
    assert os.listdir(tmp_path / "there") == ["textwrap.py"]


def test_upload_package_to_the_default_place(tmp_path: Path, package: ModuleType) -> None:
    conn = classic.MockClassicConnection()

    class Elsewhere:
        @staticmethod
        def get_path(name: str) -> str:
            return str(tmp_path / name)

    conn.modules = {  # type: ignore[assignment]
        name: conn.modules[name] for name in ("os", "os.path", "importlib", "netobj.files")
    } | {"sysconfig": Elsewhere}
    classic.upload_package(conn, package)
    classic.upload_package(conn, sys.modules["shipped_package.inner"])
    classic.upload_package(conn, textwrap)
    code = "import shipped_package.inner as m, textwrap; print(m.answer, textwrap.__file__)"
    found = imported_there(code, str(tmp_path / "purelib"))
    assert found == f"42 {tmp_path / 'purelib' / 'textwrap.py'}\n"


def test_a_module_that_is_in_no_file(conn: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the module sys is in no file"):
        classic.upload_package(conn, sys, str(tmp_path / "there"))


def test_big_files_are_not_read_whole(
    other_process: netobj.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 200 * (1 << 20)
    with open(tmp_path / "big", "wb") as file:
        file.truncate(size)
    asked: list[int] = []
    read = files.Reader.read
    monkeypatch.setattr(
        files.Reader, "read", lambda self, count: asked.append(count) or read(self, count)
    )
    classic.upload(other_process, tmp_path / "big", tmp_path / "copy")
    assert set(asked) == {transfer.CHUNK_SIZE}
    assert (tmp_path / "copy").stat().st_size == size
