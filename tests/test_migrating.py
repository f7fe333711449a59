"""Programs for RPyC run when their imports say ``netobj``, and so do the imports themselves.

The programs are in tests/migrating: each text is a program for RPyC 6, and what it prints there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from certificates import Certificates
from patience import HANG

ROOT = Path(__file__).parents[1]
PROGRAMS = sorted(path.stem for path in (ROOT / "tests" / "migrating").glob("*.txt"))

# What RPyC's users import; the other names that RPyC has are on the page docs/migrating.rst.
IMPORTS = {
    "rpyc": """
        AsyncResult AsyncResultTimeout BaseNetref BgServingThread Channel ClassicService Connection
        ForkingServer GenericException MasterService OneShotServer PipeStream Service SlaveService
        SocketStream ThreadPoolServer ThreadedServer VoidService __version__ async_ buffiter classic
        connect connect_by_service connect_channel connect_pipes connect_stdpipes connect_stream
        connect_subproc connect_thread core discover exposed lib list_services restricted service
        setup_logger spawn ssh_connect ssl_connect timed utils version
    """,
    "rpyc.core": """
        AsyncResultTimeout BaseNetref ClassicService DEFAULT_CONFIG GenericException MasterService
        Service SlaveService VoidService async_ consts netref protocol service vinegar
    """,
    "rpyc.core.async_": "AsyncResultTimeout",
    "rpyc.core.netref": "BaseNetref",
    "rpyc.core.protocol": "DEFAULT_CONFIG PingError",
    "rpyc.core.service": """
        ClassicClient ClassicService FakeSlaveService MasterService ModuleNamespace Service
        SlaveService VoidService
    """,
    "rpyc.core.vinegar": "GenericException",
    "rpyc.lib": "setup_logger spawn",
    "rpyc.utils": """
        authenticators classic exposed factory helpers registry server service teleportation
        zerodeploy
    """,
    "rpyc.utils.authenticators": "AuthenticationError SSLAuthenticator",
    "rpyc.utils.classic": """
        ClassicService DEFAULT_SERVER_PORT DEFAULT_SERVER_SSL_PORT MockClassicConnection
        ModuleNamespace SlaveService connect connect_channel connect_multiprocess connect_pipes
        connect_stdpipes connect_stream connect_subproc connect_thread deliver download download_dir
        download_file interact obtain pm redirected_stdio ssh_connect ssl_connect teleport_function
        unix_connect upload upload_dir upload_file upload_module upload_package
    """,
    "rpyc.utils.factory": """
        DiscoveryError ForbiddenError UDPRegistryClient connect connect_by_service connect_channel
        connect_multiprocess connect_pipes connect_stdpipes connect_stream connect_subproc
        connect_thread discover list_services ssh_connect ssl_connect unix_connect
    """,
    "rpyc.utils.helpers": """
        BgServingThread async_ buffiter classpartial restricted timed
    """,
    "rpyc.utils.registry": """
        DEFAULT_PRUNING_TIMEOUT REGISTRY_PORT REREGISTER_INTERVAL RegistryClient RegistryServer
        TCPRegistryClient TCPRegistryServer UDPRegistryClient UDPRegistryServer
    """,
    "rpyc.utils.server": """
        AuthenticationError ForkingServer GeventServer OneShotServer Server ThreadPoolServer
        ThreadedServer UDPRegistryClient spawn
    """,
    "rpyc.utils.teleportation": "export_function import_function",
    "rpyc.utils.zerodeploy": "DeployedServer MultiServerDeployment SERVER_SCRIPT",
    "rpyc.version": "__version__ version",
}


def run(program: str, folder: Path, *arguments: str) -> str:
    """What the text *program*, written for RPyC, prints when it is run with netobj."""
    file = folder / "program.py"
    file.write_text(program.replace("rpyc", "netobj"))
    done = subprocess.run(
        [sys.executable, str(file), *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=HANG,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str, tmp_path: Path) -> None:
    text = (ROOT / "tests" / "migrating" / f"{name}.txt").read_text()
    program, _, prints = text.partition("---- prints\n")
    if name == "tls":
        Certificates(tmp_path).issue("ada@example.org")
        (tmp_path / "strange").mkdir()
        Certificates(tmp_path / "strange")
    assert run(program, tmp_path, str(tmp_path)) == prints


def test_the_programs_are_there() -> None:
    assert len(PROGRAMS) == 10


def test_imports(tmp_path: Path) -> None:
    lines = [
        f"from {module} import {', '.join(names.split())}" for module, names in IMPORTS.items()
    ]
    assert run("\n".join(lines), tmp_path) == ""


def test_paths_below_the_package_need_one_import(tmp_path: Path) -> None:
    lines = ["import rpyc"]
    for module, names in IMPORTS.items():
        lines += [f"{module}.{name}" for name in names.split()]
    assert run("\n".join(lines), tmp_path) == ""
