"""One process is killed while the other one waits for it: all that waits ends, once."""

from __future__ import annotations

import pytest

from killed import KILL_SERVER, METHODS, WAITING, kill_client, kill_server
from processes import SERVERS
from remains import nothing_left

TWICE = dict.fromkeys(range(2 * WAITING), 1)


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("client", KILL_SERVER)
def test_of_a_killed_server_everybody_hears(client: str, kind: str) -> None:
    with nothing_left():
        _, ends = kill_server(client, kind)
    assert ends.ends == {"call": WAITING, "callback": WAITING}
    assert ends.times == TWICE


@pytest.mark.parametrize("kind", METHODS)
def test_of_a_killed_client_every_method_hears(kind: str) -> None:
    with nothing_left():
        _, ends, service = kill_client(kind)
    assert ends.times == dict.fromkeys(range(METHODS[kind][1]), 1)
    assert service.disconnected == 1
