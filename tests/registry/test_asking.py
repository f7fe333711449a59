from __future__ import annotations

from typing import Any

import pytest

import netobj
from netobj.registry.asking import MOST_PAGES, Catalogue, Change, Conversation, Search
from netobj.registry.messages import (
    Challenge,
    Done,
    Found,
    Kind,
    Listing,
    Names,
    Query,
    Refused,
    Register,
    Why,
    key_of,
    open_packet,
    seal,
)

KEY = key_of("a token that is long enough")
IDS = [bytes((number,)) * 8 for number in range(5)]


def says(conversation: Conversation, message: Any, key: bytes | None = None) -> Any:
    """What *conversation* says to *message*, if anything."""
    nonce = open_packet(conversation.opening, Kind.REQUEST).nonce
    data = conversation.hear(seal(message, nonce, key))
    return None if data is None else open_packet(data, Kind.REQUEST).message


def test_registering_takes_the_cookie_along() -> None:
    request = Register(b"", IDS[0], ("ECHO",), 1)
    change = Change(request, None)
    for cookie in (b"1" * 32, b"2" * 32):  # of two registries
        assert says(change, Challenge(cookie)) == request._replace(cookie=cookie)
    assert not change.is_answered
    assert says(change, Done()) is None
    assert change.is_done
    assert says(change, Refused(Why.FULL, "no room")) is None  # by the other one
    assert (change.is_done, change.trouble) == (True, "no room")


def test_a_search_reads_all_pages() -> None:
    search = Search("ECHO", None)
    first = Found(((IDS[1], "10.0.0.1", 1), (IDS[2], "10.0.0.2", 2)), True)
    assert says(search, first) == Query("ECHO", IDS[2])
    assert says(search, first) == Query("ECHO", IDS[2])  # it came twice
    assert not search.is_answered
    assert says(search, Found(((IDS[3], "10.0.0.3", 3),))) is None
    assert search.is_settled
    assert search.found == (("10.0.0.1", 1), ("10.0.0.2", 2), ("10.0.0.3", 3))


def test_a_server_that_several_registries_know_is_one() -> None:
    search = Search("ECHO", None)
    assert says(search, Found(())) is None
    assert (search.is_answered, search.is_settled) == (True, False)  # others may know one
    says(search, Found(((IDS[1], "127.0.0.1", 1),)))
    says(search, Found(((IDS[1], "10.0.0.1", 1), (IDS[2], "127.0.0.1", 1))))
    assert search.found == (("127.0.0.1", 1),)


def test_a_catalogue() -> None:
    catalogue = Catalogue(("10.0.0.1",), None)
    assert open_packet(catalogue.opening, Kind.REQUEST).message == Listing(("10.0.0.1",))
    assert catalogue.found == ()
    says(catalogue, Refused(Why.LISTING, "not here"))
    assert catalogue.found is None
    assert says(catalogue, Names(("A", "B"), True)) == Listing(("10.0.0.1",), "B")
    assert says(catalogue, Names(("C",))) is None
    assert catalogue.found == ("A", "B", "C")


def test_a_registry_without_end_is_left() -> None:
    for search in (Search("ECHO", None), Catalogue((), None)):
        more = (
            Found(((IDS[1], "10.0.0.1", 1),), True)
            if isinstance(search, Search)
            else Names(("A",), True)
        )
        for _ in range(MOST_PAGES):
            assert says(search, more) is not None
        assert says(search, more) is None
        assert search.is_answered


def test_what_is_no_answer_is_ignored() -> None:
    search = Search("ECHO", None)
    reply = Found(((IDS[1], "10.0.0.1", 1),))
    assert search.hear(seal(reply, bytes(16), None)) is None  # an answer to somebody else
    assert search.trouble == ""
    assert search.hear(b"rubbish") is None
    assert search.trouble.startswith("what came was no answer of a registry: 7 bytes")
    assert not search.is_answered


def test_with_a_token_others_are_not_believed() -> None:
    search = Search("ECHO", KEY)
    assert open_packet(search.opening, Kind.REQUEST).is_proven(KEY or b"")
    for key in (None, key_of("another token of other people")):
        says(search, Found(((IDS[1], "10.6.6.6", 1),)), key)
        assert search.trouble == "a registry answered that does not know the token"
        says(search, Refused(Why.TOKEN, "the token, please"), key)
        assert search.trouble == "the registry has another token"
    assert (search.is_answered, search.found) == (False, ())
    says(search, Found(((IDS[1], "10.0.0.1", 1),)), KEY)
    assert search.found == (("10.0.0.1", 1),)


def test_wrong_requests_are_not_sent() -> None:
    with pytest.raises(ValueError, match="name of a service"):
        Search("", None)
    with pytest.raises(netobj.LimitExceeded):
        Change(Register(b"", IDS[0], tuple(f"{n}" * 50 for n in range(10, 26)), 1), None)


def test_what_went_wrong_elsewhere_does_not_matter_once_there_is_an_answer() -> None:
    search = Search("ECHO", None)
    search.failed("no way leads there")
    assert search.trouble == "no way leads there"
    says(search, Found(()))
    search.failed("no way leads there, either")
    assert search.trouble == ""
    says(search, Names(("A",)))  # no answer to that, and no harm
    assert search.found == ()


def test_a_conversation_says_how_it_goes_on() -> None:
    with pytest.raises(NotImplementedError):
        says(Conversation(Query("ECHO"), None), Done())
