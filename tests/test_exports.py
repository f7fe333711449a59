"""The public names: pinned here, each at its home, each loaded only when used."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import netobj
from netobj import errors

PUBLIC = """
    AccessDenied AsyncDuplex AsyncIncoming AsyncResult AsyncResultTimeout AsyncServer
    AuthenticationError BaseNetref BgServingThread Busy Call CallCancelled Channel
    ClassicClient ClassicService Connection ConnectionLost DeployedServer DeploymentError
    DiscoveryError Duplex FakeSlaveService ForbiddenError ForkingServer FrameTooLarge
    FunctionService GenericException GeventServer Incoming LimitExceeded MasterService
    MultiServerDeployment NamedPipeStream NetobjError Netref NotEncodable NotNetobj
    OneShotServer PingError PipeStream ProtocolError Pump ReentrantCall RemoteBaseException
    SSLAuthenticator Service SlaveService SocketStream Stream StreamClosed TLSStream
    ThreadPoolServer ThreadedServer TokenAuthenticator UserAuthenticator UserLogin
    VersionMismatch VoidService WorkerCrashed __version__ aio async_ auth batch buffiter
    by_value classic classpartial connect connect_by_service connect_channel
    connect_multiprocess connect_pipes connect_stdpipes connect_stream connect_subproc
    connect_thread connect_url copy_of current_call deadline deploy discover exposed
    list_services metadata restricted service setup_logger spawn ssh_connect ssl_connect stub
    timed unix_connect utils
""".split()


def in_fresh_process(code: str) -> str:
    """What *code* prints in an interpreter that has imported nothing yet."""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def type_checking_imports() -> dict[str, str]:
    """name -> home, as the type checker is told in netobj/__init__.py."""
    tree = ast.parse(Path(netobj.__file__).read_text(encoding="utf-8"))
    guard = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.asname or alias.name: f"{node.module}"
        for node in guard.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_public_names_are_pinned() -> None:
    assert netobj.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_loads(name: str) -> None:
    assert getattr(netobj, name) is not None
    assert name in dir(netobj)


@pytest.mark.parametrize(("name", "home"), netobj._HOMES.items())
def test_public_name_is_the_one_at_its_home(name: str, home: str) -> None:
    assert getattr(netobj, name) is getattr(importlib.import_module(home), name)


def test_every_error_is_public() -> None:
    assert set(errors.__all__) == set(netobj._NAMES_BY_HOME["netobj.errors"])


def test_type_checker_and_loader_know_the_same_names() -> None:
    declared = type_checking_imports()
    assert declared.pop("*") == "netobj.errors"
    for submodule in netobj._SUBMODULES:
        assert declared.pop(submodule) == "netobj"
    lazy = {name: home for name, home in netobj._HOMES.items() if home != "netobj.errors"}
    assert declared == lazy


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'netobj' has no attribute 'nonsense'"):
        netobj.nonsense  # noqa: B018


def test_version_looks_like_one() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", netobj.__version__)


def test_import_loads_nothing_heavy() -> None:
    loaded = in_fresh_process("import sys, netobj; print(*sys.modules)").split()
    heavy = ("netobj.blocking", "netobj.core.session", "plumbum", "msgpack", "socket", "threading")
    assert [name for name in loaded if name.startswith(heavy)] == []


def test_default_config_is_reachable_from_the_top() -> None:
    code = "import netobj; print(netobj.core.protocol.DEFAULT_CONFIG['exposed_prefix'])"
    assert in_fresh_process(code) == "exposed_\n"
