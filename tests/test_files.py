"""What one side of a transfer does with its own files."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from netobj import files

on_unix = pytest.mark.skipif(sys.platform == "win32", reason="needs links and permissions of Unix")


def test_look(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "file").chmod(0o640)
    assert files.look(str(tmp_path / "file"))[:2] == ("file", 3)
    assert files.look(str(tmp_path))[0] == "directory"
    assert files.look(str(tmp_path / "file" / "below"))[0] == "missing"


@on_unix
def test_look_follows_links_and_names_what_is_special(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "nowhere").symlink_to("no-such-file")
    (tmp_path / "self").symlink_to("self")
    assert files.look(str(tmp_path / "link")) == files.look(str(tmp_path))
    found = {name: facts[0] for name, _, facts in files.entries(str(tmp_path))}
    assert found == {
        "link": "directory",
        "nowhere": "missing",
        "pipe": "fifo",
        "self": "missing",
    }


@on_unix
def test_modes_are_permissions_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "file").chmod(0o4755)
    assert files.look(str(tmp_path / "file"))[2] == 0o755
    files.put(str(tmp_path), "put", b"x", 0o7751)
    assert stat.S_IMODE((tmp_path / "put").stat().st_mode) == 0o751


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/etc/passwd", "../x", "nul\0", 7, None, b"bytes", ("a",)]
)
def test_names_that_lead_elsewhere(name: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no name of a file"):
        files.child(str(tmp_path), name)


@pytest.mark.parametrize("name", ["..\\x", "C:x", "C:\\x", "a:stream", "NUL", "aux.txt", "end. "])
def test_names_that_lead_elsewhere_on_windows(name: str) -> None:
    assert not files.is_plain_name(name, windows=True)
    assert files.is_plain_name(name, windows=False)


@pytest.mark.parametrize("name", ["a", "...", ".hidden", "a b", "é", "a..b"])
def test_plain_names(name: str) -> None:
    assert files.is_plain_name(name, windows=False)
    assert files.child("folder", name) == os.path.join("folder", name)


class TestMakeDirectory:
    def test_the_one_that_was_asked_for(self, tmp_path: Path) -> None:
        path = str(tmp_path / "a" / "b")
        assert files.make_directory(path, None) == (path, True)
        assert files.make_directory(path, None) == (path, False)

    def test_inside(self, tmp_path: Path) -> None:
        path = str(tmp_path / "a")
        assert files.make_directory(str(tmp_path), "a") == (path, True)
        assert files.make_directory(str(tmp_path), "a") == (path, False)

    @on_unix
    def test_inside_no_link_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        (tmp_path / "target").mkdir()
        (tmp_path / "target" / "a").symlink_to(tmp_path / "outside")
        with pytest.raises(NotADirectoryError, match="does not follow links"):
            files.make_directory(str(tmp_path / "target"), "a")

    def test_inside_a_file_is_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"")
        with pytest.raises(NotADirectoryError, match="no directory"):
            files.make_directory(str(tmp_path), "a")


class TestReader:
    def test_reading(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"0123456789")
        data, reader = files.begin(str(path), 4)
        assert data == b"0123"
        assert reader is not None
        assert (reader.read(4), reader.read(4), reader.read(4)) == (b"4567", b"89", b"")
        assert reader.digest(11) is None
        assert reader.digest(4) == files.Reader(str(path)).digest(4)
        reader.seek(9)
        assert reader.read(5) == b"9"
        assert reader.state()[0] == 10
        reader.close()

    def test_a_short_file_needs_no_reader(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"0123")
        assert files.begin(str(tmp_path / "file"), 5) == (b"0123", None)


class TestWriter:
    def test_a_file_appears_when_it_is_whole(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"old")
        writer = files.Writer(str(tmp_path), "file", resume=False)
        writer.write(b"new")
        assert (tmp_path / "file").read_bytes() == b"old"
        writer.finish(0o600)
        assert (tmp_path / "file").read_bytes() == b"new"
        assert os.listdir(tmp_path) == ["file"]

    def test_what_is_left_and_what_is_discarded(self, tmp_path: Path) -> None:
        writer = files.Writer(str(tmp_path), "file", resume=False)
        writer.write(b"abc")
        writer.close()
        assert (tmp_path / f"file{files.PART}").read_bytes() == b"abc"
        again = files.Writer(str(tmp_path), "file", resume=True)
        assert again.size == 3
        again.start_at(2)
        again.write(b"d")
        again.finish(0o600)
        assert (tmp_path / "file").read_bytes() == b"abd"
        third = files.Writer(str(tmp_path), "other", resume=False)
        third.discard()
        assert os.listdir(tmp_path) == ["file"]

    def test_a_name_as_long_as_can_be(self, tmp_path: Path) -> None:
        name = "x" * 255
        files.put(str(tmp_path), name, b"abc", 0o600)
        assert os.listdir(tmp_path) == [name]

    def test_two_that_write_the_same_file(self, tmp_path: Path) -> None:
        first = files.Writer(str(tmp_path), "file", resume=False)
        first.write(b"first")
        second = files.Writer(str(tmp_path), "file", resume=False)
        second.write(b"second")
        with pytest.raises(FileExistsError, match="another transfer"):
            first.finish(0o600)
        second.finish(0o600)
        first.close()
        assert (tmp_path / "file").read_bytes() == b"second"

    def test_a_directory_in_the_place(self, tmp_path: Path) -> None:
        (tmp_path / "file").mkdir()
        for place in ((str(tmp_path), "file"), (str(tmp_path / "file"), None)):
            with pytest.raises(IsADirectoryError):
                files.Writer(*place, resume=False)

    @on_unix
    def test_a_link_that_was_asked_for_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real").write_bytes(b"old")
        (tmp_path / "link").symlink_to("real")
        files.put(str(tmp_path / "link"), None, b"new", 0o600)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real").read_bytes() == b"new"

    @on_unix
    def test_inside_a_link_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "real").write_bytes(b"old")
        (tmp_path / "link").symlink_to("real")
        assert not files.has_size(str(tmp_path), "link", 3)
        files.put(str(tmp_path), "link", b"new", 0o600)
        assert not (tmp_path / "link").is_symlink()
        assert (tmp_path / "real").read_bytes() == b"old"

    @on_unix
    def test_a_link_in_the_place_of_the_part_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real").write_bytes(b"old")
        (tmp_path / f"file{files.PART}").symlink_to("real")
        with pytest.raises(OSError):  # noqa: PT011
            files.Writer(str(tmp_path), "file", resume=True)
        files.put(str(tmp_path), "file", b"new", 0o600)
        assert (tmp_path / "real").read_bytes() == b"old"

    @on_unix
    def test_a_device_is_written_as_it_is(self) -> None:
        files.put(os.devnull, None, b"gone", 0o600)
        assert files.look(os.devnull)[0] == "device"
