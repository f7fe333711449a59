"""Exceptions: their types, what they carry, and that they come home as themselves."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import netobj
from netobj.errors import AccessDenied, GenericException, RemoteBaseException
from pairings import Pair, Pairing


class Unknown(LookupError):
    """Known to this process, but no peer's names cause a look at it."""


class Risky(netobj.Service):
    kept: Any = None

    @netobj.exposed
    def fail(self, name: str, *args: Any) -> None:
        raise FAILURES[name](*args)

    @netobj.exposed
    async def fail_async(self, name: str, *args: Any) -> None:
        raise FAILURES[name](*args)

    @netobj.exposed
    def fail_fully(self) -> None:
        try:
            try:
                {}["inner"]
            except KeyError:
                raise TypeError("context")  # noqa: B904
        except TypeError as exc:
            error = ValueError("outer", 3)
            error.note = "extra"
            error.__notes__ = ["a note"]
            raise error from exc

    @netobj.exposed
    def fail_with_group(self) -> None:
        raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])  # noqa: F821

    @netobj.exposed
    def stop_iteration(self) -> None:
        raise StopIteration(5)

    @netobj.exposed
    def pass_through(self, callback: Any) -> None:
        callback()

    @netobj.exposed
    async def pass_through_async(self, callback: Any) -> None:
        await callback()

    @netobj.exposed
    def caught(self, callback: Any) -> str:
        try:
            callback()
        except ValueError as exc:
            return f"{type(exc).__name__} {exc}"
        return "nothing"

    @netobj.exposed
    def given(self, exc: Any) -> Any:
        return exc

    @netobj.exposed
    def unsendable(self) -> Any:
        return "x" * 3, Nested.deep()


class Nested:
    @staticmethod
    def deep() -> Any:
        value: Any = frozenset()
        for _ in range(100):
            value = frozenset({value})
        return value


FAILURES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (ValueError, KeyError, OSError, ZeroDivisionError, Unknown, UnicodeDecodeError)
}
FAILURES["SystemExit"] = SystemExit
SERVICE = Risky
FAIL = pytest.mark.parametrize("method", ["fail", "fail_async"])


class TestKinds:
    @FAIL
    def test_builtins_are_caught_as_themselves(self, pair: Pair, method: str) -> None:
        fail = getattr(pair.root, method)
        with pytest.raises(ValueError, match="bad") as caught:
            pair.get(fail("ValueError", "bad", 3))
        assert type(caught.value) is ValueError
        assert caught.value.args == ("bad", 3)
        with pytest.raises(KeyError) as key:
            pair.get(fail("KeyError", (1, 2)))
        assert key.value.args == ((1, 2),)
        with pytest.raises(FileNotFoundError) as missing:
            pair.get(fail("OSError", 2, "no such file", "name"))
        assert (missing.value.errno, missing.value.filename) == (2, "name")
        with pytest.raises(UnicodeDecodeError):
            pair.get(fail("UnicodeDecodeError", "utf-8", b"\xff", 0, 1, "reason"))

    @FAIL
    def test_unknown_classes_have_their_names_and_builtin_bases(
        self, pair: Pair, method: str
    ) -> None:
        with pytest.raises(LookupError, match="where is it") as caught:
            pair.get(getattr(pair.root, method)("Unknown", "where is it"))
        assert isinstance(caught.value, GenericException)
        assert not isinstance(caught.value, Unknown)
        assert type(caught.value).__name__ == "Unknown"

    @FAIL
    def test_what_would_end_the_process_arrives_wrapped(self, pair: Pair, method: str) -> None:
        with pytest.raises(RemoteBaseException, match="3"):
            pair.get(getattr(pair.root, method)("SystemExit", 3))

    def test_started_calls_raise_likewise(self, pair: Pair) -> None:
        started = pair.start(pair.root.fail, "ZeroDivisionError", "late")
        with pytest.raises(ZeroDivisionError, match="late"):
            started.result()


class TestContents:
    def test_attributes_notes_cause_and_context(self, pair: Pair) -> None:
        with pytest.raises(ValueError, match="outer") as caught:
            pair.get(pair.root.fail_fully())
        error = caught.value
        assert error.note == "extra"
        assert error.__notes__[0] == "a note"
        assert type(error.__cause__) is TypeError
        assert type(error.__cause__.__context__) is KeyError
        assert error.__cause__.__context__.args == ("inner",)

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="there are no groups")
    def test_groups(self, pair: Pair) -> None:
        with pytest.raises(ExceptionGroup) as caught:  # noqa: F821
            pair.get(pair.root.fail_with_group())
        assert [type(exc) for exc in caught.value.exceptions] == [ValueError, KeyError]

    def test_the_error_says_where_its_traceback_was_logged(self, pair: Pair) -> None:
        with pytest.raises(ValueError, match="bad") as caught:
            pair.get(pair.root.fail("ValueError", "bad"))
        assert "Traceback" not in str(caught.value)

    def test_the_remote_traceback_where_it_is_sent(self, pairing: Pairing) -> None:
        pair = pairing.join(Risky, config={"include_local_traceback": True})
        with pytest.raises(ValueError, match="bad") as caught:
            pair.get(pair.root.fail("ValueError", "bad"))
        shown = "".join(map(str, [*getattr(caught.value, "__notes__", ()), caught.value]))
        assert "raise FAILURES" in shown or "raise FAILURES" in caught.value._remote_tb

    def test_exceptions_as_arguments_and_results_are_objects(self, pair: Pair) -> None:
        mine = ValueError("v")
        assert pair.get(pair.root.given(mine)) is mine


class TestComingHome:
    @pytest.mark.parametrize("method", ["pass_through", "pass_through_async"])
    def test_the_very_object(self, pair: Pair, method: str) -> None:
        mine = Unknown("mine")

        def callback() -> None:
            raise mine

        with pytest.raises(Unknown) as caught:
            pair.get(getattr(pair.root, method)(callback))
        assert caught.value is mine

    def test_through_many_levels(self, pair: Pair) -> None:
        mine = ValueError("deep")

        def thrower(levels: int) -> Any:
            @pair.function
            def call() -> Any:
                if not levels:
                    raise mine
                yield pair.root.pass_through(thrower(levels - 1))

            return call

        with pytest.raises(ValueError, match="deep") as caught:
            pair.get(pair.root.pass_through(thrower(4)))
        assert caught.value is mine

    def test_caught_over_there(self, pair: Pair) -> None:
        def callback() -> None:
            raise ValueError("seen")

        assert pair.get(pair.root.caught(callback)) == "ValueError seen"


class TestRefusals:
    def test_say_what_which_rule_and_who(self, pair: Pair) -> None:
        with pytest.raises(AccessDenied) as caught:
            pair.get(pair.root.kept)
        text = str(caught.value)
        assert "kept" in text
        assert "Risky" in text

    def test_what_cannot_be_sent_back_is_an_error_of_the_call(self, pair: Pair) -> None:
        with pytest.raises(Exception, match="nested") as caught:
            pair.get(pair.root.unsendable())
        assert not isinstance(caught.value, EOFError)
        pair.ping()

    def test_what_cannot_be_sent_there_is_raised_here(self, pair: Pair) -> None:
        with pytest.raises(ValueError, match="nested"):
            pair.get(pair.root.given(Nested.deep()))
        pair.ping()
