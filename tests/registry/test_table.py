from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import netobj
from netobj.registry.places import Place
from netobj.registry.table import Table

HERE = ("10.0.0.1", 1)
THERE = ("10.0.0.2", 2)


def register(table: Table, *names: str, at: tuple[str, int] = HERE, now: float = 0) -> object:
    return table.register(at[0], at[0].encode(), names, [at], False, now)


def test_what_is_registered_is_found() -> None:
    table = Table(240)
    assert register(table, "A", "B") == [("A", HERE), ("B", HERE)]
    assert register(table, "B", at=THERE) == [("B", THERE)]
    assert table.names() == ["A", "B"]
    assert [places for _, places in table.servers("B")] == [[Place(*HERE)], [Place(*THERE)]]
    assert table.servers("C") == []
    assert list(table) == [("A", HERE), ("B", HERE), ("B", THERE)]


def test_registering_again_is_nothing_new() -> None:
    table = Table(240)
    register(table, "A")
    assert register(table, "A", now=1) == []
    assert list(table) == [("A", HERE)]


def test_unregistering_takes_all_names_of_an_address() -> None:
    table = Table(240)
    register(table, "A", "B")
    register(table, "B", at=THERE)
    assert set(table.unregister([HERE])) == {("A", HERE), ("B", HERE)}
    assert table.unregister([HERE]) == []
    assert table.names() == ["B"]


def test_who_is_not_heard_of_is_forgotten() -> None:
    table = Table(240)
    register(table, "A", now=0)
    register(table, "A", at=THERE, now=100)
    assert table.prune(240) == []
    assert table.prune(241) == [("A", HERE)]
    register(table, "A", at=THERE, now=300)
    assert table.prune(500) == []
    assert table.prune(541) == [("A", THERE)]
    assert table.names() == []


def test_an_address_belongs_to_who_registered_it_last() -> None:
    table = Table(240)
    assert table.register("10.0.0.1", b"old", ["A", "B"], [HERE], False, 0) != []
    assert table.register("10.0.0.1", b"new", ["A"], [HERE], False, 1) == []  # A is there still
    assert [server for server, _ in table.servers("A")] == [b"new"]
    assert list(table) == [("A", HERE)]


def test_the_table_is_bounded() -> None:
    table = Table(240, most=3, most_from_one=2)
    register(table, "A", "B")
    with pytest.raises(netobj.LimitExceeded, match="2 names at addresses of one host at most"):
        register(table, "C")
    with pytest.raises(netobj.LimitExceeded, match="remembers 3 names at addresses at most"):
        register(table, "A", "B", at=THERE)
    assert table.names() == ["A", "B"]
    register(table, "A", at=THERE)
    register(table, "A", "B", now=1)  # what is there may always be registered again
    assert table.register("10.0.0.1", b"new", ["C", "D"], [HERE], False, 2) != []
    assert table.names() == ["A", "C", "D"]


_action = st.tuples(
    st.sampled_from(["register", "unregister", "prune"]),
    st.sampled_from(["x", "y", "z"]),  # the source
    st.sampled_from([b"1", b"2"]),
    st.lists(st.sampled_from("ABC"), min_size=1, unique=True),
    st.lists(st.tuples(st.sampled_from(["h", "i"]), st.integers(1, 2)), min_size=1, unique=True),
)


@given(st.lists(_action, max_size=40))
def test_the_indexes_agree_whatever_happens(actions: list[tuple]) -> None:
    table = Table(5, most=10, most_from_one=6)
    told: set[object] = set()
    for now, (what, source, server, names, addresses) in enumerate(actions):
        if what == "register":
            before = set(table)
            try:
                new = table.register(source, server, names, addresses, False, now)
            except netobj.LimitExceeded:
                assert set(table) == before
                continue
            assert not told & set(new)
            told = set(table)
            assert told >= {(name, address) for name in names for address in addresses}
        else:
            gone = table.unregister(addresses) if what == "unregister" else table.prune(now)
            assert told >= set(gone)
            told -= set(gone)
        assert told == set(table)
        assert len(list(table)) == len(set(table)) <= 10
        assert table.names() == sorted({name for name, _ in table})
        found = {
            (name, place[:2])
            for name in table.names()
            for _, places in table.servers(name)
            for place in places
        }
        assert found == set(table)
