"""Files between the two sides of a classic connection, in chunks.

Content is bytes, whatever the systems; permissions (read, write, execute) come along, owners and
times do not. Links are followed, as when one copies by hand: what they lead to is transferred, and
no link is made. In directories, what is neither file nor directory (a fifo, a device, a link that
leads nowhere) is left out, with a warning in the log; asked for by name it is a ``ValueError``.

A file appears under its name only when it is whole. What an interrupted transfer leaves is
``NAME.netobj-part``; with ``resume=True`` the next one compares that with the beginning of the
source (by SHA-256, nothing of it travels again) and goes on behind it; where they differ it begins
anew. Files that are there already with the same content are not sent again.

A listing of the other side's is not trusted: what is written here lies below the path that was
given, and no link that stands there is followed.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, TracebackType
from typing import Any, Final, NamedTuple

from netobj import files
from netobj.core.handle import RemoteObject
from netobj.errors import ConnectionLost, ProtocolError
from netobj.helpers import async_, buffiter

CHUNK_SIZE: Final = 1 << 20
"""Bytes of a file that travel together, if the caller does not say otherwise."""

_AHEAD: Final = 4  # chunks that are under way at a time
_DEEPEST: Final = 100  # directories inside one another
_FACTS: Final = (str, int, int, int, int)

Filter = Callable[[str], object] | None
"""Takes a name in a directory; false: it, and what is in it, is left out."""
Progress = bool | Callable[[int, int], object]
"""True: a bar, if standard output is a terminal. A function: called with the bytes done and all."""

_log = logging.getLogger("netobj")


class _Options(NamedTuple):
    chunk_size: int
    resume: bool
    progress: Progress
    filter: Filter = None


class _Directory(NamedTuple):
    """A step: a directory begins. *parent* is None for the one that was asked for."""

    parent: list[str] | None  # its path on the target, once it is known
    name: str | None
    path: list[str]  # to be filled in


class _File(NamedTuple):
    """A step: a file."""

    parent: list[str]
    name: str | None
    source: str
    size: int
    mode: int


class _End(NamedTuple):
    """A step: a directory is complete."""

    path: list[str]
    mode: int
    inside: bool  # it is not the one that was asked for


_Step = _Directory | _File | _End


class _Transfer:
    """From *source* to *target*; each is :mod:`netobj.files` here or on the other side."""

    def __init__(self, source: Any, target: Any, options: _Options) -> None:
        if options.chunk_size < 1:
            raise ValueError(f"chunk_size is a number of bytes, not {options.chunk_size}")
        self._source = source
        self._target = target
        self._options = options
        self._new: set[str] = set()  # directories that were not there before

    def any(self, path: str, to: str, what: str, ignore_invalid: bool) -> None:
        facts = _facts(self._source.look(path))
        if facts[0] == "directory":
            self._run(self._directory(path, None, to, facts, ()))
        elif facts[0] == "file":
            self._run(iter([_File([to], None, path, *facts[1:3])]))
        elif not ignore_invalid:
            raise ValueError(f"cannot {what} {path!r}: it is {_named(facts[0])}")

    def file(self, path: str, to: str, what: str) -> None:
        facts = _facts(self._source.look(path))
        if facts[0] == "missing":
            raise FileNotFoundError(f"cannot {what} {path!r}: it is missing")
        if facts[0] != "file":
            raise ValueError(f"cannot {what} {path!r}: it is {_named(facts[0])}")
        self._run(iter([_File([to], None, path, *facts[1:3])]))

    def directory(self, path: str, to: str, what: str) -> None:
        facts = _facts(self._source.look(path))
        if facts[0] != "directory":
            raise NotADirectoryError(f"cannot {what} {path!r}: it is {_named(facts[0])}")
        self._run(self._directory(path, None, to, facts, ()))

    # What there is to do

    def _directory(
        self,
        source: str,
        parent: list[str] | None,
        name: str,
        facts: files.Facts,
        above: tuple[tuple[int, int], ...],
    ) -> Iterator[_Step]:
        here = facts[3:]
        if here[1] and here in above:  # a file system may have no such numbers
            _log.warning("%s is left out: it leads back to a directory above it", source)
            return
        if len(above) >= _DEEPEST:
            raise ValueError(f"{source!r} lies more than {_DEEPEST} directories deep")
        path: list[str] = [name] if parent is None else []
        yield _Directory(parent, name, path)
        for entry in buffiter(self._source.entries(source), 100, 1000):
            yield from self._entry(entry, path, (*above, here))
        yield _End(path, facts[2], parent is not None)

    def _entry(
        self, entry: Any, parent: list[str], above: tuple[tuple[int, int], ...]
    ) -> Iterator[_Step]:
        if type(entry) is not tuple or tuple(map(type, entry)) != (str, str, tuple):
            raise ProtocolError("the other side's listing of a directory is malformed")
        name, source, found = entry
        facts = _facts(found)
        if self._options.filter is not None and not self._options.filter(name):
            return
        if facts[0] == "directory":
            yield from self._directory(source, parent, name, facts, above)
        elif facts[0] == "file":
            yield _File(parent, name, source, *facts[1:3])
        else:
            _log.warning("%s is left out: it is %s", source, _named(facts[0]))

    # Doing it

    def _run(self, steps: Iterator[_Step]) -> None:
        total = 0
        if self._options.progress:
            known = list(steps)
            total = sum(step.size for step in known if type(step) is _File)
            steps = iter(known)
        with _shown(self._options.progress, total) as advance:
            for step in steps:
                if type(step) is _File:
                    self._copy(step, advance)
                elif type(step) is _Directory:
                    self._enter(step)
                elif type(step) is _End:
                    self._leave(step)

    def _enter(self, step: _Directory) -> None:
        place = (step.path[0], None) if step.parent is None else (step.parent[0], step.name)
        path, new = self._target.make_directory(*place)
        step.path[:] = [path]
        if new:
            self._new.add(path)

    def _leave(self, step: _End) -> None:
        # One that an interrupted transfer has made may be without its own permissions yet.
        (path,) = step.path
        if path in self._new or (self._options.resume and step.inside):
            self._target.set_mode(path, None, step.mode)

    def _copy(self, step: _File, advance: Callable[[int], object]) -> None:
        folder, name = step.parent[0], step.name
        data, reader = _begun(self._source.begin(step.source, self._options.chunk_size))
        if len(data) > self._options.chunk_size:
            raise ProtocolError(f"the other side sends more of {step.source!r} than was asked for")
        if reader is None:
            self._target.put(folder, name, data, step.mode)
            advance(len(data))
            return
        with _closing(reader):
            if self._options.resume and self._is_there(folder, name, step.size, reader):
                self._target.set_mode(folder, name, step.mode)
                advance(step.size)
                return
            writer = self._target.Writer(folder, name, self._options.resume)
            with _closing(writer):
                self._fill(reader, writer, data, advance)
                writer.finish(step.mode)

    def _is_there(self, folder: str, name: str | None, size: int, reader: Any) -> bool:
        if not self._target.has_size(folder, name, size):
            return False
        digest = reader.digest(size)
        return digest is not None and bool(self._target.is_same(folder, name, size, digest))

    def _fill(
        self, reader: Any, writer: Any, first: bytes, advance: Callable[[int], object]
    ) -> None:
        before = reader.state()
        done = writer.size
        if done and reader.digest(done) == writer.digest(done):
            reader.seek(done)
            writer.start_at(done)
            advance(done)
        else:
            done = 0
            reader.seek(len(first))
            writer.start_at(0)
            writer.write(first)
            advance(len(first))
        self._pump(reader, writer, advance)
        if done and reader.state() != before:
            writer.discard()
            raise OSError(
                "the file was changed while the rest of it was transferred; what was there of it "
                "is removed: begin anew"
            )

    def _pump(self, reader: Any, writer: Any, advance: Callable[[int], object]) -> None:
        read, write = _ahead(reader.read), _ahead(writer.write)
        count = self._options.chunk_size
        reads = deque(read(count) for _ in range(_AHEAD))
        writes: deque[tuple[Any, int]] = deque()

        def confirm() -> None:
            result, size = writes.popleft()
            result.value  # noqa: B018  raises what went wrong
            advance(size)

        while reads:
            data = reads.popleft().value
            if type(data) is not bytes or len(data) > count:
                raise ProtocolError("the other side sends something else than a part of a file")
            if not data:
                break
            reads.append(read(count))
            writes.append((write(data), len(data)))
            if len(writes) >= _AHEAD:
                confirm()
        while writes:
            confirm()


def _facts(found: Any) -> files.Facts:
    if type(found) is not tuple or tuple(map(type, found)) != _FACTS or found[1] < 0:
        raise ProtocolError("the other side's answer about a file is malformed")
    return found


def _named(kind: str) -> str:
    return kind if kind == "missing" else f"a {kind}"


def _begun(answer: Any) -> tuple[bytes, Any]:
    if type(answer) is tuple and len(answer) == 2 and type(answer[0]) is bytes:
        reader = type(answer[1])
        if reader is type(None) or issubclass(reader, (RemoteObject, files.Reader)):
            return answer
    raise ProtocolError("the other side's answer about a file is malformed")


class _Now:
    """What a call of this side returned, as if it had been waited for."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _ahead(function: Callable[..., Any]) -> Callable[..., Any]:
    """Calls of *function*, each a result with a ``value``; remote ones do not wait."""
    if issubclass(type(function), RemoteObject):
        return async_(function)
    return lambda *args: _Now(function(*args))


@contextmanager
def _closing(half: Any) -> Iterator[None]:
    try:
        yield
    finally:
        try:
            _ahead(half.close)().value  # noqa: B018  in the order of the calls that are under way
        except ConnectionLost:
            pass  # it closes itself over there


# --- progress ------------------------------------------------------------------------------------


@contextmanager
def _shown(progress: Progress, total: int) -> Iterator[Callable[[int], object]]:
    """What is called with the number of bytes that went over; shows how far all is."""
    if callable(progress):
        yield _Count(progress, total).advance
    elif progress and sys.stdout.isatty():
        with _Bar(total) as bar:
            yield _Count(bar.show, total).advance
    else:
        yield lambda count: None


class _Count:
    def __init__(self, tell: Callable[[int, int], object], total: int) -> None:
        self._tell = tell
        self._total = total
        self._done = 0

    def advance(self, count: int) -> None:
        self._done += count
        self._tell(self._done, max(self._total, self._done))


class _Bar:
    """plumbum's progress bar, drawn anew with each hundredth."""

    def __init__(self, total: int) -> None:
        from plumbum.cli.progress import ProgressAuto  # slow to import, for those who look only

        kind: Any = ProgressAuto  # makes the one that fits, here or in IPython
        self._bar = kind(length=max(total, 1))
        self._shown = 0

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def show(self, done: int, total: int) -> None:
        hundredths = done * 100 // max(total, 1)
        self._bar.value = min(done, self._bar.length)
        if hundredths != self._shown:
            self._shown = hundredths
            self._bar.display()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if kind is None:
            self._bar.done()
        else:  # the bar stays where it stopped
            sys.stdout.write("\n")
            sys.stdout.flush()


# --- what users call -----------------------------------------------------------------------------


def _path(path: Any) -> str:
    return os.fsdecode(path)


def _up(conn: Any, options: _Options) -> _Transfer:
    return _Transfer(files, conn.modules["netobj.files"], options)


def _down(conn: Any, options: _Options) -> _Transfer:
    return _Transfer(conn.modules["netobj.files"], files, options)


def upload(
    conn: Any,
    localpath: Any,
    remotepath: Any,
    filter: Filter = None,
    ignore_invalid: bool = False,
    chunk_size: int = CHUNK_SIZE,
    *,
    resume: bool = False,
    progress: Progress = False,
) -> None:
    """Copy the file or directory *localpath* to *remotepath* on the other side of *conn*.

    In directories *filter*, a function of the name, chooses what goes along. *chunk_size*: bytes
    that travel together; a few chunks are in memory at a time. *resume*: go on where an interrupted
    transfer stopped. *progress*: True for a bar on a terminal, or a function that is called with
    the bytes done and the bytes in all. Raises ``ValueError`` for what is neither file nor
    directory (unless *ignore_invalid*), ``OSError`` for what either system does not do.

    >>> import netobj, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, netobj.classic.connect_thread() as conn:
    ...     os.mkdir(os.path.join(folder, "here"))
    ...     os.mkdir(os.path.join(folder, "here", "empty"))
    ...     upload(conn, os.path.join(folder, "here"), os.path.join(folder, "there"))
    ...     os.listdir(os.path.join(folder, "there"))
    ['empty']
    """
    options = _Options(chunk_size, resume, progress, filter)
    _up(conn, options).any(_path(localpath), _path(remotepath), "upload", ignore_invalid)


def upload_file(
    conn: Any,
    localpath: Any,
    remotepath: Any,
    chunk_size: int = CHUNK_SIZE,
    *,
    resume: bool = False,
    progress: Progress = False,
) -> None:
    """Copy one file to the other side; see :func:`upload`."""
    options = _Options(chunk_size, resume, progress)
    _up(conn, options).file(_path(localpath), _path(remotepath), "upload")


def upload_dir(
    conn: Any,
    localpath: Any,
    remotepath: Any,
    filter: Filter = None,
    chunk_size: int = CHUNK_SIZE,
    *,
    resume: bool = False,
    progress: Progress = False,
) -> None:
    """Copy what is in a directory to one on the other side; see :func:`upload`."""
    options = _Options(chunk_size, resume, progress, filter)
    _up(conn, options).directory(_path(localpath), _path(remotepath), "upload")


def download(
    conn: Any,
    remotepath: Any,
    localpath: Any,
    filter: Filter = None,
    ignore_invalid: bool = False,
    chunk_size: int = CHUNK_SIZE,
    *,
    resume: bool = False,
    progress: Progress = False,
) -> None:
    """Copy the file or directory *remotepath* of the other side of *conn* to *localpath*.

    As :func:`upload`, the other way round. The other side decides what comes, but not where to: all
    of it lies at or below *localpath*. Raises ``ValueError`` for a name in its listing that leads
    elsewhere, and ``NotADirectoryError`` where a link stands in the place of a directory.
    """
    options = _Options(chunk_size, resume, progress, filter)
    _down(conn, options).any(_path(remotepath), _path(localpath), "download", ignore_invalid)


def download_file(
    conn: Any,
    remotepath: Any,
    localpath: Any,
    chunk_size: int = CHUNK_SIZE,
    *,
    resume: bool = False,
    progress: Progress = False,
) -> None:
    """Copy one file of the other side to here; see :func:`download`."""
    options = _Options(chunk_size, resume, progress)
    _down(conn, options).file(_path(remotepath), _path(localpath), "download")


def download_dir(
    conn: Any,
    remotepath: Any,
    localpath: Any,
    filter: Filter = None,
    chunk_size: int = CHUNK_SIZE,
    *,
    resume: bool = False,
    progress: Progress = False,
) -> None:
    """Copy what is in a directory of the other side to one here; see :func:`download`."""
    options = _Options(chunk_size, resume, progress, filter)
    _down(conn, options).directory(_path(remotepath), _path(localpath), "download")


def upload_package(
    conn: Any,
    module: ModuleType,
    remotepath: Any = None,
    chunk_size: int = CHUNK_SIZE,
    *,
    resume: bool = False,
    progress: Progress = False,
) -> None:
    """Copy the package or module *module* to the other side, where it can be imported then.

    *remotepath*: the directory that becomes the package, or that the module's file is put into; by
    default its place in the other side's ``site-packages``. Compiled files (``__pycache__``) stay
    here. Raises ``ValueError`` for a module that is in no file.
    """
    folders = getattr(module, "__path__", None)
    if remotepath is None:
        *parents, last = module.__name__.split(".")
        below = parents if folders is None else [*parents, last]
        site = conn.modules["sysconfig"].get_path("purelib")
        remotepath = conn.modules["os.path"].join(site, *below)
    options = _Options(chunk_size, resume, progress, lambda name: not _is_compiled(name))
    transfer, target = _up(conn, options), _path(remotepath)
    if folders is None:
        file = _file_of(module)
        conn.modules["os"].makedirs(target, exist_ok=True)
        transfer.file(file, conn.modules["os.path"].join(target, os.path.basename(file)), "upload")
    else:
        for folder in folders:
            transfer.directory(folder, target, "upload")
    conn.modules["importlib"].invalidate_caches()


upload_module = upload_package


def _is_compiled(name: str) -> bool:
    return name == "__pycache__" or name.endswith((".pyc", ".pyo"))


def _file_of(module: ModuleType) -> str:
    found = getattr(module, "__file__", None)
    if found is None or not os.path.isfile(found):
        raise ValueError(f"the module {module.__name__} is in no file, so it cannot be uploaded")
    return os.path.abspath(str(found))


__all__ = [
    "CHUNK_SIZE",
    "download",
    "download_dir",
    "download_file",
    "upload",
    "upload_dir",
    "upload_file",
    "upload_module",
    "upload_package",
]
