"""What may be a pre-shared key, and where it is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from netobj.auth import PreSharedKey, new_key, read_key
from netobj.auth.psk import protecting

KEY = bytes(range(32))


def test_new_keys_differ_and_will_do() -> None:
    one, other = new_key(), new_key()
    assert one != other
    PreSharedKey(one)
    PreSharedKey(bytearray(other))
    PreSharedKey(KEY + b"longer")


@pytest.mark.parametrize(
    ("key", "kind", "text"),
    [
        ("correct horse battery staple, and more", TypeError, "is bytes, no text"),
        (b"correct horse battery staple, and more", ValueError, "passphrase can be guessed"),
        (KEY.hex().encode(), ValueError, "bytes.fromhex"),
        (KEY[:31], ValueError, "has 31 bytes"),
        (b"", ValueError, "has 0 bytes"),
        (bytes(32), ValueError, "not random"),
        (b"\x80secret" * 8, ValueError, "not random"),
        (12, TypeError, "no int"),
        (None, TypeError, "no NoneType"),
    ],
)
def test_what_can_be_guessed_is_refused(key: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text) as info:
        PreSharedKey(key)
    assert "new_key()" in str(info.value)
    assert "staple" not in str(info.value)


def test_a_repr_does_not_show_the_key() -> None:
    assert repr(PreSharedKey(KEY)) == "<netobj.auth.PreSharedKey>"


def kept(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b" \n"])
def test_a_key_in_a_file(tmp_path: Path, end: bytes) -> None:
    path = kept(tmp_path, KEY.hex().encode() + end)
    assert read_key(path) == read_key(str(path)) == KEY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o610, 0o644])
def test_a_file_that_others_may_read(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ValueError, match="others may know the key"):
        read_key(kept(tmp_path, KEY.hex().encode(), mode))


def test_a_file_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kept(tmp_path, KEY.hex().encode())
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(ValueError, match="others may know the key"):
        read_key(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", KEY, KEY.hex().encode()[:-2], b"secret words " * 5, b"0" * 2000, b"\xff" * 64],
)
def test_a_file_without_a_key(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match="has no key: that is a line of 64") as info:
        read_key(kept(tmp_path, content))
    assert "secret" not in str(info.value)
    assert info.value.__cause__ is None


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_key(tmp_path / "key")


def test_what_may_be_an_argument() -> None:
    psk = PreSharedKey(KEY)
    assert protecting(psk) is psk
    assert protecting(None, object()) is None
    with pytest.raises(ValueError, match="give one of them"):
        protecting(psk, object())
    with pytest.raises(TypeError, match=r"of the type bytes") as info:
        protecting(KEY)
    assert "x00" not in str(info.value)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_cryptography_is_loaded_for_the_first_key() -> None:
    assert run(
        "import sys, netobj.aio, netobj.servers.threaded, netobj.auth\n"
        "print('cryptography' in sys.modules)\n"
        "netobj.auth.PreSharedKey(netobj.auth.new_key())\n"
        "print('cryptography' in sys.modules)\n"
    ).split() == ["False", "True"]


def test_without_cryptography_it_is_said_what_is_missing() -> None:
    said = run(
        "import sys\n"
        "sys.modules['cryptography'] = None\n"
        "from netobj import auth\n"
        "try: auth.PreSharedKey(auth.new_key())\n"
        "except ImportError as exc: print(exc)\n"
    )
    assert "pip install 'netobj[psk]'" in said
