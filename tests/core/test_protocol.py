"""The path netobj.core.protocol, kept for programs written for RPyC."""

from __future__ import annotations

import pytest

import netobj.core.config
import netobj.core.protocol
import netobj.errors


def test_each_name_is_the_one_at_its_home() -> None:
    assert netobj.core.protocol.DEFAULT_CONFIG is netobj.core.config.DEFAULT_CONFIG
    assert netobj.core.protocol.PingError is netobj.errors.PingError


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = netobj.core.nonsense


def test_it_is_imported_when_it_is_asked_for() -> None:
    assert netobj.core.__getattr__("protocol") is netobj.core.protocol
