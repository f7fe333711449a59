"""Local arguments that travel as copies."""

from __future__ import annotations

import array
import collections
import io
import socket
from typing import Any

import pytest

from fakewire import CLASSIC, FakeWire
from netobj.core.arguments import buffers_copied, containers_copied, writable_view
from netobj.core.boxing import ByValue


def given(*objects: Any) -> tuple[FakeWire, Any]:
    """A wire whose left side, which exposes nothing, holds what the right side has."""
    wire = FakeWire(right_root=list(objects), left_config=None, right_config=CLASSIC)
    return wire, [wire.left.root[index] for index in range(len(objects))]


def test_a_local_dict_updates_a_remote_one_in_one_round_trip() -> None:
    wire, (there,) = given({})
    there.update({})
    with wire.counted() as log:
        there.update({"a": 1}, b=2)
    assert [entry for entry in log if "RELEASE" not in entry] == ["left REQUEST", "right REPLY"]
    assert there == {"a": 1, "b": 2}


def test_what_has_an_identity_stays_a_reference() -> None:
    _, (there,) = given({})
    inner = [1]
    there.update({"a": inner, "b": len})
    assert there["a"] is inner
    assert there["b"] is len


def test_what_is_kept_is_never_copied() -> None:
    _, (there,) = given([])
    inner = [1]
    there.append(inner)
    assert there[0] is inner


@pytest.mark.parametrize(
    ("make", "argument", "expected"),
    [
        (list, [1, 2], [1, 2]),
        (dict, {"a": 1}, {"a": 1}),
        (set, {1, 2}, {1, 2}),
        (collections.Counter, {"a": 2}, {"a": 2}),
    ],
)
def test_container_classes_copy_local_containers(make: Any, argument: Any, expected: Any) -> None:
    _, (there,) = given(make)
    assert there(argument) == expected


def test_large_and_nested_containers_go_by_reference() -> None:
    nested: list[Any] = [([1],)]
    large = list(range(20_000))
    assert containers_copied((nested, large, 5)) == (nested, large, 5)
    (copied,) = containers_copied(([1, "a"],))
    assert isinstance(copied, ByValue)


@pytest.mark.parametrize(
    "buffer", [bytearray(b"abc"), memoryview(b"abc"), array.array("b", b"abc")]
)
def test_files_write_local_buffers(buffer: Any) -> None:
    _, (file, cls) = given(io.BytesIO(), io.BytesIO)
    assert file.write(buffer) == 3
    assert file.getvalue() == b"abc"
    assert cls(buffer).getvalue() == b"abc"


def test_sockets_send_local_buffers() -> None:
    left, right = socket.socketpair()
    with left, right:
        _, (there,) = given(left)
        there.sendall(bytearray(b"abc"))
        assert right.recv(3) == b"abc"


def test_readinto_fills_the_local_buffer() -> None:
    _, (file,) = given(io.BytesIO(b"12345678"))
    buffer = bytearray(b"hello")
    assert file.readinto(buffer) == 5
    assert buffer == b"12345"
    assert file.readinto(memoryview(buffer)[1:]) == 3
    assert buffer == b"16785"
    assert file.readinto(buffer) == 0
    with pytest.raises(TypeError):
        file.readinto("")
    with pytest.raises(TypeError):
        file.readinto(b"read-only")


def test_what_is_no_buffer_stays_what_it_is() -> None:
    assert buffers_copied((1, "a", None)) == (1, "a", None)
    assert writable_view(("a",)) is None
    assert writable_view(()) is None
    assert writable_view((b"abc",)) is None


def test_what_is_no_buffer_stays() -> None:
    thing = object()
    assert buffers_copied((thing, bytearray(b"ab"))) == (thing, b"ab")


def test_reading_into_a_buffer_when_there_is_nothing_yet() -> None:
    class Quiet(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> Any:
            return None

    wire = FakeWire(right_root={"file": Quiet()}, left_config=CLASSIC, right_config=CLASSIC)
    assert wire.left.root["file"].readinto(bytearray(3)) is None
