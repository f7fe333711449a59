from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netobj import auth
from netobj.auth import UserAuthenticator, UserLogin, users
from netobj.errors import AuthenticationError

NONCE = bytes(32)


@pytest.fixture(scope="module")
def kept() -> dict[str, str]:
    return {"tom": auth.hash_password("open sesame"), "": auth.hash_password("nobody")}


def judge(server: UserAuthenticator, user: str, password: str) -> Any:
    credentials, proof = server.judge(NONCE, UserLogin(user, password).answer(NONCE)[0])
    assert proof == b""
    return credentials


def test_who_knows_the_password_is_let_in(kept: dict[str, str]) -> None:
    server = UserAuthenticator(kept)
    assert judge(server, "tom", "open sesame") == "tom"
    for user, password in [("tom", "open"), ("tim", "open sesame"), ("tom", ""), ("", "")]:
        with pytest.raises(AuthenticationError, match="wrong credentials") as info:
            judge(server, user, password)
        assert "open" not in str(info.value)


def test_an_unknown_user_takes_as_much_work_as_a_known_one(
    kept: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = UserAuthenticator(kept)
    hashed: list[str] = []
    scrypt = users._scrypt

    def count(password: str, salt: bytes) -> bytes:
        hashed.append(password)
        return scrypt(password, salt)

    monkeypatch.setattr(users, "_scrypt", count)
    for user in ("tom", "nobody knows"):
        with pytest.raises(AuthenticationError):
            judge(server, user, "wrong")
    assert hashed == ["wrong", "wrong"]


def test_a_function_may_decide() -> None:
    answers = {"yes": True, "id": 17, "zero": 0, "empty": "", "no": False, "none": None}
    server = UserAuthenticator(lambda user, password: answers[user])
    assert judge(server, "yes", "x") == "yes"
    assert judge(server, "id", "x") == 17
    assert judge(server, "zero", "x") == 0
    assert judge(server, "empty", "x") == ""
    for user in ("no", "none"):
        with pytest.raises(AuthenticationError):
            judge(server, user, "x")
    with pytest.raises(KeyError):
        judge(server, "unknown", "x")


def test_hashes_are_salted() -> None:
    one, other = auth.hash_password("x"), auth.hash_password("x")
    assert one != other
    assert auth.is_password("x", one)
    assert auth.is_password("x", other)
    assert not auth.is_password("y", one)


@pytest.mark.parametrize("value", ["open sesame", "scrypt$00$11", "scrypt$xx$" + 64 * "g", None, 1])
def test_passwords_are_not_kept_as_they_are(value: Any) -> None:
    with pytest.raises(ValueError, match="hash_password") as info:
        UserAuthenticator({"tom": value})
    assert "open sesame" not in str(info.value)


def test_users_are_a_mapping_or_a_function() -> None:
    with pytest.raises(TypeError, match="a mapping of names"):
        UserAuthenticator(["tom"])  # type: ignore[arg-type]


def test_only_a_few_hashes_are_computed_at_a_time(
    kept: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "_at_once", threading.BoundedSemaphore(1))
    monkeypatch.setattr(users, "LOGIN_TIME", 0.001)
    with users._at_once, pytest.raises(AuthenticationError, match="too many users"):
        auth.is_password("x", kept["tom"])
    assert not auth.is_password("x", kept["tom"])


def test_a_login_that_is_too_long() -> None:
    UserLogin("x" * 1000, "y" * 1000)
    with pytest.raises(ValueError, match="longer than") as info:
        UserLogin("x" * 1000, "secret" * 1000)
    assert "secret" not in str(info.value)


def test_a_repr_does_not_show_the_password() -> None:
    assert repr(UserLogin("tom", "secret")) == "<netobj.auth.UserLogin 'tom'>"
    assert "tom" not in repr(UserAuthenticator({"tom": auth.hash_password("x")}))


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_whatever_comes_there_are_only_documented_errors(answer: bytes) -> None:
    server = UserAuthenticator(lambda user, password: False)
    with pytest.raises(AuthenticationError):
        server.judge(NONCE, answer)


@pytest.mark.parametrize(
    ("user", "password"), [("tom", "a:b/c@d"), ("tøm", "pässword ☃"), ("", "")]
)
def test_names_and_passwords_travel_as_they_are(user: str, password: str) -> None:
    heard: list[tuple[str, str]] = []
    server = UserAuthenticator(lambda *who: heard.append(who) or True)  # type: ignore[func-returns-value]
    judge(server, user, password)
    assert heard == [(user, password)]


def test_each_is_for_its_side(kept: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="UserLogin is for clients"):
        UserLogin("tom", "x").judge(NONCE, b"")
    with pytest.raises(TypeError, match="UserAuthenticator is for servers"):
        UserAuthenticator(kept).answer(NONCE)
