from __future__ import annotations

import io
import os
import socket
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import netobj
from listening import listening
from netobj import classic
from netobj.blocking.channel import Channel
from netobj.blocking.streams import SocketStream

SERVE_STDIO = """
import os
import netobj
incoming, outgoing = os.dup(0), os.dup(1)
os.dup2(2, 1)
netobj.connect_pipes(incoming, outgoing, netobj.SlaveService).serve_all()
"""


@pytest.fixture
def conn() -> Iterator[netobj.Connection]:
    with classic.connect_thread() as connection:
        yield connection


@pytest.fixture(scope="module")
def other_process() -> Iterator[netobj.Connection]:
    with classic.connect_subproc([sys.executable, "-c", SERVE_STDIO]) as connection:
        yield connection
    connection.proc.wait(20)


def test_modules(conn: netobj.Connection) -> None:
    assert conn.modules.os.path.join("a", "b") == os.path.join("a", "b")
    assert conn.modules["os.path"].basename("a/b") == "b"
    assert conn.modules["xml", "dom", "minidom"].__name__ == "xml.dom.minidom"
    assert conn.modules.sys is conn.modules["sys"]
    assert "json" in conn.modules
    assert "no_such_module_anywhere" not in conn.modules
    with pytest.raises(AttributeError, match="no module 'no_such_module_anywhere'"):
        conn.modules.no_such_module_anywhere  # noqa: B018
    with pytest.raises(ImportError):
        conn.modules["no_such_module_anywhere"]


def test_builtins(conn: netobj.Connection) -> None:
    assert conn.builtins is conn.builtin
    assert conn.builtins.sorted([3, 1, 2])[0] == 1
    assert conn.builtin.len("abc") == 3
    with pytest.raises(ValueError, match="invalid literal"):
        conn.builtins.int("x")


def test_eval_execute_and_the_namespace(conn: netobj.Connection) -> None:
    conn.execute("x = 6\ndef double(n): return 2 * n")
    assert conn.eval("double(x)") == 12
    assert conn.namespace["x"] == 6
    conn.namespace["x"] = 8
    assert conn.eval("x") == 8
    assert conn.namespace is conn.namespace
    with pytest.raises(SyntaxError):
        conn.execute("x = = 1")
    with pytest.raises(ZeroDivisionError):
        conn.eval("1 / 0")


def test_each_connection_has_a_namespace_of_its_own() -> None:
    with (
        netobj.ThreadedServer(netobj.SlaveService, hostname="localhost") as server,
        classic.connect("localhost", server.port) as one,
        classic.connect("localhost", server.port) as other,
    ):
        one.execute("x = 1")
        with pytest.raises(NameError):
            other.eval("x")


def test_the_other_process(other_process: netobj.Connection, tmp_path: Path) -> None:
    conn = other_process
    assert conn.modules.os.getpid() == conn.proc.pid
    conn.modules.sys.path.append(str(tmp_path))
    (tmp_path / "fresh_module.py").write_text("answer = 42\n")
    assert conn.modules.fresh_module.answer == 42
    conn.modules.fresh_module.answer = 43
    assert conn.eval("__import__('fresh_module').answer") == 43
    with conn.builtins.open(str(tmp_path / "fresh_module.py")) as file:
        assert file.read() == "answer = 42\n"


def test_all_ways_to_connect(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with (
        netobj.ThreadedServer(netobj.SlaveService, socket_path=path),
        classic.unix_connect(path) as conn,
    ):
        assert conn.eval("1 + 1") == 2
    for wrap in (classic.connect_stream, lambda s: classic.connect_channel(Channel(s))):
        one, other = socket.socketpair()
        with (
            netobj.connect_stream(SocketStream(one), netobj.SlaveService),
            wrap(SocketStream(other)) as conn,
        ):
            assert conn.eval("1 + 1") == 2
    here, theirs = os.pipe()
    there, ours = os.pipe()
    with (
        netobj.connect_pipes(there, theirs, netobj.SlaveService),
        classic.connect_pipes(here, ours) as conn,
    ):
        assert conn.eval("1 + 1") == 2


def test_connect_subproc_needs_no_arguments(tmp_path: Path) -> None:
    with classic.connect_subproc() as conn:
        assert conn.modules.os.getpid() == conn.proc.pid
        assert listening(conn.proc.pid) == []  # nobody else can reach it
        assert conn.modules.sys.path[0] == ""  # as in a fresh process
        conn.execute("print('to standard error, if anywhere')")
    assert conn.proc.wait(20) == 0


def test_connect_subproc_of_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[1]
    program = root / "bin" / "netobj_classic.py"
    monkeypatch.setenv("PYTHONPATH", str(root))
    with classic.connect_subproc(str(program)) as conn:
        assert conn.modules.os.getpid() == conn.proc.pid
    assert conn.proc.wait(20) == 0


def test_connect_stdpipes() -> None:
    program = (
        "import netobj\n"
        "conn = netobj.classic.connect_stdpipes()\n"
        "conn.execute('said = 6 * 7')\n"
        "conn.namespace['said'] += 1\n"
        "conn.close()\n"
    )
    args = [sys.executable, "-c", program]
    service = netobj.SlaveService()
    with netobj.connect_subproc(args, service) as conn:
        conn.wait_closed()
    assert conn.proc.wait(20) == 0
    assert service.exposed_namespace["said"] == 43


def test_the_ports_are_those_that_people_know() -> None:
    assert classic.DEFAULT_SERVER_PORT == 18812
    assert classic.DEFAULT_SERVER_SSL_PORT == 18821


def test_a_classic_client_exposes_nothing_of_itself() -> None:
    one, other = socket.socketpair()
    with (
        netobj.connect_stream(SocketStream(one), netobj.SlaveService) as server,
        classic.connect_stream(SocketStream(other)),
    ):
        for name in ("eval", "execute", "namespace", "getmodule", "modules", "__class__"):
            with pytest.raises(AttributeError):
                server.root.__getattr__(name)


def test_classic_service_on_both_sides() -> None:
    one, other = socket.socketpair()
    with (
        netobj.connect_stream(SocketStream(one), netobj.ClassicService) as here,
        netobj.connect_stream(SocketStream(other), netobj.ClassicService) as there,
    ):
        assert here.modules.os.getpid() == there.modules.os.getpid() == os.getpid()
        assert here.eval("1") == there.eval("1") == 1


def test_eval_and_execute_are_remote_functions(conn: netobj.Connection) -> None:
    netobj.async_(conn.execute)("x = 6").wait()
    assert netobj.async_(conn.eval)("x * 7").value == 42
    assert netobj.timed(conn.eval, 20)("x").value == 6


def test_a_service_of_ones_own_may_fill_the_namespace() -> None:
    class Prepared(netobj.SlaveService):
        def on_connect(self, conn: Any) -> None:
            super().on_connect(conn)
            self.namespace["unit"] = "K"

    with netobj.connect_thread(netobj.ClassicClient, remote_service=Prepared) as conn:
        assert conn.eval("unit") == "K"


# --- teleport -----------------------------------------------------------------------------------


def test_teleport(other_process: netobj.Connection) -> None:
    offset, names = 3, ["a", "b"]

    def moved(x: int, by: int = 1, *, times: int = 2) -> tuple[int, int, list[str]]:
        import os

        return os.getpid(), (x + by) * times + offset, names

    there = other_process.teleport(moved)
    pid, value, found = there(10)
    assert pid == other_process.proc.pid
    assert value == (10 + 1) * 2 + 3
    assert list(found) == names
    assert other_process.namespace["moved"](1, 2, times=3)[1] == 12
    found.append("c")
    assert names == ["a", "b"]  # it closes over a copy


def test_teleport_function_with_globals_of_its_own(conn: netobj.Connection) -> None:
    def use() -> int:
        return word  # type: ignore[name-defined] # noqa: F821

    names = conn.eval("{'word': 17}")
    assert classic.teleport_function(conn, use, globals=names, def_=False)() == 17
    assert "use" not in names
    conn.namespace["word"] = 18
    assert classic.teleport_function(conn, use)() == 18
    assert "use" in conn.namespace


# --- obtain and deliver -------------------------------------------------------------------------


def test_obtain_of_plain_data_needs_no_pickle(conn: netobj.Connection) -> None:
    got = classic.obtain(conn.eval("{'a': [1, (2, {3})]}"))
    assert got == {"a": [1, (2, {3})]}
    assert type(got) is dict
    assert type(got["a"]) is list
    local = [1]
    assert classic.obtain(local) is local


def test_obtain_by_pickle_is_refused_by_default_on_both_sides(conn: netobj.Connection) -> None:
    counter = conn.modules.collections.Counter("aab")
    with pytest.raises(netobj.AccessDenied, match="this side's setting allow_pickle is off"):
        classic.obtain(counter)
    config = {"allow_pickle": True}
    with (
        netobj.connect_thread(
            netobj.ClassicClient, config, netobj.SlaveService, {"allow_pickle": False}
        ) as one,
        pytest.raises(netobj.AccessDenied, match="allow_pickle is off"),
    ):
        classic.obtain(one.modules.collections.Counter("aab"))


def test_obtain_by_pickle_where_it_is_allowed() -> None:
    from collections import Counter

    with classic.connect_thread({"allow_pickle": True}) as conn:
        counter = classic.obtain(conn.modules.collections.Counter("aab"))
    assert type(counter) is Counter
    assert counter == Counter("aab")


@pytest.mark.parametrize(
    "value", [[1, [2]], {"a": {1}}, {1, 2}, bytearray(b"x"), "text", 7, date(2020, 1, 2)]
)
def test_deliver(conn: netobj.Connection, value: object) -> None:
    there = classic.deliver(conn, value)
    assert there == value
    if isinstance(value, (list, dict, set, bytearray)):
        assert issubclass(type(there), netobj.Netref)
        assert there is not value
        assert conn.eval("lambda x: type(x).__name__")(there) == type(value).__name__


def test_deliver_of_what_is_no_plain_data(conn: netobj.Connection) -> None:
    from collections import Counter

    there = classic.deliver(conn, Counter("aab"))
    assert there["a"] == 2
    assert conn.eval("lambda x: type(x).__name__")(there) == "Counter"


# --- standard streams ---------------------------------------------------------------------------


def test_redirected_stdio(
    other_process: netobj.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn = other_process
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdin", io.StringIO("typed\n"))
    before = conn.modules.sys.stdout
    with classic.redirected_stdio(conn):
        conn.execute("print('hello'); import sys; print('oops', file=sys.stderr)")
        assert conn.eval("input()") == "typed"
    assert out.getvalue() == "hello\n"
    assert err.getvalue() == "oops\n"
    assert conn.modules.sys.stdout is before


def test_the_streams_are_put_back_after_an_error(other_process: netobj.Connection) -> None:
    conn = other_process
    before = conn.modules.sys.stdout
    with pytest.raises(LookupError), classic.redirected_stdio(conn):
        raise LookupError
    assert conn.modules.sys.stdout is before


# --- without a connection -----------------------------------------------------------------------


@pytest.fixture(params=["remote", "mock"])
def either(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A connection, or what stands for one."""
    if request.param == "mock":
        yield classic.MockClassicConnection()
    else:
        yield request.getfixturevalue("conn")


def test_mock_classic_connection_is_used_as_one(either: Any, tmp_path: Path) -> None:
    conn = either
    assert conn.modules.os.path.join("a", "b") == os.path.join("a", "b")
    assert conn.modules["os.path"].basename("a/b") == "b"
    assert "no_such_module_anywhere" not in conn.modules
    assert conn.builtins is conn.builtin
    conn.execute("x = 6")
    assert conn.eval("x * 7") == 42
    conn.namespace["x"] = 7
    assert conn.root.eval("x") == 7
    assert conn.teleport(lambda: x)() == 7  # type: ignore[name-defined] # noqa: F821
    assert classic.teleport_function(conn, _twice)(4) == 8
    assert "_twice" in conn.namespace
    there = classic.deliver(conn, [1, [2]])
    assert classic.obtain(there) == [1, [2]]
    (tmp_path / "file").write_bytes(b"x")
    classic.upload(conn, tmp_path / "file", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"x"
    conn.ping()
    assert not conn.closed
    with conn:
        pass
    assert conn.closed


def _twice(x: int) -> int:
    return 2 * x


def test_mock_classic_connection_gives_the_objects_themselves() -> None:
    conn = classic.MockClassicConnection()
    assert conn.modules.sys is sys
    assert conn.namespace is conn.root.namespace
    assert conn.root.getconn() is conn
    value = [1]
    conn.namespace["value"] = value
    assert conn.eval("value") is value
    assert classic.deliver(conn, value) is not value
    with pytest.raises(ZeroDivisionError):
        conn.eval("1 / 0")
    with classic.redirected_stdio(conn):
        conn.execute("print('here')")


def test_every_name_of_rpyc_s_module_is_there() -> None:
    names = (
        "DEFAULT_SERVER_PORT DEFAULT_SERVER_SSL_PORT MockClassicConnection connect connect_channel "
        "connect_pipes connect_stream connect_subproc connect_thread deliver download download_dir "
        "download_file interact obtain pm redirected_stdio teleport_function unix_connect upload "
        "upload_dir upload_file upload_module upload_package"
    ).split()
    for name in names:
        assert getattr(classic, name) is getattr(netobj.utils.classic, name)
        assert name in classic.__all__
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        classic.nonsense  # noqa: B018
