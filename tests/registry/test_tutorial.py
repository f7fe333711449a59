"""Two servers and a registry on one machine, as docs/registry.rst has them, in real processes.

The files and commands are those of the page, with the ports of the page. Where the kernel allows it
they run in a network of their own, so that nobody else has these ports.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "registry.rst").read_text(encoding="utf-8")

COMMAND = re.compile(r"^   \$ (.+)$", re.MULTILINE)
ISOLATED = ["unshare", "--user", "--map-root-user", "--net"]


def file_of(name: str) -> str:
    """The file *name* of the page."""
    block = PAGE.split(f":caption: {name}\n\n")[1]
    lines = []
    for line in block.splitlines():
        if line and not line.startswith("   "):
            break
        lines.append(line)
    return textwrap.dedent("\n".join(lines))


def is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as sock:
        try:
            sock.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def can_be_isolated() -> bool:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    probe = subprocess.run(
        [*ISOLATED, "ip", "link", "set", "lo", "up"], capture_output=True, check=False, timeout=60
    )
    return probe.returncode == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("my_server.py", "my_client.py"):
        (tmp_path / name).write_text(file_of(name))
    return tmp_path


def run(folder: Path, program: str, *args: str) -> list[str]:
    """What *program* prints in *folder*, with the page's ports to itself."""
    isolated = can_be_isolated()
    if not isolated:
        ports = [
            (18811, socket.SOCK_DGRAM),
            (18861, socket.SOCK_STREAM),
            (18862, socket.SOCK_STREAM),
        ]
        taken = [port for port, kind in ports if not is_free(port, kind)]
        if taken:
            pytest.skip(f"ports {taken} are taken, and networks cannot be made here")
    done = subprocess.run(
        [*(ISOLATED if isolated else []), sys.executable, "-c", program, str(isolated), *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


SETUP = """
import os, signal, subprocess, sys, time
if sys.argv[1] == "True":
    subprocess.run("ip link set lo up", shell=True, check=True)

def start(line):
    "Start a command of the page."
    first, *rest = line.split()
    found = {"python": [sys.executable], "netobj_registry": [sys.executable, sys.argv[2]]}[first]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return subprocess.Popen([*found, *rest], **pipes)

def end(child, number=signal.SIGTERM):
    child.send_signal(number)
    out, err = child.communicate(timeout=20)
    return child.returncode, err

def ask(line, is_enough):
    "Run a command again until it says enough: others are still on their way."
    until = time.monotonic() + 30
    while True:
        child = start(line)
        out, err = child.communicate(timeout=20)
        if is_enough(out) or time.monotonic() > until:
            return out, err
"""

PROCESSES = (
    SETUP
    + """
commands = sys.argv[3:]
client = commands.pop()
children = [start(command) for command in commands]
registry = next(c for c, line in zip(children, commands) if line == "netobj_registry")
out, err = ask(client, lambda out: "18861" in out and "18862" in out)
print(out, end="")
assert err == ""
children.remove(registry)
for server in children:
    end(server)
code, err = end(registry)
print(code, "Traceback" in err, "added: MY at 127.0.0.1:18861" in err)
"""
)


@pytest.mark.parametrize("last", [False, True], ids=["the registry first", "the registry last"])
def test_the_documented_set_up(folder: Path, last: bool) -> None:
    commands = COMMAND.findall(PAGE)[:4]
    assert commands == [
        "netobj_registry",
        "python my_server.py 18861",
        "python my_server.py 18862",
        "python my_client.py",
    ]
    if last:
        commands.insert(2, commands.pop(0))
    program = str(ROOT / "bin" / "netobj_registry.py")
    said = run(folder, PROCESSES, program, *commands)
    assert said == [
        "(('127.0.0.1', 18861), ('127.0.0.1', 18862))",
        "42",
        "0 False True",
    ]


THREADS = (
    SETUP
    + """
import netobj
from my_server import MyService
from netobj.utils.helpers import spawn
from netobj.utils.registry import UDPRegistryServer
from netobj.utils.server import ThreadedServer

registry = UDPRegistryServer()
servers = [ThreadedServer(MyService, port=port, auto_register=True) for port in (18861, 18862)]
threads = [spawn(server.start) for server in servers] + [spawn(registry.start)]
until = time.monotonic() + 30
while len(netobj.discover("MY")) < 2 and time.monotonic() < until:
    pass
print(netobj.discover("MY"))
print(netobj.connect_by_service("my").root.get_answer())
for server in [*servers, registry]:
    server.close()
for thread in threads:
    thread.join(20)
print([thread.is_alive() for thread in threads], registry.services)
"""
)


def test_threads_of_one_program(folder: Path) -> None:
    """As the reader of RPyC's tutorial had them, who could not find his servers."""
    assert run(folder, THREADS) == [
        "(('127.0.0.1', 18861), ('127.0.0.1', 18862))",
        "42",
        "[False, False, False] {}",
    ]


def test_the_files_are_on_the_page() -> None:
    names: dict[str, Any] = {"__name__": "my_server"}
    exec(compile(file_of("my_server.py"), "my_server.py", "exec"), names)
    assert names["MyService"].get_service_name() == "MY"
    compile(file_of("my_client.py"), "my_client.py", "exec")
