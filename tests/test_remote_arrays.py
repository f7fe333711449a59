"""numpy and pandas over a connection, in the words of a program that uses them."""

from __future__ import annotations

import asyncio
import copy
import datetime
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import netobj
from netobj import classic
from netobj.core import handlers
from netobj.core.consts import BIG_VALUE, Op
from netobj.errors import AccessDenied, NotEncodable, ProtocolError

numpy = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas")

SERVE_STDIO = """
import os
import netobj
incoming, outgoing = os.dup(0), os.dup(1)
os.dup2(2, 1)
netobj.connect_pipes(incoming, outgoing, netobj.SlaveService).serve_all()
"""


@pytest.fixture(scope="module")
def conn() -> Iterator[netobj.Connection]:
    with classic.connect_subproc([sys.executable, "-c", SERVE_STDIO]) as connection:
        yield connection
    connection.proc.wait(20)


@pytest.fixture
def no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever pickles anything in this process fails."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("pickled")

    for name in ("dumps", "loads", "Unpickler", "Pickler"):
        monkeypatch.setattr(pickle, name, refuse)


@pytest.fixture
def local() -> Iterator[netobj.Connection]:
    """A connection within this process, whose server can be given a mind of its own."""
    with classic.connect_thread() as connection:
        yield connection


# --- arrays -------------------------------------------------------------------------------------


def test_np_asarray_of_a_remote_array(conn: netobj.Connection, no_pickle: None) -> None:
    remote = conn.modules.numpy.arange(6).reshape(2, 3)
    got = numpy.asarray(remote)
    assert type(got) is numpy.ndarray
    assert got.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert numpy.asarray(remote, dtype="f4").dtype == numpy.float32
    assert numpy.array(remote).sum() == remote.sum() == numpy.sum(remote) == 15
    got[0] = 9
    assert remote[0, 0] == 0


@pytest.mark.parametrize(
    "expression",
    [
        "numpy.array(['2020-01-01', '2021-06-01'], 'M8[D]')",
        "numpy.array(['ab', 'c'])",
        "numpy.arange(3) * 1j",
        "numpy.array([(1, 2.0)], dtype=[('a', 'i4'), ('b', 'f8')])",
        "numpy.array([1, 'a', None], dtype=object)",
        "numpy.arange(12).reshape(3, 4).T[::2]",
        "numpy.array(5.0)",
        "numpy.array(['word'] * 60_000 + ['long ' * 20_000], dtype=object)",
        "numpy.arange(1_000_000).reshape(1000, 1000)[:, ::-1]",
    ],
)
def test_all_kinds_of_arrays(conn: netobj.Connection, no_pickle: None, expression: str) -> None:
    conn.execute("import numpy")
    expected = eval(expression)
    for got in (
        numpy.asarray(conn.eval(expression)),
        classic.obtain(conn.eval(expression)),
        netobj.copy_of(conn.eval(expression)),
    ):
        assert got.dtype == expected.dtype
        assert numpy.array_equal(got, expected)


def test_objects_in_an_array_stay_where_they_are(conn: netobj.Connection) -> None:
    remote = conn.eval("__import__('numpy').array([1, object(), [2]], dtype=object)")
    got = numpy.asarray(remote)
    assert issubclass(type(got[1]), netobj.Netref)
    assert got[1] is remote[1]
    assert (got[0], got[2]) == (1, [2])


def test_what_has_an_array_is_taken_as_one(conn: netobj.Connection) -> None:
    conn.execute(
        "class Reading:\n"
        "    def __array__(self, dtype=None, copy=None):\n"
        "        return __import__('numpy').arange(3)"
    )
    assert numpy.asarray(conn.eval("Reading()")).tolist() == [0, 1, 2]
    masked = conn.eval("__import__('numpy').ma.array([1, 2], mask=[0, 1])")
    assert numpy.asarray(masked).tolist() == [1, 2]
    assert numpy.asarray(conn.eval("__import__('array').array('i', [1, 2])")).tolist() == [1, 2]


def test_arithmetic_between_a_remote_and_a_local_array(
    conn: netobj.Connection, no_pickle: None
) -> None:
    remote, here = conn.modules.numpy.arange(3), numpy.array([10, 20, 30])
    for result in (remote + here, remote * here, remote @ here, here.__class__ and remote - here):
        assert issubclass(type(result), netobj.Netref) or numpy.isscalar(result)
    assert numpy.asarray(remote + here).tolist() == [10, 21, 32]
    assert remote @ here == 80
    for result in (here + remote, here - remote, here < remote, 2 * here + remote):
        assert type(result) is numpy.ndarray
    assert (here + remote).tolist() == [10, 21, 32]
    assert (here == remote).tolist() == [False] * 3
    assert here @ remote == 80
    here += remote
    assert here.tolist() == [10, 21, 32]
    remote += here
    assert numpy.asarray(remote).tolist() == [10, 22, 34]
    assert numpy.asarray(remote > here).tolist() == [False, True, True]
    assert numpy.asarray(-remote / 2).tolist() == [-5, -11, -17]


def test_functions_of_either_side_take_arrays_of_the_other(conn: netobj.Connection) -> None:
    there = conn.modules.numpy
    remote, here = there.arange(3), numpy.array([10, 20, 30])
    assert numpy.concatenate([here, remote]).tolist() == [10, 20, 30, 0, 1, 2]
    assert numpy.asarray(there.concatenate([here, remote])).tolist() == [10, 20, 30, 0, 1, 2]
    assert numpy.add(remote, here).tolist() == [10, 21, 32]
    assert there.dot(here, remote) == numpy.dot(here, remote) == 80
    assert numpy.asarray(remote[here > 10]).tolist() == [1, 2]
    remote[:] = here
    assert numpy.asarray(remote).tolist() == [10, 20, 30]
    assert numpy.allclose(remote, here)


def test_deliver_makes_a_remote_array(conn: netobj.Connection, no_pickle: None) -> None:
    here = numpy.arange(6, dtype="f4").reshape(2, 3)
    there = classic.deliver(conn, here)
    assert conn.builtins.type(there) is conn.modules.numpy.ndarray
    assert numpy.array_equal(numpy.asarray(there), here)


# --- data frames --------------------------------------------------------------------------------


@pytest.fixture
def frame() -> Any:
    return pandas.DataFrame(
        {
            "n": [1, 2, 3],
            "x": [1.5, float("nan"), 2.5],
            "word": ["a", None, "c"],
            "day": pandas.date_range("2020-01-01", periods=3, tz="Europe/Berlin"),
            "kind": pandas.Categorical(["p", "q", "p"]),
            "maybe": pandas.array([1, None, 3], dtype="Int64"),
        },
        index=pandas.Index([10, 20, 30], name="key"),
    )


def test_describe_of_a_remote_frame(conn: netobj.Connection, no_pickle: None, frame: Any) -> None:
    remote = classic.deliver(conn, frame)
    summary = remote.describe()
    assert issubclass(type(summary), netobj.Netref)
    pandas.testing.assert_frame_equal(classic.obtain(summary), frame.describe())
    assert remote["n"].mean() == 2.0
    assert remote.shape == (3, 6)
    assert list(remote) == list(frame)
    assert remote.loc[20, "n"] == 2
    assert repr(remote) == repr(frame)


def test_obtain_of_a_remote_frame(conn: netobj.Connection, no_pickle: None, frame: Any) -> None:
    remote = classic.deliver(conn, frame)
    pandas.testing.assert_frame_equal(classic.obtain(remote), frame)
    pandas.testing.assert_frame_equal(netobj.copy_of(remote), frame)
    pandas.testing.assert_series_equal(classic.obtain(remote["day"]), frame["day"])
    pandas.testing.assert_index_equal(classic.obtain(remote.index), frame.index)
    big = conn.eval(
        "__import__('pandas').DataFrame({'n': range(300_000), 's': ['word'] * 300_000})"
    )
    got = classic.obtain(big)
    assert len(got) == 300_000
    assert got["n"].sum() == big["n"].sum()
    assert got["s"].iloc[-1] == "word"


def test_frames_and_numpy(conn: netobj.Connection, frame: Any) -> None:
    remote = classic.deliver(conn, frame[["n", "x"]])
    assert numpy.asarray(remote["n"]).tolist() == [1, 2, 3]
    assert numpy.asarray(remote).shape == (3, 2)
    assert (frame["n"] + remote["n"]).tolist() == [2, 4, 6]


def test_working_with_a_remote_frame(conn: netobj.Connection, frame: Any) -> None:
    remote, other = classic.deliver(conn, frame), classic.deliver(conn, frame[["n"]])
    assert classic.obtain(remote[remote["n"] > 1])["n"].tolist() == [2, 3]
    assert classic.obtain(remote.groupby("kind", observed=True)["n"].sum()).tolist() == [4, 2]
    assert classic.obtain(remote["n"] + other["n"]).tolist() == [2, 4, 6]
    assert classic.obtain(remote.merge(other, on="n"))["word"].tolist()[0] == "a"
    assert classic.obtain(remote["n"].apply(lambda n: n * n)).tolist() == [1, 4, 9]
    remote["twice"] = remote["n"] * 2
    assert classic.obtain(remote)["twice"].tolist() == [2, 4, 6]


def test_a_record_keeps_its_fields(conn: netobj.Connection) -> None:
    records = conn.eval("__import__('numpy').array([(1, 2.5)], dtype=[('n', 'i4'), ('x', 'f8')])")
    record = records[0]
    assert (record["n"], record["x"], record.item()) == (1, 2.5, (1, 2.5))
    assert netobj.copy_of(conn.eval("[__import__('numpy').str_('')]")) == [""]


def test_what_the_page_says_to_write_instead(conn: netobj.Connection) -> None:
    there, pandas_there = conn.modules.numpy, conn.modules.pandas
    here = numpy.arange(6.0).reshape(2, 3)
    samples = classic.deliver(conn, here)

    def deliver(value: Any) -> Any:
        return classic.deliver(conn, value)

    assert samples.astype("float32").dtype == "float32"
    assert there.zeros(2, dtype="int").dtype.kind == "i"
    assert numpy.zeros(2, dtype=samples.dtype.str).dtype == here.dtype
    assert there.zeros(2, dtype=deliver([("n", "i4")])).dtype.names == ("n",)
    assert there.add(here, here, out=samples) is samples
    samples[:] = here
    assert (numpy.asarray(samples) == here).all()
    masked = there.ma.array([1, 2], mask=[False, True])
    assert list(numpy.asarray(masked.filled(0))) == [1, 0]
    assert list(numpy.asarray(masked.mask)) == [False, True]

    remote = deliver(pandas.DataFrame({"k": ["a", "b", "a"], "v": [1.0, 2.0, 3.0]}))
    column, mask = numpy.array([4, 5, 6]), numpy.array([True, False, True])
    remote["w"] = deliver(column)
    assert list(remote.w) == [4, 5, 6]
    remote["w"] = [7, 8, 9]
    assert list(remote[deliver(mask)].w) == [7, 9]
    assert list(pandas_there.Series(deliver(column))) == [4, 5, 6]
    assert list(remote.v + deliver(pandas.Series([1.0, 1.0, 1.0]))) == [2.0, 3.0, 4.0]
    assert list(2 * remote.v) == [2.0, 4.0, 6.0]
    assert list(pandas_there.isna(remote.v)) == [False] * 3
    assert list(remote.groupby("k").agg(v=("v", "mean")).v) == [2.0, 2.0]
    assert list(remote.groupby("k").agg(deliver({"v": "mean"})).v) == [2.0, 2.0]
    days = pandas_there.Series(pandas_there.date_range("2024-01-01", periods=2))
    assert list(days > datetime.datetime(2024, 1, 1)) == [False, True]
    assert list(days > numpy.datetime64("2024-01-01")) == [False, True]
    assert pandas_there.Timestamp("2024-01-01").to_pydatetime() == datetime.datetime(2024, 1, 1)
    periods = pandas_there.period_range("2024-01", periods=2, freq="M")
    assert len(classic.obtain(periods.to_timestamp())) == 2
    assert remote.to_csv(index=False).startswith("k,v,w")


def test_what_is_no_plain_data_needs_pickle(conn: netobj.Connection) -> None:
    periods = conn.modules.pandas.period_range("2020", periods=2, freq="M")
    with pytest.raises(AccessDenied, match="allow_pickle is off"):
        classic.obtain(periods)
    with pytest.raises(NotEncodable):
        netobj.copy_of(periods)


def test_deliver_to_a_mock_connection_is_a_copy(frame: Any) -> None:
    conn = classic.MockClassicConnection()
    there = classic.deliver(conn, frame)
    assert there is not frame
    pandas.testing.assert_frame_equal(classic.obtain(there), frame)


# --- services and asyncio -----------------------------------------------------------------------


class Measuring(netobj.Service):
    def exposed_samples(self) -> Any:
        return numpy.arange(BIG_VALUE // 4)

    def exposed_frame(self) -> Any:
        return pandas.DataFrame({"a": [1, 2]})


def test_a_service_gives_arrays_without_further_settings() -> None:
    with netobj.connect_thread(remote_service=Measuring) as conn:
        assert numpy.asarray(conn.root.samples()).sum() == sum(range(BIG_VALUE // 4))
        assert netobj.copy_of(conn.root.frame())["a"].tolist() == [1, 2]
        with pytest.raises(AttributeError):
            conn.root.frame().describe()


def test_a_service_that_closes_them() -> None:
    with netobj.connect_thread(
        remote_service=Measuring, remote_config={"allow_safe_attrs": False}
    ) as conn:
        with pytest.raises(AccessDenied, match="__array__ is not in safe_attrs"):
            netobj.copy_of(conn.root.samples())
        with pytest.raises(AccessDenied, match="__array__ is not in safe_attrs"):
            netobj.copy_of(conn.root.frame())


def test_copies_on_an_event_loop(frame: Any) -> None:
    async def main() -> tuple[Any, Any]:
        async with (
            netobj.aio.Server(netobj.SlaveService, "localhost") as server,
            netobj.aio.classic.connect("localhost", server.port) as conn,
        ):
            samples = await netobj.aio.copy_of(await conn.modules.numpy.arange(50_000))
            made = await conn.modules.pandas.DataFrame({"a": [1, 2]})
            return samples, await netobj.aio.copy_of(made)

    samples, got = asyncio.run(main())
    assert samples.sum() == sum(range(50_000))
    pandas.testing.assert_frame_equal(got, pandas.DataFrame({"a": [1, 2]}))


# --- a hostile server ---------------------------------------------------------------------------


class Bomb:
    """Unpickled, it would run code."""

    def __reduce__(self) -> Any:
        return eval, ("__import__('pytest').fail('code of the server ran here')",)


def as_array(remote: Any) -> Any:
    """What ``numpy.asarray`` calls, unless it has found a buffer (Python 3.12 and later)."""
    return remote.__array__()


FORMS = [
    ("array", "|O8", (1,), bytes(8)),
    ("array", "O", (1,), pickle.dumps(Bomb())),
    ("array", "i8,(__import__('os').abort(),)i8", (1,), bytes(8)),
    ("objects", "O", (1,), (pickle.dumps([Bomb()]),)),
    ("series", ("array", "<i8", (1,), bytes(8)), ("range", 0, 1, 1, None), [Bomb()]),
    ("strings", "str", pickle.dumps(Bomb())),
    pickle.dumps(Bomb()),
    Bomb(),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: str(form)[:30])
@pytest.mark.parametrize("fetch", [as_array, classic.obtain, netobj.copy_of, copy.copy])
def test_a_hostile_server_runs_no_code_here(
    local: netobj.Connection, monkeypatch: pytest.MonkeyPatch, form: Any, fetch: Any
) -> None:
    remote = local.eval("__import__('numpy').arange(3)")
    monkeypatch.setattr(handlers.arrays, "taken_apart", lambda *args: form)
    if fetch is copy.copy:
        assert fetch(remote)[0] == 0  # made over there, and stays there
        return
    with pytest.raises((ProtocolError, ValueError)):
        fetch(remote)


def test_pickles_of_a_hostile_server_are_not_opened(
    local: netobj.Connection, no_pickle: None, frame: Any
) -> None:
    local.namespace["frame"] = frame
    for expression in ("__import__('numpy').arange(3)", "__import__('pandas').Series([1])"):
        remote = local.eval(expression)
        numpy.asarray(remote)
        classic.obtain(remote)
        assert remote.sum() >= 1


@pytest.mark.parametrize("code", ["O", "i8,O", "T{O:a:}", "3w", 7, None, Bomb()])
def test_formats_of_a_hostile_server(
    local: netobj.Connection, monkeypatch: pytest.MonkeyPatch, code: Any
) -> None:
    remote = local.eval("__import__('array').array('b', [1] * 8)")
    monkeypatch.setitem(
        handlers._OPERATIONS, Op.BUFFER, lambda *args, **kwargs: (bytes(8), code, (8,))
    )
    with pytest.raises(TypeError, match="none of numpy's"):
        remote.__array__()


@pytest.mark.parametrize(
    "name",
    [
        "__array_interface__",
        "__array_struct__",
        "__array_wrap__",
        "__arrow_c_stream__",
        "__dataframe__",
        "__dlpack__",
    ],
)
def test_addresses_of_another_process_s_memory_are_not_there(
    conn: netobj.Connection, name: str
) -> None:
    for expression in ("__import__('numpy').arange(3)", "__import__('pandas').DataFrame()"):
        assert not hasattr(conn.eval(expression), name)
