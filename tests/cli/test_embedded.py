from __future__ import annotations

import sys

import pytest

from netobj.cli.embedded import EmbeddedServer

if sys.platform == "win32":
    pytest.skip("there it says that it cannot be done yet", allow_module_level=True)


def test_the_child_ends_when_the_socket_is_closed() -> None:
    with EmbeddedServer() as server:
        assert server.process.poll() is None
    assert server.process.returncode == 0
    server.close()  # again: nothing to do
