from __future__ import annotations

from pathlib import Path

import pytest

from netobj.cli.token import VARIABLE, read_token


def test_where_a_token_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert read_token(None) is None
    monkeypatch.setenv(VARIABLE, "")
    assert read_token(None) is None
    monkeypatch.setenv(VARIABLE, "of the environment")
    assert read_token(None) == b"of the environment"
    file = tmp_path / "token"
    file.write_bytes(b" of a file\r\n")
    assert read_token(str(file)) == b"of a file"
    with pytest.raises(FileNotFoundError):
        read_token(str(tmp_path / "none"))
