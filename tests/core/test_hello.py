"""What is said where there is no session yet."""

from __future__ import annotations

from fakewire import FakeWire, Side
from netobj.core.config import Config
from netobj.core.events import Goodbye, Hello
from netobj.core.hello import goodbye, greeting
from played import Root, lone


def test_what_is_sent_where_there_is_to_be_no_connection() -> None:
    session = lone(greeted=False)
    data = greeting(Config(), Root, side="server", process=b"s", features=("numpy",))
    hello_event, goodbye_event = session.receive_data(data + goodbye("x" * 300), 0.0)
    assert type(hello_event) is Hello
    assert session.peer_features == ("numpy",)
    assert type(goodbye_event) is Goodbye
    assert goodbye_event.reason == "x" * 200


def test_a_root_with_very_many_names_says_hello_without_them() -> None:
    many = {f"exposed_method{number}": lambda self: 7 for number in range(9000)}
    wide = type("Wide", (Root,), many)
    session = Side("wide", wide(), Config(), ()).session
    assert max(map(len, session.out)) < 1000
    wire = FakeWire(Root(), wide())
    assert wire.left.root.method8999() == 7
