"""Files of this machine, for a transfer whose other end may be on another one.

:mod:`netobj.transfer` uses this module twice: as it is, and as ``conn.modules["netobj.files"]``,
the same functions on the other side. What they take and give are plain values and bytes, and paths
are made by this machine's ``os.path``, so the two may be of different systems.

A file is written under another name beside its place, ``NAME.netobj-part``, and moved there when it
is whole. An interrupted transfer leaves that other file; the next one may go on with it.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, Final, NamedTuple

PART: Final = ".netobj-part"
_MODE: Final = 0o777  # no set-user-id and its kin
_BLOCK: Final = 1 << 20  # bytes that are hashed at once
_LONGEST: Final = 255  # bytes of a name, on most file systems
_BINARY: Final = getattr(os, "O_BINARY", 0)
_DEVICE: Final = re.compile(  # of Windows, in every directory and with any ending
    r"(?i:con|prn|aux|nul|conin\$|conout\$|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])"
    r" *(?:[.:].*)?",
    re.DOTALL,
)
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)

Facts = tuple[str, int, int, int, int]
"""What :func:`look` tells: kind, size in bytes, mode, and two numbers that name a directory.

The kind is "file", "directory", "missing", or the word for what is none of these ("fifo").
"""

_KINDS: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def look(path: str) -> Facts:
    """What is at *path*, or at the end of the links that are there.

    >>> look(os.devnull)[0], look("/no/such/file")[0]
    ('device', 'missing')
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return "missing", 0, 0, 0, 0
    kind = _KINDS.get(stat.S_IFMT(found.st_mode), "special file")
    return kind, found.st_size, stat.S_IMODE(found.st_mode) & _MODE, found.st_dev, found.st_ino


def entries(path: str) -> Iterator[tuple[str, str, Facts]]:
    """Of each name in the directory *path*, in order: the name, its path, and what is there.

    A link that leads nowhere, or to itself, is "missing".
    """
    for name in sorted(os.listdir(path)):
        full = os.path.join(path, name)
        try:
            yield name, full, look(full)
        except OSError:
            yield name, full, ("missing", 0, 0, 0, 0)


def child(folder: str, name: object) -> str:
    """The path of *name* in *folder*, and nowhere else; raises ``ValueError`` for other names.

    >>> child("/srv/files", "../passwd")
    Traceback (most recent call last):
      ...
    ValueError: '../passwd' is no name of a file in a directory: nothing is written there
    """
    if type(name) is not str or not is_plain_name(name, os.name == "nt"):
        raise ValueError(f"{name!r} is no name of a file in a directory: nothing is written there")
    return os.path.join(folder, name)


def is_plain_name(name: str, windows: bool) -> bool:
    """True if *name* is one step down from a directory, and nothing else.

    >>> is_plain_name("a..b", False), is_plain_name("..", False), is_plain_name("/etc", False)
    (True, False, False)
    >>> is_plain_name("C:x", True), is_plain_name("a\\\\b", True), is_plain_name("NUL", True)
    (False, False, False)
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        return False
    if not windows:
        return True
    return not (set(name) & set('\\:*?"<>|') or name[-1] in ". " or _DEVICE.fullmatch(name))


def _at(folder: str, name: str | None) -> str:
    return folder if name is None else child(folder, name)


def make_directory(folder: str, name: str | None) -> tuple[str, bool]:
    """Make *name* in *folder* a directory; its path, and whether it is new.

    No *name*: *folder* itself is meant, and those above it are made, too. With a name, a link is
    not followed: it could lead out of the target. Raises ``NotADirectoryError`` for one.
    """
    path = _at(folder, name)
    if name is None:
        known = os.path.isdir(path)
        os.makedirs(path, exist_ok=True)
        return path, not known
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if _is_link(path) or not os.path.isdir(path):
            raise NotADirectoryError(
                f"{path!r} is there already, and is a link or no directory: a transfer does not "
                "follow links out of its target; remove it first"
            ) from None
        return path, False
    return path, True


def _is_link(path: str) -> bool:
    return os.path.islink(path) or getattr(os.path, "isjunction", os.path.islink)(path)


def set_mode(folder: str, name: str | None, mode: int) -> None:
    """Give what is there the permissions in *mode*."""
    os.chmod(_at(folder, name), mode & _MODE)


def has_size(folder: str, name: str | None, size: int) -> bool:
    """True if a file of *size* bytes is there already; a link with a *name* is none."""
    path = _at(folder, name)
    return look(path)[:2] == ("file", size) and (name is None or not _is_link(path))


def is_same(folder: str, name: str | None, size: int, digest: str) -> bool:
    """True if a file of *size* bytes with that digest (see :meth:`Reader.digest`) is there."""
    if not has_size(folder, name, size):
        return False
    with open(_at(folder, name), "rb") as file:
        return _digest(file, size) == digest


def _digest(file: BinaryIO, count: int) -> str | None:
    """The SHA-256 of the first *count* bytes, in hexadecimal; None where there are fewer."""
    file.seek(0)
    found = hashlib.sha256()
    while count > 0:
        data = file.read(min(_BLOCK, count))
        if not data:
            return None
        found.update(data)
        count -= len(data)
    return found.hexdigest()


class Reader:
    """A file that is being read; closed when nobody holds it any more."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")  # noqa: SIM115

    def read(self, count: int) -> bytes:
        """The next *count* bytes, fewer at the end."""
        return self._file.read(count)

    def seek(self, position: int) -> None:
        """Go on at byte *position*."""
        self._file.seek(position)

    def digest(self, count: int) -> str | None:
        """The SHA-256 of the first *count* bytes, in hexadecimal; None where there are fewer."""
        return _digest(self._file, count)

    def state(self) -> tuple[int, int]:
        """Size in bytes and time of the last change: others where the file was changed."""
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns

    def close(self) -> None:
        self._file.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):  # it could be opened
            self._file.close()


def begin(path: str, count: int) -> tuple[bytes, Reader | None]:
    """The first *count* bytes of the file *path*, and its reader if there may be more."""
    reader = Reader(path)
    data = reader.read(count)
    if len(data) < count:
        reader.close()
        return data, None
    return data, reader


class _Place(NamedTuple):
    """Where a file goes."""

    path: str
    part: str  # where it is written; the path itself, if that is no ordinary file


def _place(folder: str, name: str | None) -> _Place:
    path = _at(folder, name)
    if name is None:
        path = os.path.realpath(path)
        kind = look(path)[0]
        if kind == "directory":
            raise IsADirectoryError(f"{path!r} is a directory: say which file in it to write")
        if kind not in ("file", "missing"):
            return _Place(path, path)
    elif os.path.isdir(path) and not _is_link(path):
        raise IsADirectoryError(f"{path!r} is a directory, and a file is to take its place")
    above, last = os.path.split(path)
    if len(os.fsencode(last + PART)) > _LONGEST:
        last = hashlib.sha256(os.fsencode(last)).hexdigest()[:32]
    return _Place(path, os.path.join(above, last + PART))


class Writer:
    """A file that is being written, beside its place, *name* in *folder*.

    A link in its place is replaced. No *name*: *folder* is the path, and a link is followed, as
    ``open`` does. *resume*: what an earlier transfer has left is kept, see ``size``. Dropped
    without :meth:`finish` it leaves its part for another time.
    """

    def __init__(self, folder: str, name: str | None, resume: bool) -> None:
        self._place = _place(folder, name)
        self._file = _open_part(self._place, resume)
        self.size = os.fstat(self._file.fileno()).st_size if resume else 0

    def digest(self, count: int) -> str | None:
        """The SHA-256 of the first *count* bytes that are there already."""
        return _digest(self._file, count)

    def start_at(self, position: int) -> None:
        """Write on at byte *position*; what is behind it is dropped."""
        self._file.seek(position)
        if self._is_ordinary():
            self._file.truncate()

    def write(self, data: bytes) -> None:
        """Append *data*."""
        self._file.write(data)

    def finish(self, mode: int) -> None:
        """All was written: move it to its place, with the permissions in *mode*."""
        path, part = self._place
        if not self._is_ordinary():
            self._file.close()
            return
        self._file.flush()
        if not os.path.samestat(os.fstat(self._file.fileno()), os.lstat(part)):
            raise FileExistsError(
                f"another transfer writes {path!r}, too: this one has not changed it"
            )
        self._file.close()
        os.chmod(part, mode & _MODE)
        os.replace(part, path)

    def close(self) -> None:
        """Stop here; what was written stays for a transfer that goes on."""
        self._file.close()

    def discard(self) -> None:
        """Stop here, and leave nothing."""
        self._file.close()
        if self._is_ordinary():
            with suppress(FileNotFoundError):
                os.unlink(self._place.part)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def _is_ordinary(self) -> bool:
        return self._place.part != self._place.path


def _open_part(place: _Place, resume: bool) -> BinaryIO:
    if place.part == place.path:
        return open(place.path, "wb")
    if not resume:
        with suppress(FileNotFoundError):
            os.unlink(place.part)
    flags = os.O_RDWR | os.O_CREAT | _BINARY | _NO_FOLLOW | (0 if resume else os.O_EXCL)
    fd = os.open(place.part, flags, 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileExistsError(f"{place.part!r} is in the way, and is no file: remove it first")
    return os.fdopen(fd, "r+b")


def put(folder: str, name: str | None, data: bytes, mode: int) -> None:
    """Write the whole of a file, as :class:`Writer` does."""
    writer = Writer(folder, name, False)
    try:
        writer.write(data)
        writer.finish(mode)
    finally:
        writer.close()


__all__ = [
    "PART",
    "Facts",
    "Reader",
    "Writer",
    "begin",
    "child",
    "entries",
    "has_size",
    "is_plain_name",
    "is_same",
    "look",
    "make_directory",
    "put",
    "set_mode",
]
