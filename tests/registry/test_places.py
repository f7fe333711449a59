from __future__ import annotations

import pytest

from netobj.registry.places import Asker, Place, loopback_of, place_for

MINE = {"127.0.0.1": "127.0.0.1", "::1": "::1", "10.0.0.1": "10.0.0.1", "10.0.0.9": "10.0.0.1"}


def asker(host: str) -> Asker:
    """One of a registry on a machine with the address 10.0.0.1."""
    return Asker(host, MINE.get)


ALL = Place("127.0.0.1", 1, True)
ALL6 = Place("::1", 1, True)
LOCAL = Place("127.0.0.1", 1)
LAN = Place("10.0.0.5", 5)
LAB = Place("192.168.1.5", 5)
LAB6 = Place("fd00::5", 5)


@pytest.mark.parametrize(
    ("who", "places", "found"),
    [
        ("127.0.0.1", [LOCAL], ("127.0.0.1", 1)),
        ("10.0.0.1", [LOCAL], ("127.0.0.1", 1)),  # of this machine, by another of its addresses
        ("10.0.0.9", [LOCAL], None),
        ("10.0.0.9", [ALL], ("10.0.0.1", 1)),
        ("127.0.0.1", [ALL], ("127.0.0.1", 1)),
        ("172.16.0.1", [ALL], None),  # cannot be reached
        ("::1", [ALL, ALL6], ("::1", 1)),
        ("::1", [ALL], ("127.0.0.1", 1)),
        ("10.0.0.9", [ALL6], ("10.0.0.1", 1)),
        ("fd00::9", [ALL], None),  # a socket of IPv4
        ("10.0.0.9", [LAN, LAB], ("10.0.0.5", 5)),
        ("192.168.1.9", [LAN, LAB], ("192.168.1.5", 5)),
        ("fd00::9", [LAN, LAB, LAB6], ("fd00::5", 5)),
        ("fd00::9", [LAN], ("10.0.0.5", 5)),
        ("10.0.0.9", [LOCAL, LAN], ("10.0.0.5", 5)),
        ("127.0.0.1", [LOCAL, LAN], ("127.0.0.1", 1)),
        ("10.0.0.9", [], None),
    ],
)
def test_the_address_that_the_asker_reaches(
    who: str, places: list[Place], found: tuple[str, int] | None
) -> None:
    assert place_for(asker(who), places) == found
    assert place_for(asker(who), places[::-1]) == found


def test_the_way_to_an_asker_is_looked_up_once_if_ever() -> None:
    asked: list[str] = []

    def facing(host: str) -> str | None:
        asked.append(host)
        return None

    who = Asker("10.0.0.9", facing)
    place_for(who, [LAN])
    assert asked == []
    place_for(who, [ALL])
    place_for(who, [ALL])
    assert asked == ["10.0.0.9"]


def test_loopbacks() -> None:
    assert loopback_of(asker("10.0.0.9")) == "127.0.0.1"
    assert loopback_of(asker("fd00::9")) == "::1"
