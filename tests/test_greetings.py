"""What both skins say first."""

from __future__ import annotations

import socket

import netobj
from netobj.core.config import Config
from netobj.core.consts import PREAMBLE
from netobj.greetings import features, greeting, side_of


def test_it_is_what_a_connection_begins_with() -> None:
    config = Config(connid="backup")
    here, there = socket.socketpair()
    with here, netobj.connect_stream(netobj.SocketStream(there), config={"connid": "backup"}):
        hello = greeting(config, netobj.VoidService)
        assert hello.startswith(PREAMBLE)
        here.settimeout(20)
        assert here.recv(len(hello), socket.MSG_WAITALL) == hello


def test_a_side_is_called_after_its_root_unless_it_has_a_name() -> None:
    assert side_of(Config(), netobj.VoidService) == "the VoidService side"
    assert side_of(Config(connid="backup"), netobj.VoidService) == "backup"


def test_features_are_names() -> None:
    assert set(features()) <= {"oneway", "numpy", "zlib", "bz2", "lzma"}
