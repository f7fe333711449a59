"""The settings: merging, and the live mapping that old programs use."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from netobj.core.config import (
    DEFAULT_CONFIG,
    SAFE_ATTRS,
    Config,
    ConfigMapping,
    Introspect,
    Serve,
    settings_for,
)
from netobj.core.consts import SPECIALS


def test_merge_makes_a_copy() -> None:
    config = Config()
    merged = config.merge({"allow_public_attrs": True, "connid": "one"})
    assert (merged.allow_public_attrs, merged.connid) == (True, "one")
    assert (config.allow_public_attrs, config.connid) == (False, None)


def test_merge_takes_what_old_programs_write() -> None:
    merged = Config().merge({"safe_attrs": ["__len__"], "serve": "caller"})
    assert merged.safe_attrs == frozenset(("__len__",))
    assert merged.serve is Serve.CALLER
    assert merged.merge({"serve": Serve.AUTO}).serve is Serve.AUTO


def test_merge_names_unknown_keys() -> None:
    with pytest.raises(ValueError, match="unknown configuration keys allow_all, zap"):
        Config().merge({"zap": 1, "allow_all": True, "connid": "x"})


def test_merge_refuses_an_unknown_way_to_serve() -> None:
    with pytest.raises(ValueError, match="sometimes"):
        Config().merge({"serve": "sometimes"})


def test_nothing_is_open_by_default_but_what_is_exposed_and_safe() -> None:
    opened = {key for key, value in DEFAULT_CONFIG.items() if key.startswith("allow_") and value}
    assert opened == {"allow_safe_attrs", "allow_exposed_attrs", "allow_getattr"}
    assert "__new__" not in SAFE_ATTRS
    assert set(SPECIALS) - SAFE_ATTRS == {"__dir__"}


def test_the_defaults_are_those_of_the_class() -> None:
    assert dict(DEFAULT_CONFIG) == Config()._asdict()


class TestSettings:
    class Shown:
        CONFIG: ClassVar = {"allow_pickle": True, "connid": "the service's"}

    def test_who_makes_the_connection_wins_over_the_service(self) -> None:
        settings = settings_for(self.Shown(), {"connid": "mine"})
        assert (settings.allow_pickle, settings.connid) == (True, "mine")

    def test_the_service_wins_over_the_defaults_of_the_program(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(DEFAULT_CONFIG, "connid", "the program's")
        monkeypatch.setitem(DEFAULT_CONFIG, "allow_getattr", False)
        settings = settings_for(self.Shown, {})
        assert (settings.allow_getattr, settings.connid) == (False, "the service's")
        assert settings_for(None, {}).connid == "the program's"

    def test_defaults_that_are_put_back_are_as_before(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(DEFAULT_CONFIG, "connid", "the program's")
        monkeypatch.undo()
        assert settings_for(None, {}) == Config()

    def test_unknown_keys_are_named_wherever_they_are(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(ValueError, match="unknown configuration keys zap"):
            settings_for(None, {"zap": 1})
        monkeypatch.setitem(DEFAULT_CONFIG, "zip", 1)
        with pytest.raises(ValueError, match="unknown configuration keys zip"):
            settings_for(None, {})


class Holder:
    def __init__(self) -> None:
        self.config = Config()
        self.mapping = ConfigMapping(lambda: self.config, self.put)

    def put(self, config: Config) -> None:
        self.config = config

    def test_a_program_may_add_to_the_safe_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert settings_for(None, {}) == Config()
        monkeypatch.setitem(DEFAULT_CONFIG, "safe_attrs", set(DEFAULT_CONFIG["safe_attrs"]))
        DEFAULT_CONFIG["safe_attrs"].add("__wrapped__")
        assert settings_for(None, {}).safe_attrs == SAFE_ATTRS | {"__wrapped__"}


class TestMapping:
    def test_reads_and_writes_the_settings_in_force(self) -> None:
        holder = Holder()
        holder.mapping["allow_pickle"] = True
        assert holder.config.allow_pickle
        holder.config = Config(connid="new")
        assert holder.mapping["connid"] == "new"
        assert not holder.mapping["allow_pickle"]

    def test_is_a_mapping(self) -> None:
        mapping = Holder().mapping
        assert dict(mapping) == Config()._asdict()
        assert len(mapping) == len(Config._fields)
        assert "connid" in mapping
        assert mapping.get("zap", 7) == 7
        mapping.update(connid="a", allow_setattr=True)
        assert (mapping["connid"], mapping["allow_setattr"]) == ("a", True)

    def test_unknown_keys(self) -> None:
        mapping = Holder().mapping
        with pytest.raises(KeyError, match="zap"):
            mapping["zap"]
        with pytest.raises(ValueError, match="zap"):
            mapping["zap"] = 1

    def test_nothing_is_deleted(self) -> None:
        with pytest.raises(TypeError, match="'connid' cannot be deleted"):
            del Holder().mapping["connid"]


OPEN_BY_DEFAULT = {"allow_safe_attrs", "allow_exposed_attrs", "allow_getattr"}
OTHERS_ON = {"propagate_KeyboardInterrupt_locally", "log_exceptions", "bind_threads"}


def test_what_is_open_unless_somebody_says_so() -> None:
    """A default that opens something is to be noticed here."""
    on = {key for key, value in Config()._asdict().items() if value is True}
    assert on == OPEN_BY_DEFAULT | OTHERS_ON


def test_the_times_are_those_of_the_documents() -> None:
    config = Config()
    assert (config.heartbeat_interval, config.heartbeat_timeout) == (20.0, 20.0)
    assert config.sync_request_timeout is None
    assert config.spin_time == 100e-6


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (True, Introspect.OWN),
        ("own", Introspect.OWN),
        ("all", Introspect.ALL),
        (Introspect.ALL, Introspect.ALL),
        (False, None),
        (None, None),
    ],
)
def test_introspect(value: Any, meant: Introspect | None) -> None:
    assert Config().merge({"introspect": value}).introspect is meant


@pytest.mark.parametrize("value", ["ALL", "", 1, 0, b"all"])
def test_what_introspect_is_not(value: Any) -> None:
    with pytest.raises(ValueError, match="Introspect"):
        Config().merge({"introspect": value})
