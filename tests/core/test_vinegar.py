"""Exceptions <-> tables; the wire is simulated by handing the dumped tuples to the loader."""

from __future__ import annotations

import asyncio
import builtins
import logging
import os
import subprocess
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netobj import errors
from netobj.core import vinegar, vinegar_classes
from netobj.core.config import Config
from netobj.core.vinegar import Dumper, Loader
from netobj.core.vinegar_table import MAX_NODES, MAX_NOTES, Node, RemoteTraceback
from netobj.errors import GenericException, ProtocolError, RemoteBaseException

ExceptionGroup: Any = getattr(builtins, "ExceptionGroup", None)
BaseExceptionGroup: Any = getattr(builtins, "BaseExceptionGroup", None)
QUIET = Config(log_exceptions=False)
needs_groups = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="exception groups and notes came with Python 3.11"
)


class Peer:
    """One side of a connection: it keeps what it dumps and knows what came from the other."""

    def __init__(self, config: Config = QUIET, side: str = "here") -> None:
        self.kept: dict[int, BaseException] = {}
        self.foreign: list[tuple[BaseException, int]] = []
        self.dumper = Dumper(config, self._remember, self._origin)
        self.loader = Loader(config, self.kept.get, self._came_from, side)

    def _remember(self, exc: BaseException) -> int:
        self.kept[len(self.kept) + 1] = exc
        return len(self.kept)

    def _origin(self, exc: BaseException) -> int | None:
        return next((number for known, number in self.foreign if known is exc), None)

    def _came_from(self, exc: BaseException, number: int) -> None:
        self.foreign.append((exc, number))


def trip(exc: BaseException, here: Config = QUIET, there: Config = QUIET) -> Any:
    return Peer(there).loader.load(Peer(here).dumper.dump(exc))


def node_of(exc: BaseException, config: Config = QUIET) -> Node:
    return Node(*Peer(config).dumper.dump(exc)[-1])


def caught(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as exc:
        return exc
    raise AssertionError("nothing was raised")


def node(**changes: Any) -> tuple[Any, ...]:
    return tuple(node_of(ValueError("x"))._replace(**changes))


def chain(exc: BaseException, link: str = "__context__") -> Iterator[BaseException]:
    found: BaseException | None = exc
    while found is not None:
        yield found
        found = getattr(found, link)


# ------------------------------------------------------------------ builtin classes

SPECIAL_ARGS: dict[str, tuple[Any, ...]] = {
    "UnicodeDecodeError": ("utf-8", b"ab\xff", 2, 3, "bad byte"),
    "UnicodeEncodeError": ("ascii", "ab\xff", 2, 3, "bad letter"),
    "UnicodeTranslateError": ("ab\xff", 2, 3, "bad letter"),
    "SyntaxError": ("invalid", ("file.py", 3, 4, "a b", 3, 6)),
    "IndentationError": ("unexpected", ("file.py", 3, 4, "a b")),
    "TabError": ("tabs", ("file.py", 3, 4, "a b")),
    "_IncompleteInputError": ("more", ("file.py", 3, 4, "a b")),
    "BlockingIOError": (11, "busy", 5),
}
PLAIN_CLASSES = sorted(
    {
        cls
        for cls in vars(builtins).values()
        if isinstance(cls, type) and issubclass(cls, Exception) and "Group" not in cls.__name__
    },
    key=lambda cls: cls.__name__,
)


@pytest.mark.parametrize("cls", PLAIN_CLASSES)
def test_builtin_class_comes_through(cls: type[Exception]) -> None:
    exc = cls(*SPECIAL_ARGS.get(cls.__name__, ("a", 1)))
    loaded = trip(exc)
    assert type(loaded) is type(exc)
    assert loaded.args == exc.args
    assert str(loaded) == str(exc)
    for name in vinegar_classes.native_fields(cls):
        assert getattr(loaded, name, "unset") == getattr(exc, name, "unset")


@pytest.mark.parametrize("cls", PLAIN_CLASSES)
def test_builtin_class_without_args(cls: type[Exception]) -> None:
    exc = cls.__new__(cls)
    loaded = trip(exc)
    assert type(loaded) is cls
    assert loaded.args == ()
    assert str(loaded) == str(exc)


def test_fields_of_os_errors() -> None:
    exc = caught(lambda: os.stat("/does/not/exist"))
    loaded = trip(exc)
    assert type(loaded) is FileNotFoundError
    assert (loaded.errno, loaded.filename) == (exc.errno, "/does/not/exist")  # type: ignore[attr-defined]
    assert str(loaded) == str(exc)
    assert trip(OSError(1, "a", "from", None, "to")).filename2 == "to"


def test_fields_set_after_the_fact() -> None:
    exc = OSError()
    exc.errno, exc.strerror = 2, "gone"
    assert str(trip(exc)) == "[Errno 2] gone"
    assert type(trip(exc)) is OSError


def test_import_and_name_errors() -> None:
    loaded = trip(ModuleNotFoundError("no shop", name="shop", path="/p"))
    assert (loaded.msg, loaded.name, loaded.path) == ("no shop", "shop", "/p")
    assert trip(caught(lambda: undefined_name)).name == "undefined_name"  # type: ignore[name-defined] # noqa: F821


def test_object_of_an_attribute_error_stays_at_home() -> None:
    dumped = node_of(caught(lambda: [].nothing))  # type: ignore[attr-defined]
    assert dumped.attributes == (("name", "nothing"),)
    assert trip(caught(lambda: [].nothing)).obj is None  # type: ignore[attr-defined]


def test_own_errors_are_themselves() -> None:
    for name in errors.__all__:
        cls = getattr(errors, name)
        loaded = trip(cls("why"))
        assert loaded.args == ("why",)
        if name != "RemoteBaseException":
            assert type(loaded) is cls


def test_args_and_attributes_stay_the_objects_they_are() -> None:
    thing = object()
    exc = ValueError(thing, [1])
    exc.hint, exc._private = thing, 1  # type: ignore[attr-defined]
    dumped = node_of(exc)
    assert dumped.args[0] is thing
    assert dict(dumped.attributes) == {"hint": thing}
    loaded = trip(exc)
    assert loaded.hint is thing
    assert loaded.args[1] is exc.args[1]
    assert not hasattr(loaded, "_private")


# ------------------------------------------------------------------ notes, chains, groups


def test_notes() -> None:
    exc = ValueError("x")
    exc.__notes__ = ["one", 2, *map(str, range(200))]  # type: ignore[attr-defined]
    notes = trip(exc).__notes__
    assert notes[:3] == ["one", "2", "0"]
    assert len(notes) == MAX_NOTES
    assert not hasattr(trip(ValueError()), "__notes__")


def test_cause_context_and_suppress() -> None:
    def raise_all() -> None:
        try:
            try:
                raise KeyError("first")
            except KeyError:
                raise OSError("second")  # noqa: B904
        except OSError as second:
            raise ValueError("third") from second

    loaded = trip(caught(raise_all))
    assert isinstance(loaded.__cause__, OSError)
    assert loaded.__cause__ is loaded.__context__, "sent once, one object again"
    assert loaded.__suppress_context__
    assert loaded.__cause__.__cause__ is None
    assert loaded.__cause__.__context__.args == ("first",)
    assert not loaded.__cause__.__suppress_context__


def test_from_none() -> None:
    exc = ValueError()
    exc.__context__, exc.__suppress_context__ = KeyError(), True
    loaded = trip(exc)
    assert loaded.__cause__ is None
    assert loaded.__suppress_context__
    assert loaded.__context__ is None  # whoever wrote "from None" did not mean it to be told
    loaded = trip(exc, Config(include_local_traceback=True))
    assert type(loaded.__context__) is KeyError


def test_cycles_are_cut() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    loaded = trip(first)
    assert [e.args[0] for e in chain(loaded, "__cause__")] == ["first", "second"]


def test_long_chains_are_cut() -> None:
    exc = ValueError(0)
    for number in range(1, 100):
        outer = ValueError(number)
        outer.__context__ = exc
        exc = outer
    numbers = [e.args[0] for e in chain(trip(exc))]
    assert numbers == list(range(99, 99 - vinegar.MAX_DEPTH, -1))


@needs_groups
def test_wide_trees_are_cut() -> None:
    group = ExceptionGroup("wide", [ValueError(n) for n in range(1000)])
    assert len(Peer().dumper.dump(group)) == MAX_NODES
    assert len(trip(group).exceptions) == MAX_NODES - 1


@needs_groups
def test_groups() -> None:
    inner = ExceptionGroup("inner", [KeyError("k")])
    loaded = trip(ExceptionGroup("outer", [ValueError(1), inner]))
    assert type(loaded) is ExceptionGroup
    assert loaded.message == "outer"
    assert str(loaded) == "outer (2 sub-exceptions)"
    assert loaded.exceptions[0].args == (1,)
    assert type(loaded.exceptions[1]) is ExceptionGroup
    assert loaded.exceptions[1].exceptions[0].args == ("k",)
    match, rest = loaded.split(KeyError)
    assert match is not None
    assert rest is not None


@needs_groups
def test_base_group_becomes_a_group_of_wrapped_ones() -> None:
    loaded = trip(BaseExceptionGroup("stop", [KeyboardInterrupt(), ValueError()]))
    assert type(loaded) is ExceptionGroup
    assert isinstance(loaded.exceptions[0], RemoteBaseException)
    assert type(loaded.exceptions[1]) is ValueError


@needs_groups
def test_base_group_that_holds_a_homecomer() -> None:
    there, here = Peer(), Peer()
    interrupt = KeyboardInterrupt()
    foreign = here.loader.load(there.dumper.dump(interrupt))
    group = BaseExceptionGroup("stop", [foreign])
    loaded = there.loader.load(here.dumper.dump(group))
    assert type(loaded) is BaseExceptionGroup
    assert loaded.exceptions == (interrupt,)
    assert loaded.exceptions[0] is interrupt


@needs_groups
@pytest.mark.parametrize("config", [QUIET, QUIET._replace(instantiate_custom_exceptions=True)])
def test_subclass_of_a_group(config: Config, shop: types.ModuleType) -> None:
    class Failures(ExceptionGroup):
        code = 0

    Failures.__module__, Failures.__qualname__ = "shop", "Failures"
    shop.Failures = Failures  # type: ignore[attr-defined]
    exc = Failures("many", [ValueError(1)])
    exc.code = 5
    loaded = trip(exc, there=config)
    assert isinstance(loaded, ExceptionGroup)
    assert loaded.code == 5
    assert type(loaded).__qualname__ == "Failures"
    assert (type(loaded) is Failures) is config.instantiate_custom_exceptions
    assert isinstance(loaded, GenericException) is not config.instantiate_custom_exceptions
    assert loaded.exceptions[0].args == (1,)
    assert str(loaded) == "many (1 sub-exception)"


def test_members_of_what_is_no_group_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vinegar, "GROUP", None)
    monkeypatch.setattr(vinegar_classes, "GROUP", None)
    table = (
        node(),
        node(module="exceptiongroup", qualname="ExceptionGroup", bases=(), members=(0,)),
    )
    loaded: Any = Peer().loader.load(table)
    assert isinstance(loaded, GenericException)
    assert type(loaded).__name__ == "ExceptionGroup"
    assert [type(e) for e in loaded.exceptions] == [ValueError]


def test_backported_group(monkeypatch: pytest.MonkeyPatch) -> None:
    class ExceptionGroup(Exception):
        message = "many"
        exceptions = (ValueError(1),)

    ExceptionGroup.__module__ = "exceptiongroup"
    monkeypatch.setattr(vinegar, "GROUP", None)
    monkeypatch.setattr(vinegar_classes, "GROUP", None)
    loaded = trip(ExceptionGroup("many", ["members"]))
    assert loaded.args == ("many",)
    assert loaded.exceptions[0].args == (1,)


# ------------------------------------------------------------------ strange exceptions


class Broken(Exception):
    def __str__(self) -> str:
        raise SystemExit(1)

    __repr__ = __str__


class Weird(Exception):
    args = 5  # type: ignore[assignment]
    errno = property(lambda self: 1 / 0)
    __class__ = property(lambda self: 1 / 0)
    __dict__ = property(lambda self: 1 / 0)
    __cause__ = property(lambda self: 1 / 0)
    __context__ = 3  # type: ignore[assignment]

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class WeirdMeta(type):
    __module__ = property(lambda self: 1 / 0)

    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError

    def __hash__(cls) -> int:
        raise RuntimeError


def test_broken_str_is_said_to_be_so() -> None:
    loaded = trip(Broken("x"))
    assert str(loaded) == "<str() of this Broken raised SystemExit>"
    assert loaded.args == ("x",)


def test_a_str_that_interrupts_is_broken_too() -> None:
    class Interrupts(Exception):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    loaded = trip(Interrupts("x"))
    assert str(loaded).endswith("Interrupts raised KeyboardInterrupt>")


@pytest.mark.parametrize("config", [Config(), Config(include_local_traceback=True)])
def test_nothing_strange_makes_dump_raise(config: Config) -> None:
    weird = Weird("x", 1)
    loaded = trip(weird, here=config)
    assert isinstance(loaded, GenericException)
    assert loaded.args == ("x", 1)
    meta = WeirdMeta("Meta", (OSError,), {"__module__": 7})
    assert isinstance(trip(meta(2, "gone"), here=config), OSError)
    for notes in (7, None, [Broken()], {"a": 1}):
        exc = ValueError()
        exc.__notes__ = notes  # type: ignore[attr-defined]
        assert type(trip(exc, here=config)) is ValueError
    exc = ValueError()
    vars(exc)[3] = vars(exc)[type("S", (str,), {})("sub")] = 1  # type: ignore[index]
    assert node_of(exc, config).attributes == ()


def test_names_that_no_table_may_hold() -> None:
    cls = type("n" * 5000, (Exception,), {"__module__": "a\0b"})
    dumped = node_of(cls())
    assert dumped.module == "?"
    assert len(dumped.qualname) == 1000
    assert isinstance(trip(cls()), GenericException)


def test_huge_texts_are_cut() -> None:
    dumped = node_of(ValueError("x" * 10_000_000))
    assert len(dumped.text) <= vinegar.TEXT_SHARE
    assert "... cut ..." in dumped.text
    assert len(dumped.args[0]) == 10_000_000


def test_text_of_a_whole_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vinegar, "TEXT_ROOM", 1000)
    exc = ValueError("x" * 5000)
    for _ in range(20):
        outer = ValueError("x" * 5000)
        outer.__context__ = exc
        exc = outer
    texts = [Node(*values).text for values in Peer().dumper.dump(exc)]
    assert sum(map(len, texts)) < 2000


# ------------------------------------------------------------------ classes


@pytest.fixture
def shop() -> Iterator[types.ModuleType]:
    """An imported module "shop" with some exception classes."""
    module = types.ModuleType("shop")
    source = """
class SoldOut(LookupError):
    def __new__(cls, *args):
        raise AssertionError("no code of the class runs")
    __init__ = __setattr__ = __new__
    limit = None
    def retry(self): return "method"
    code = property(lambda self: "property")
    class Inner(OSError): pass
class Fatal(BaseException): pass
class NoException: pass
"""
    exec(source, vars(module))
    sys.modules["shop"] = module
    yield module
    del sys.modules["shop"]


def sold_out(**changes: Any) -> tuple[Any, ...]:
    names = {"module": "shop", "qualname": "SoldOut", "bases": ("LookupError",)}
    return (node(**{**names, **changes}),)


INSTANTIATE = QUIET._replace(instantiate_custom_exceptions=True)
IMPORT = INSTANTIATE._replace(import_custom_exceptions=True)


def test_custom_class_is_made_by_default(shop: types.ModuleType) -> None:
    for config in (QUIET, QUIET._replace(import_custom_exceptions=True)):
        loaded = Peer(config).loader.load(sold_out())
        assert type(loaded) is not vars(shop)["SoldOut"]
        assert isinstance(loaded, GenericException)
        assert isinstance(loaded, LookupError)
        assert (type(loaded).__module__, type(loaded).__qualname__) == ("shop", "SoldOut")


def test_custom_class_is_used_where_asked_for(shop: types.ModuleType) -> None:
    attributes = (("limit", 3), ("retry", "x"), ("code", "x"), ("extra", 4))
    loaded: Any = Peer(INSTANTIATE).loader.load(sold_out(args=(1, 2), attributes=attributes))
    assert type(loaded) is vars(shop)["SoldOut"]
    assert loaded.args == (1, 2)
    assert (loaded.limit, loaded.extra) == (3, 4)
    assert loaded.retry() == "method"
    assert loaded.code == "property"
    inner = sold_out(qualname="SoldOut.Inner", bases=("OSError",), attributes=(("errno", 2),))
    loaded = Peer(INSTANTIATE).loader.load(inner)
    assert type(loaded) is vars(shop)["SoldOut"].Inner
    assert loaded.errno == 2


@pytest.mark.parametrize(
    "name", ["Fatal", "NoException", "Missing", "SoldOut.retry", "SoldOut.code", "__dict__", ""]
)
def test_only_exception_classes_are_used(shop: types.ModuleType, name: str) -> None:
    loaded = Peer(INSTANTIATE).loader.load(sold_out(qualname=name))
    assert isinstance(loaded, GenericException)


def test_objects_in_sys_modules_are_not_asked(shop: types.ModuleType) -> None:
    class Trap:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

    vars(shop)["SoldOut"] = Trap()
    assert isinstance(Peer(INSTANTIATE).loader.load(sold_out()), GenericException)
    sys.modules["shop"] = Trap()  # type: ignore[assignment]
    assert isinstance(Peer(INSTANTIATE).loader.load(sold_out()), GenericException)


def test_import_only_where_asked_for(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop_on_disk.py").write_text("class SoldOut(LookupError): pass")
    (tmp_path / "shop_exits.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(str(tmp_path))
    table = sold_out(module="shop_on_disk")
    for config in (QUIET, INSTANTIATE, QUIET._replace(import_custom_exceptions=True)):
        assert isinstance(Peer(config).loader.load(table), GenericException)
        assert "shop_on_disk" not in sys.modules
    loaded = Peer(IMPORT).loader.load(table)
    assert type(loaded) is sys.modules.pop("shop_on_disk").SoldOut
    for missing in ("shop_missing", "shop_exits", "", ".", "a..b"):
        exc = Peer(IMPORT).loader.load(sold_out(module=missing))
        assert isinstance(exc, GenericException)


def test_made_classes_are_made_once_per_loader() -> None:
    peer = Peer()
    first, second = peer.loader.load(sold_out()), peer.loader.load(sold_out())
    assert type(first) is type(second)
    assert type(first) is not type(Peer().loader.load(sold_out()))
    assert type(first) is not type(peer.loader.load(sold_out(module="other")))


def test_made_classes_are_bounded() -> None:
    peer = Peer()
    for number in range(vinegar_classes.MAX_MADE_CLASSES):
        peer.loader.load(sold_out(qualname=f"E{number}"))
    loaded = peer.loader.load(sold_out(text="none left"))
    assert type(loaded) is GenericException
    assert str(loaded) == "shop.SoldOut: none left"
    assert type(peer.loader.load(sold_out(qualname="E7"))).__name__ == "E7"


def test_bases_of_made_classes() -> None:
    class Both(KeyError, ValueError):
        pass

    class Gone(FileNotFoundError):
        pass

    loaded = trip(Both("k"))
    assert isinstance(loaded, KeyError)
    assert isinstance(loaded, ValueError)
    gone = trip(Gone(2, "gone", "file"))
    assert isinstance(gone, FileNotFoundError)
    assert gone.filename == "file"
    assert type(gone).__bases__ == (GenericException, FileNotFoundError)
    plain = Peer().loader.load(sold_out(bases=("Exception", "BaseException", "Unheard")))
    assert type(plain).__bases__ == (GenericException,)
    odd = Peer().loader.load(sold_out(bases=("OSError", "ImportError", "SystemExit")))
    assert isinstance(odd, OSError), "bases that do not go together: the nearest one"


def test_made_class_shows_the_remote_text() -> None:
    class Priced(Exception):
        def __str__(self) -> str:
            return f"costs {self.args[0]}"

    loaded = trip(Priced(5))
    assert str(loaded) == "costs 5"
    assert loaded.args == (5,)


@pytest.mark.parametrize(
    "exc", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError("c")]
)
def test_base_exceptions_are_wrapped(exc: BaseException) -> None:
    loaded = trip(exc)
    assert isinstance(loaded, RemoteBaseException)
    assert loaded.args == exc.args
    assert type(loaded).__name__ == type(exc).__name__
    assert not isinstance(loaded, type(exc))
    assert isinstance(trip(loaded), RemoteBaseException), "also when it travels on"
    if isinstance(exc, SystemExit):
        assert loaded.code == 3


# ------------------------------------------------------------------ coming home


def test_exception_comes_home_as_itself() -> None:
    here, there = Peer(), Peer()
    exc = caught(lambda: 1 / 0)
    frames = exc.__traceback__
    foreign = there.loader.load(here.dumper.dump(exc))
    assert foreign is not exc
    assert there.foreign == [(foreign, 1)]
    table = there.dumper.dump(foreign)
    assert there.kept == {}, "what is the peer's own is not kept"
    assert Node(*table[-1]).origin == 1
    assert Node(*table[-1]).home is None
    assert here.loader.load(table) is exc
    assert exc.__traceback__ is frames
    assert not hasattr(exc, "_remote_tb")
    here.kept.clear()
    fallback = here.loader.load(table)
    assert type(fallback) is ZeroDivisionError
    assert fallback is not exc
    assert here.foreign == []


def test_part_of_a_chain_comes_home() -> None:
    here, there = Peer(), Peer()
    exc = SystemExit(1)
    outer = ValueError("outer")
    outer.__cause__ = there.loader.load(here.dumper.dump(exc))
    loaded = here.loader.load(there.dumper.dump(outer))
    assert loaded.__cause__ is exc
    assert type(loaded) is ValueError


def test_every_part_is_remembered() -> None:
    here, there = Peer(), Peer()
    exc = ValueError()
    exc.__context__ = KeyError()
    loaded = there.loader.load(here.dumper.dump(exc))
    assert {id(e) for e in here.kept.values()} == {id(exc), id(exc.__context__)}
    assert [here.kept[n] for e, n in there.foreign if e is loaded] == [exc]


# ------------------------------------------------------------------ tracebacks and logs

SHOWN = QUIET._replace(include_local_traceback=True)


def fail() -> None:
    raise ValueError("x")


def test_traceback_is_sent_and_shown() -> None:
    loaded = trip(caught(fail), here=SHOWN._replace(include_local_version=True))
    assert "in fail" in loaded._remote_tb
    version = sys.version.split()[0]
    assert loaded._remote_tb.startswith(f"Remote traceback (python {version}, netobj ")
    shown = "".join(traceback.format_exception(type(loaded), loaded, None))
    assert ("in fail" in shown) is (sys.version_info >= (3, 11))
    assert type(loaded) is ValueError
    assert loaded.args == ("x",)


def test_traceback_stays_at_home() -> None:
    loaded = trip(caught(fail))
    assert not hasattr(loaded, "_remote_tb")
    assert not hasattr(loaded, "__notes__")
    assert node_of(caught(fail)).versions is None


@needs_groups
def test_remote_traceback_is_told_from_notes() -> None:
    exc = caught(fail)
    exc.add_note("mine")
    loaded = trip(exc, here=SHOWN)
    assert [type(note) for note in loaded.__notes__] == [str, RemoteTraceback]
    assert node_of(loaded).notes == ("mine",)


def test_remote_traceback_travels_on() -> None:
    middle = trip(caught(fail), here=SHOWN)

    def pass_on() -> None:
        raise middle

    final = trip(caught(pass_on), here=SHOWN)
    assert final._remote_tb.index("in pass_on") < final._remote_tb.index("in fail")
    assert final._remote_tb.count("Remote traceback") == 2
    assert not hasattr(trip(middle), "_remote_tb"), "not past one who does not send them"


def test_causes_carry_their_own_traceback() -> None:
    outer = KeyError()
    outer.__cause__ = caught(fail)
    loaded = trip(outer, here=SHOWN)
    assert "in fail" in loaded.__cause__._remote_tb
    assert "in fail" not in loaded._remote_tb


def test_error_id_leads_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    exc = caught(fail)
    exc.__cause__ = KeyError()
    loaded = trip(exc, here=Config())
    (record,) = caplog.records
    assert record.name == "netobj"
    assert record.levelno == logging.WARNING
    assert record.exc_info is not None
    assert record.exc_info[1] is exc
    error_id = node_of(exc, Config()).error_id
    assert error_id is not None
    assert len(error_id) == 8
    assert f"error {error_id}:" in caplog.records[-1].getMessage()
    assert "The other side logged the traceback under id" in loaded._remote_tb
    assert loaded._remote_tb.split()[-1].strip(".") in record.getMessage()
    assert not hasattr(loaded.__cause__, "_remote_tb")


def test_logging_where_the_traceback_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    dumped = node_of(caught(fail), Config(include_local_traceback=True))
    assert dumped.error_id is None
    assert dumped.traceback is not None
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]


def test_nothing_is_logged_when_not_wanted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert node_of(caught(fail)).error_id is None
    for exc in (StopIteration(1), StopAsyncIteration(), GeneratorExit()):
        dumped = node_of(exc, Config())
        assert dumped.error_id is None
        assert dumped.traceback is None
    assert caplog.records == []


def test_own_logger(caplog: pytest.LogCaptureFixture) -> None:
    node_of(ValueError(), Config(logger=logging.getLogger("mine")))
    assert [record.name for record in caplog.records] == ["mine"]


def test_program_without_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "logging")
    dumped = node_of(ValueError("x"), Config())
    assert dumped.error_id is None, "no id is promised where nothing was logged"


def test_logger_that_raises() -> None:
    class Bad(logging.Logger):
        def warning(self, *args: Any, **kwargs: Any) -> None:
            raise OSError

    assert node_of(ValueError("x"), Config(logger=Bad("bad"))).args == ("x",)


@needs_groups
def test_uncaught_exception_shows_the_remote_traceback() -> None:
    code = """
from netobj.core.config import Config
from netobj.core.vinegar import Dumper, Loader

def fail():
    raise ValueError("x")

shown = Config(include_local_traceback=True, log_exceptions=False)
try:
    fail()
except ValueError as exc:
    dumped = Dumper(shown, lambda exc: 0, lambda exc: None).dump(exc)
raise Loader(Config(), lambda number: None, lambda exc, number: None, "here").load(dumped)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    *_, tail = run.stderr.partition("ValueError: x")
    assert "Remote traceback" in tail
    assert "in fail" in tail


# ------------------------------------------------------------------ hostile peers


def refused(dumped: object) -> str:
    with pytest.raises(ProtocolError) as info:
        Peer(side="the server").loader.load(dumped)
    return str(info.value)


def test_refusals_name_the_field_and_the_side() -> None:
    text = refused((node(args=[1]),))
    assert text.startswith("the server: ")
    assert "'args'" in text


@pytest.mark.parametrize(
    "dumped",
    [
        None,
        (),
        [],
        ((),),
        (node(), None),
        (node(),) * (MAX_NODES + 1),
        (node(cause=0),),
        (node(), node(context=1)),
        (node(), node(members=(0, 5))),
        (node(), node(members=[0])),
        (node(home=-1),),
        (node(home=True),),
        (node(cause=-1),),
        (node(qualname="a\0b"),),
        (node(module="\ud800"),),
        (node(qualname="x" * 1001),),
        (node(notes=("n",) * (MAX_NOTES + 1)),),
        (node(notes=(1,)),),
        (node(attributes=(("a",),)),),
        (node(attributes=((1, 2),)),),
        (node(is_exception=1),),
    ],
)
def test_malformed_tables(dumped: object) -> None:
    refused(dumped)


def test_nothing_is_built_from_a_malformed_table() -> None:
    peer = Peer()
    with pytest.raises(ProtocolError):
        peer.loader.load((node(), node(cause=7)))
    assert peer.foreign == []


@pytest.mark.parametrize("cls", [ValueError, ImportError, AttributeError])
def test_attributes_that_could_do_harm(cls: type[Exception]) -> None:
    names = "with_traceback __class__ __dict__ __cause__ args _x".split()
    attributes = tuple((name, "harm") for name in names)
    loaded = Peer().loader.load((node(qualname=cls.__name__, attributes=attributes),))
    assert type(loaded) is cls
    assert loaded.args == ("x",)
    assert loaded.__cause__ is None
    assert callable(loaded.with_traceback)
    assert not hasattr(loaded, "_x")


def test_fields_that_the_interpreter_follows_stay_unset() -> None:
    attributes = (("obj", "harm"), ("name_from", "harm"), ("name", "x"))
    for cls, field in ((AttributeError, "obj"), (ImportError, "name_from")):
        loaded = Peer().loader.load((node(qualname=cls.__name__, attributes=attributes),))
        assert type(loaded) is cls
        if field in vars(cls):  # name_from came with Python 3.12
            assert getattr(loaded, field) is None


@pytest.mark.parametrize("changes", [{"object": 5}, {"start": -5, "end": -4}, {"end": "x"}])
def test_unicode_errors_whose_str_would_read_wild_memory(changes: dict[str, Any]) -> None:
    fields = {"encoding": "utf-8", "object": b"x", "start": 0, "end": 1, "reason": "r"}
    attributes = tuple({**fields, **changes}.items())
    loaded = Peer().loader.load((node(qualname="UnicodeDecodeError", attributes=attributes),))
    assert type(loaded) is UnicodeDecodeError
    assert isinstance(str(loaded), str)
    assert "utf-8" not in str(loaded)


def test_numbers_that_do_not_fit() -> None:
    class Index:
        def __index__(self) -> int:
            raise AssertionError("must not be asked")

    for value in (10**30, Index()):
        fields = (("characters_written", value), ("errno", 1))
        loaded: Any = Peer().loader.load((node(qualname="BlockingIOError", attributes=fields),))
        assert loaded.errno == 1


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5)
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4).map(tuple))
qualnames = st.sampled_from(sorted(vinegar_classes.BUILTINS)) | st.text(max_size=4)
sound_fields = st.fixed_dictionaries(
    {},
    optional={
        "module": st.sampled_from(["builtins", "netobj.errors", "shop"]) | st.text(max_size=3),
        "qualname": qualnames,
        "bases": st.lists(qualnames, max_size=4).map(tuple),
        "is_exception": st.booleans(),
        "args": st.lists(anything, max_size=5).map(tuple),
        "attributes": st.lists(
            st.tuples(
                st.sampled_from(sorted({*dir(OSError), *dir(UnicodeDecodeError)})) | st.text(),
                scalars,
            )
        ).map(tuple),
        "notes": st.lists(st.text(max_size=3), max_size=3).map(tuple),
        "origin": st.none() | st.integers(0, 5),
        "cause": st.none() | st.integers(0, 3),
        "context": st.none() | st.integers(0, 3),
        "members": st.none() | st.lists(st.integers(0, 3), max_size=3).map(tuple),
        "traceback": st.none() | st.text(max_size=3),
    },
)
one_wrong_field = st.tuples(st.sampled_from(Node._fields), anything).map(
    lambda pair: {pair[0]: pair[1]}
)


def load_and_use(dumped: object) -> None:
    try:
        loaded = Peer(INSTANTIATE).loader.load(dumped)
    except ProtocolError:
        return
    assert isinstance(loaded, Exception)
    assert isinstance(str(loaded), str)
    traceback.format_exception(type(loaded), loaded, None)
    trip(loaded)


@given(anything)
def test_garbage_is_refused(dumped: object) -> None:
    load_and_use(dumped)


@settings(max_examples=300)
@given(st.lists(sound_fields | one_wrong_field, min_size=1, max_size=4))
def test_nearly_sound_tables(changes: list[dict[str, Any]]) -> None:
    load_and_use(tuple(node(**fields) for fields in changes))


def test_other_settings_from_now_on() -> None:
    loader = Loader(QUIET, lambda number: None, lambda exc, number: None, "here")
    loader.configure(QUIET._replace(instantiate_custom_exceptions=True))
    assert loader._classes.config.instantiate_custom_exceptions


def test_a_group_whose_members_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Group(Exception):
        message = "m"
        exceptions = None

    Group.__module__ = "exceptiongroup"
    monkeypatch.setattr(vinegar, "GROUP", None)
    monkeypatch.setattr(vinegar_classes, "GROUP", None)
    assert vinegar._group_of(Group()) is None


def test_a_class_that_cannot_be_made_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(cls: type) -> Any:
        raise TypeError

    monkeypatch.setattr(vinegar, "new_instance", refuse)
    back = trip(KeyError("k"))
    assert type(back) is GenericException
    assert "KeyError" in str(back)


def test_a_class_whose_memory_is_laid_out_as_another_base_says() -> None:
    class Both(LookupError, OSError):
        pass

    assert type(vinegar_classes.new_instance(Both)) is Both


def test_a_class_that_no_builtin_can_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vinegar_classes, "builtin_ancestors", lambda cls: [])
    with pytest.raises(TypeError, match="no builtin exception class"):
        vinegar_classes.new_instance(KeyError)


def test_how_much_was_written_is_a_number() -> None:
    exc = BlockingIOError()
    vinegar_classes.restore_attributes(exc, [("characters_written", "many")])
    with pytest.raises(AttributeError):
        _ = exc.characters_written


def test_bases_that_do_not_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = vinegar_classes.ClassFinder(QUIET)
    made = finder.find("m", "Odd", ("OSError", "UnicodeDecodeError"), is_exception=True)
    assert issubclass(made, GenericException)


def test_an_interrupt_during_an_import(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(builtins, "__import__", interrupt)
    with pytest.raises(KeyboardInterrupt):
        vinegar_classes._import_quietly("somewhere")


def test_what_was_set_to_a_field_that_holds_numbers_only() -> None:
    exc = BlockingIOError()
    field = vinegar_classes.native_fields(OSError)["characters_written"]
    vinegar_classes._restore_field(exc, "characters_written", field, "many")
    with pytest.raises(AttributeError):
        _ = exc.characters_written


def test_no_bases_go_together() -> None:
    finder = vinegar_classes.ClassFinder(QUIET)
    made = finder._make("m", "Odd", (GenericException, bool, int))
    assert made.__bases__ == (GenericException,)
    assert finder._make("m", "Odd", (GenericException, bool, int)) is made


def test_a_field_that_was_not_set_stays_so() -> None:
    exc = OSError()
    field = vinegar_classes.native_fields(OSError)["errno"]
    vinegar_classes._restore_field(exc, "errno", field, None)
    assert str(exc) == ""


def test_an_exception_with_hooks_is_not_asked_for_its_attributes() -> None:
    class Hooked(Exception):
        def _netobj_getattr(self, name: str) -> Any:
            raise AttributeError(name)

    exc = Hooked("x")
    exc.secret = 1  # type: ignore[attr-defined]
    assert "secret" not in dict(vinegar._attributes(exc))


class Peculiar(Exception):
    """Of this side's."""


def test_a_class_that_tells_its_text_is_made_once_and_no_more_than_others() -> None:
    finder = vinegar_classes.ClassFinder(QUIET)
    first = finder.telling(ValueError)
    assert first is finder.telling(ValueError)
    assert issubclass(first, ValueError)
    assert finder.telling(first) is first
    assert finder.telling(Peculiar) is Peculiar
    finder._made.update(
        {(number,): ValueError for number in range(vinegar_classes.MAX_MADE_CLASSES)}
    )
    # There is one more than fits, as when two threads make the last at once.
    assert finder.telling(KeyError) is GenericException
    assert finder.find("shop", "SoldOut", (), is_exception=True) is GenericException


def test_what_is_too_deep_or_too_large_may_hold_something_remote() -> None:
    deep: Any = ()
    for _ in range(100):
        deep = [deep]
    assert vinegar_classes.holds_remote(deep)
    assert vinegar_classes.holds_remote([1] * 10**6)
    assert not vinegar_classes.holds_remote({1: [(2,), {3}]})
