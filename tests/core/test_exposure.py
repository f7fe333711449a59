"""``@exposed`` and ``@service``: where marks lie, what they look through, which aliases appear."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from netobj.core.exposure import MARK, Exposure, exposed, exposure_of, service, unwrapped

PLAIN = Exposure()


def fresh() -> Any:
    return lambda *args: args


@pytest.mark.parametrize(
    "make",
    [
        lambda f: exposed(f),
        lambda f: staticmethod(exposed(f)),
        lambda f: exposed(staticmethod(f)),
        lambda f: classmethod(exposed(f)),
        lambda f: exposed(classmethod(f)),
        lambda f: property(exposed(f)),
        lambda f: exposed(property(f)),
        lambda f: exposed(property(None, f)),
        lambda f: functools.partialmethod(exposed(f), 1),
        lambda f: exposed(functools.partialmethod(f, 1)),
        lambda f: functools.cached_property(exposed(f)),
        lambda f: functools.singledispatchmethod(exposed(f)),
        lambda f: functools.wraps(exposed(f))(fresh()),
        lambda f: exposed(functools.partial(f, 1)),
        lambda f: exposed(type("Marked", (), {})),
    ],
)
def test_marks_are_found_through_every_wrapper(make: Any) -> None:
    assert exposure_of(make(fresh())) == PLAIN


@pytest.mark.parametrize(
    "thing", [fresh(), property(), staticmethod(fresh()), len, 5, None, "text", int, object()]
)
def test_what_is_not_marked_has_no_exposure(thing: object) -> None:
    assert exposure_of(thing) is None


def test_bound_methods_show_the_mark_of_their_function() -> None:
    class Service:
        @exposed(by_value=True)
        def rows(self) -> list[int]:
            return []

    assert exposure_of(Service().rows) == Exposure(by_value=True)


def test_exposed_keeps_what_it_decorates() -> None:
    function = fresh()
    prop = property(function)
    assert exposed(function) is function
    assert exposed(prop) is prop
    assert exposed("rpc_")(function) is function
    assert exposed()(function) is function


def test_options_are_kept_in_the_mark() -> None:
    assert exposure_of(exposed(by_value=True)(fresh())) == Exposure(by_value=True)
    assert exposure_of(exposed("p_", concurrent=True)(fresh())) == Exposure("p_", concurrent=True)
    assert exposure_of(exposed(fresh(), concurrent=True)) == Exposure(concurrent=True)


@pytest.mark.parametrize("thing", [len, 5, object()])
def test_what_cannot_be_marked_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match="exposed"):
        exposed(thing)


def test_the_mark_of_a_class_is_not_its_subclasses_nor_its_instances() -> None:
    @exposed
    class Base:
        pass

    class Derived(Base):
        pass

    assert exposure_of(Base) == PLAIN
    assert exposure_of(Derived) is None
    assert exposure_of(Base()) is None


def test_marking_a_partialmethod_does_not_mark_the_function_inside() -> None:
    function = fresh()
    exposed(functools.partialmethod(function, 1))
    assert exposure_of(function) is None


def test_reading_a_mark_runs_no_user_code() -> None:
    class Trap:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"asked for {name}")

        def __get__(self, obj: object, owner: object = None) -> Any:
            raise AssertionError("bound")

    class LoudProperty(property):
        fget: Any = property(lambda self: pytest.fail("fget was run"))

    assert exposure_of(Trap()) is None
    assert exposure_of(LoudProperty(exposed(fresh()))) == PLAIN


def test_a_false_mark_is_no_mark() -> None:
    function = fresh()
    setattr(function, MARK, True)
    assert exposure_of(function) is None


def test_endless_wrapping_ends() -> None:
    loop = functools.partialmethod(fresh())
    loop.func = loop
    assert exposure_of(loop) is None


def test_service_adds_prefixed_aliases() -> None:
    @service
    class Sample:
        @exposed
        def foo(self) -> str:
            return "foo"

        @exposed("rpc_")
        def bar(self) -> str:
            return "bar"

        @exposed
        @property
        def size(self) -> int:
            return 3

        @exposed
        @staticmethod
        def fixed() -> int:
            return 4

        def hidden(self) -> None: ...

    sample: Any = Sample()
    assert (sample.exposed_foo(), sample.rpc_bar()) == ("foo", "bar")
    assert (sample.exposed_size, Sample.exposed_fixed()) == (3, 4)  # type: ignore[attr-defined]
    assert not hasattr(Sample, "exposed_hidden")
    assert not hasattr(Sample, "exposed_bar")


@pytest.mark.parametrize("rule", [{"limit": 1}, {"timeout": 1}, {"run": "thread"}], ids=str)
def test_rules_are_for_what_is_called_by_its_name(rule: dict[str, Any]) -> None:
    def __call__(self: object) -> None: ...  # noqa: N807

    for target in (property(lambda self: 1), functools.cached_property(lambda self: 1)):
        with pytest.raises(ValueError, match="no property is"):
            exposed(**rule)(target)
    for special in (__call__, staticmethod(__call__)):
        with pytest.raises(ValueError, match="do not hold for __call__"):
            exposed(**rule)(special)
    assert exposure_of(exposed(local_only=True)(__call__)) == Exposure(local_only=True)


@pytest.mark.parametrize(
    "name", ["by_value", "arguments_by_value", "concurrent", "stream", "local_only"]
)
def test_each_declaration_is_noted(name: str) -> None:
    declared: dict[str, Any] = {name: True}

    class Sample:
        @exposed(**declared)
        def one(self) -> None: ...

        @exposed("rpc_", **declared)
        def two(self) -> None: ...

        @exposed
        def three(self) -> None: ...

    for method, prefix in (("one", None), ("two", "rpc_")):
        assert exposure_of(vars(Sample)[method]) == Exposure(prefix, **declared)
    assert exposure_of(vars(Sample)["three"]) == Exposure()


def test_what_is_at_the_bottom() -> None:
    def function() -> None: ...

    class Sample:
        method = function
        fixed = staticmethod(function)
        size = property(function)
        partial = functools.partialmethod(function)

    inside = (vars(Sample)[name] for name in ("method", "fixed", "size", "partial"))
    for attribute in (function, Sample().method, *inside):
        assert unwrapped(attribute) is function
    assert unwrapped(len) is len
    assert unwrapped(7) == 7


def test_there_is_a_bound_to_the_layers_that_are_looked_through() -> None:
    wrapped: Any = len
    for _ in range(100):
        wrapped = staticmethod(wrapped)
    assert type(unwrapped(wrapped)) is staticmethod


def test_service_takes_in_inherited_marks_and_nested_classes() -> None:
    class Base:
        @exposed
        def foo(self) -> int:
            return 1

    @service
    class Derived(Base):
        @exposed
        class Inner:
            @exposed
            def deep(self) -> int:
                return 2

    derived: Any = Derived()
    assert derived.exposed_foo() == 1
    assert derived.exposed_Inner().exposed_deep() == 2
    assert "exposed_foo" not in vars(Base)


def test_service_keeps_an_alias_that_the_class_defines_and_is_idempotent() -> None:
    class Base:
        @exposed
        def foo(self) -> int:
            return 1

    class Derived(Base):
        def exposed_foo(self) -> int:
            return 2

    service(service(Derived))
    assert Derived().exposed_foo() == 2
    assert not any(name.startswith("exposed_exposed_") for name in vars(Derived))


def test_an_exposed_class_in_a_service_exposes_its_own() -> None:
    @service
    class Outer:
        @exposed
        class Inner:
            @exposed
            def method(self) -> int:
                return 1

    assert Outer.exposed_Inner().exposed_method() == 1  # type: ignore[attr-defined]


def test_an_alias_that_is_inherited_is_one_already() -> None:
    @service
    class Base:
        @exposed
        def foo(self) -> int:
            return 1

    @service
    class Derived(Base):
        pass

    assert service(Derived) is Derived
    assert {name for name in vars(Derived) if "foo" in name} == {"exposed_foo"}


def test_types_are_checked_only_where_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("netobj.core.exposure.import_module", missing)
    with pytest.raises(ImportError, match=r"pip install 'netobj\[types\]'"):
        exposed(check_types=True)(lambda: 1)
