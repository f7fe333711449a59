"""``netobj stubs``: what is written of a service, as a module, and what cannot be written."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netobj
from certificates import Certificates
from netobj.auth import TokenAuthenticator
from netobj.cli.stub_text import Method, Space, module_text
from netobj.cli.stub_types import Imports, function, is_usable
from netobj.cli.stubs import StubsCommand

ROOT = Path(__file__).parents[2]
TOKEN = "correct-horse-battery-staple"


class Order:
    """What only the service knows."""


class Orders:
    """The orders of the shop."""

    @netobj.exposed
    def list(self, newest: int = 10) -> list[int]:
        """The newest ones."""
        return []


class ShopService(netobj.Service):
    """A shop.

    With two lines, a \\ and ""\"quotes""\".
    """

    exposed_open = True
    exposed_orders = Orders()
    looked = 0

    @netobj.exposed
    def add(self, a: int, /, b: int = 0, *more: int, scale: float = 1.5, **rest: str) -> int:
        """The sum."""
        return a + b

    @netobj.exposed(stream=True)
    def count(self, to: int) -> Iterator[int]:
        yield from range(to)

    @netobj.exposed(stream=True)
    async def prices(self) -> AsyncIterator[Decimal]:
        yield Decimal(1)

    @netobj.exposed
    async def buy(
        self, order: Order, then: Callable[[int], None], how: Literal["card", "cash"] = "card"
    ) -> Order | None:
        return None

    @netobj.exposed
    def untyped(self, a, b=()):  # type: ignore[no-untyped-def]
        return Sequence

    @netobj.exposed
    def __len__(self) -> int:
        return 1

    @netobj.exposed
    @property
    def costly(self) -> int:
        type(self).looked += 1
        return 5


EXPECTED = '''\
"""What the service at ADDRESS offers; written by `netobj stubs`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Literal, Protocol

# Not known here, so Any:
# Order


class ShopService(Protocol):
    """A shop.

    With two lines, a \\\\ and \\"\\"\\"quotes\\"\\"\\".
    """

    costly: Any

    open: Any

    orders: Any

    def add(self, a: int, /, b: int = 0, *more: int, scale: float = ..., **rest: str) -> int:
        """The sum."""

    def buy(
        self,
        order: Any,
        then: Callable[[int], None],
        how: Literal["card", "cash"] = ...,
    ) -> Any | None: ...

    def count(self, to: int) -> Iterator[int]: ...

    def prices(self) -> Iterator[Decimal]: ...

    def untyped(self, a: Any, b: Any = ...) -> Any: ...

    def __len__(self) -> int: ...
'''


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with netobj.ThreadedServer(ShopService, "localhost") as server:
        yield f"localhost:{server.port}"


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    _, code = StubsCommand.run(["netobj stubs", *args], exit=False)
    out, err = capsys.readouterr()
    return code, out, err


def test_a_protocol_is_written(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = ShopService.looked
    code, out, err = run(capsys, address)
    assert (code, err) == (0, "")
    assert out.replace(address, "ADDRESS") == EXPECTED
    assert ShopService.looked == before  # no property ran


def test_for_event_loops(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, address, "--async")
    assert "    async def untyped(self, a: Any, b: Any = ...) -> Any: ...\n" in out
    assert "    async def add(\n" in out
    assert "    def count(self, to: int) -> AsyncIterator[int]: ...\n" in out
    assert "    def prices(self) -> AsyncIterator[Decimal]: ...\n" in out
    assert "    @property\n    def open(self) -> Awaitable[Any]: ...\n" in out
    assert "__len__" not in out


def test_namespaces(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, address, "orders", "--name", "ShopOrders")
    assert "offers in orders;" in out
    assert out.endswith(
        '''
import builtins
from typing import Protocol


class ShopOrders(Protocol):
    """The orders of the shop."""

    def list(self, newest: int = 10) -> builtins.list[int]:
        """The newest ones."""
'''
    )
    _, out, _ = run(capsys, address, "--read")
    assert "class Orders(Protocol):\n" in out
    assert "    @property\n    def orders(self) -> Orders: ...\n" in out


def test_into_a_file(address: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    assert run(capsys, address, "-o", str(file)) == (0, "", "")
    assert file.read_text(encoding="utf-8").replace(address, "ADDRESS") == EXPECTED


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("localhost:1",), "localhost:1"),
        (("no address",), "no address"),
        (("ADDRESS", "open"), "'open' is no namespace of the service"),
        (("ADDRESS", "nothing"), "nothing"),
        (("ADDRESS", "add"), "'add' is no namespace"),
        (("ADDRESS", "--name", "5"), "--name '5' is no name of a class"),
        (("ADDRESS", "-o", "/nowhere/file"), "/nowhere/file"),
    ],
)
def test_what_goes_wrong_is_one_line(
    address: str, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], error: str
) -> None:
    code, out, err = run(capsys, *(arg.replace("ADDRESS", address) for arg in args))
    assert (code, out) == (1, "")
    assert err.startswith("netobj stubs: ")
    assert error in err
    assert err.count("\n") == 1


def test_over_tls_with_a_token(
    certificates: Certificates, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    server = netobj.ThreadedServer(
        ShopService,
        "localhost",
        ssl_context=certificates.server,
        authenticator=TokenAuthenticator(TOKEN),
    )
    with server:
        where = f"localhost:{server.port}"
        trust = ("--ssl-cafile", str(certificates.ca))
        code, out, _ = run(capsys, where, *trust, "--token-file", str(token))
        assert code == 0
        assert "class ShopService(Protocol):" in out
        code, _, err = run(capsys, where, *trust)
        assert code == 1
        assert err.startswith("netobj stubs: ")


@pytest.mark.parametrize("flags", [(), ("--read",), ("--async", "--read")], ids=" ".join)
def test_mypy_understands_what_is_written(
    address: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, flags: tuple[str, ...]
) -> None:
    run(capsys, address, "-o", str(tmp_path / "shop.py"), *flags)
    wait = "await " if "--async" in flags else ""
    loop = "async for" if "--async" in flags else "for"
    (tmp_path / "user.py").write_text(
        "from shop import ShopService\n"
        "async def use(shop: ShopService) -> None:\n"
        f"    reveal_type({wait}shop.add(1, 2, 3, scale=2, x='y'))\n"
        f"    {loop} number in shop.count(3):\n"
        "        reveal_type(number)\n"
        f"    {wait}shop.add('1')\n"
    )
    command = [sys.executable, "-m", "mypy", "--config-file=", "--strict"]
    command += ["--cache-dir", str(tmp_path / "cache")]
    mypy = subprocess.run(
        [*command, "user.py"], capture_output=True, text=True, cwd=tmp_path, env={"PATH": ""}
    )
    lines = [line for line in mypy.stdout.splitlines() if line.startswith(("user.py", "shop.py"))]
    assert [line.partition(": ")[2].partition("  [")[0] for line in lines] == [
        'note: Revealed type is "int"',
        'note: Revealed type is "int"',
        'error: Argument 1 to "add" of "ShopService" has incompatible type "str"; expected "int"',
    ], mypy.stdout + mypy.stderr


@pytest.mark.parametrize(
    ("told", "parameters", "result"),
    [
        (None, "*args: Any, **kwargs: Any", "Any"),
        ("", "*args: Any, **kwargs: Any", "Any"),
        ("()", "", "Any"),
        ("(a, *, b=None)", "a: Any, *, b: Any = None", "Any"),
        ("(a: 'int') -> 'str'", "a: int", "str"),
        ("(a: Optional[int]) -> Union[int, str]", "a: int | None", "int | str"),
        (
            "(a: List[int]) -> Dict[str, Tuple[int, ...]]",
            "a: list[int]",
            "dict[str, tuple[int, ...]]",
        ),
        ("(a: Annotated[int, f()])", "a: int", "Any"),
        ("(a: Literal['b\\n', 1, None])", "a: Any", "Any"),
        ("(a: Callable) -> Callable[..., int]", "a: Callable", "Callable[..., int]"),
        ("(a: collections.abc.Set[int])", "a: Set[int]", "Any"),
        ("(a: os.PathLike[str], b: Account = ...)", "a: Any, b: Any = ...", "Any"),
        ("() -> Coroutine[Any, Any, int]", "", "int"),
        ("() -> Generator[int, None, str]", "", "Iterator[int]"),
        ("() -> Iterator", "", "Iterator[Any]"),
        ("(a: datetime.datetime) -> timedelta", "a: datetime", "timedelta"),
        (
            "(a: int = -5, b: int = 5, c: str = 'x')",
            "a: int = ..., b: int = 5, c: str = ...",
            "Any",
        ),
        ("(a: f()) -> [int for int in x]", "a: Any", "Any"),
        ("(a: (lambda: 1)())", "a: Any", "Any"),
        ("(a: 'lambda')", "a: Any", "Any"),
        ("(a=<object object>)", "*args: Any, **kwargs: Any", "Any"),
        ("(): pass\nimport os\ndef g()", "*args: Any, **kwargs: Any", "Any"),
        ("(" * 1000, "*args: Any, **kwargs: Any", "Any"),
        ("(a: " + "list[" * 60 + "int" + "]" * 60 + ")", "", ""),
        ("(a: int)" + " " * 3000, "*args: Any, **kwargs: Any", "Any"),
    ],
)
def test_signatures(told: str | None, parameters: str, result: str) -> None:
    found = function(told, Imports())
    if parameters or result:
        assert (", ".join(found.parameters), found.result) == (parameters, result)
    else:
        assert "Any" in found.parameters[0]


def names_in(text: str) -> set[str]:
    return {name.name for name in ast.walk(ast.parse(text)) if isinstance(name, ast.FunctionDef)}


def test_names_that_are_none_are_left_out() -> None:
    names = ["good", "import", "a b", "", "x\nimport os", "_private", "__init__", "ﬁ", "g\u202e"]
    assert [name for name in names if is_usable(name)] == ["good"]
    text = module_text("", Space("a.b c", methods=tuple(map(Method, names))))
    assert names_in(text) == {"good"}
    assert "class Service(Protocol):" in text


def test_names_that_mean_something_else_in_the_class() -> None:
    signature = "(self: int, a: list[Any]) -> Iterator[str]"
    names = ("list", "Any", "Iterator", "property", "str", "Protocol")
    space = Space("Protocol", methods=tuple(Method(name, signature) for name in names))
    text = module_text("", space._replace(attributes=("date",), spaces=(("int", space),)), True)
    assert "class Protocol2(typing.Protocol):" in text
    assert (
        "        this,\n        self: builtins.int,\n        a: builtins.list[typing.Any]" in text
    )
    exec(compile(text, "written", "exec"), {"__name__": "written"})


@pytest.mark.parametrize(
    "doc",
    [
        'ends with "',
        'three """',
        'four """"',
        "a \\",
        'a \\"',
        "tab\there",
        "\x00",
        "\ud800",
        "\u202e",
        "# coding: utf-7\n+AGE-",
        "\x0c\n\x1c",
        "{any}",
        "a\\\nb",
    ],
)
def test_docstrings_stay_what_they_are(doc: str) -> None:
    space = Space("Thing", doc, (Method("f", "()", doc),))
    text = module_text(doc, space)
    tree = ast.parse(text.encode("utf-8"))
    assert all(isinstance(part, ast.Expr | ast.ImportFrom | ast.ClassDef) for part in tree.body)
    assert all(character.isprintable() or character == "\n" for character in text)
    names: dict[str, Any] = {"__name__": "written"}
    exec(compile(text, "written", "exec"), names)
    told = "\n".join(doc.splitlines()).replace("\ud800", "\\ud800")
    assert names["Thing"].f.__doc__.split() == told.split()


TEXTS = st.one_of(
    st.text(max_size=30),
    st.text(alphabet="()[]{}:,*/=-> 'abint.\"\\\n#|@lambda", max_size=40),
    st.sampled_from(["(a: int) -> str", "(): pass\nimport os", "x", "Any", "list", "(a=f())"]),
)
METHODS = st.builds(Method, TEXTS, st.none() | TEXTS, st.none() | TEXTS, st.booleans())
SPACES = st.builds(
    Space,
    TEXTS,
    st.none() | TEXTS,
    st.lists(METHODS, max_size=2).map(tuple),
    st.lists(TEXTS, max_size=1).map(tuple),
    st.just(("__len__", "__call__", "__init__", "x")),
)


@settings(max_examples=30)
@given(TEXTS, SPACES, TEXTS, st.booleans())
def test_whatever_is_told_what_is_written_defines_protocols_only(
    about: str, space: Space, name: str, asynchronous: bool
) -> None:
    text = module_text(about, space._replace(spaces=((name, space),)), asynchronous)
    tree = ast.parse(text.encode("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call | ast.Lambda | ast.Await)]
    assert calls == []
    exec(compile(tree, "written", "exec"), {"__name__": "written"})


def test_a_module_that_would_do_something_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from netobj.cli import stub_text

    for code in (
        "f()",
        "import os",
        "from os import path",
        "class A(f()): pass",
        "class A(Protocol, metaclass=M): pass",
        "@f\nclass A(Protocol): pass",
        "class A(Protocol):\n    x: int = f()",
        "class A(Protocol):\n    x: f()",
        "class A(Protocol):\n    def f(self): return g()",
        "class A(Protocol):\n    def f(self, x=g()): ...",
        "class A(Protocol):\n    def f(self, x: g()): ...",
        "class A(Protocol):\n    @g\n    def f(self): ...",
        "class A(Protocol):\n    g()",
    ):
        with pytest.raises(ValueError, match="not to be written down"):
            stub_text._check(ast.parse(code))


def test_groups_of_functions_are_namespaces(capsys: pytest.CaptureFixture[str]) -> None:
    svc = netobj.FunctionService("calc")

    @svc.register(group="maths.deep")
    def double(number: int) -> int:
        return 2 * number

    with netobj.ThreadedServer(svc, "localhost") as server:
        where = f"localhost:{server.port}"
        _, out, _ = run(capsys, where)
        assert "class Deep(Protocol):\n    def double(self, number: int) -> int: ...\n" in out
        assert "class Calc(Protocol):\n    @property\n    def maths(self) -> Maths: ...\n" in out
        _, out, _ = run(capsys, where, "maths.deep")
        assert "class Deep(Protocol):\n    def double(" in out
        assert "Calc" not in out
