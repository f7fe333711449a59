"""Machines with several networks, or with none: made of the kernel's network namespaces.

The namespaces belong to a process of the test, and are gone with it. Skipped where making them is
not allowed, or unshare(1) or ip(8) is not there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def isolated(program: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run *program* as root of a network of its own, which has nothing but a loopback."""
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", program]
    return subprocess.run(
        [*command, *args], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )


def is_possible() -> bool:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    probe = "import os, sys; sys.exit(os.system('ip link add v0 type veth peer name v1') != 0)"
    return isolated(probe).returncode == 0


pytestmark = pytest.mark.skipif(not is_possible(), reason="network namespaces cannot be made here")

SETUP = textwrap.dedent("""
    import os, subprocess, sys, time
    import netobj
    from netobj.utils.registry import TCPRegistryClient, UDPRegistryClient
    from netobj.utils.registry import TCPRegistryServer, UDPRegistryServer

    def run(*commands):
        for command in commands:
            subprocess.run(command, shell=True, check=True)

    def until(is_so):
        end = time.monotonic() + 20
        while not is_so():
            assert time.monotonic() < end
            time.sleep(0.005)

    class MyService(netobj.Service):
        def exposed_get_answer(self):
            return 42

    def use(**more):
        try:
            found = netobj.discover("MY", **more)
            with netobj.connect_by_service("MY", **more) as conn:
                return found, conn.root.get_answer()
        except netobj.DiscoveryError as exc:
            return str(exc)

    run("ip link set lo up")
""")

# The other machine: it waits until it has its end of the cable, and then does what it is told.
OTHER = SETUP + textwrap.dedent("""
    print("there", flush=True)
    sys.stdin.readline()
    run("ip addr add 10.2.0.2/24 dev cable-b", "ip link set cable-b up")
    print("ready", flush=True)
    for line in sys.stdin:
        print(eval(line), flush=True)
""")

# This machine has two networks; its default route is in the first, the other machine in the second.
CABLED = SETUP + textwrap.dedent("""
    run(
        "ip link add office type veth peer name office-far",
        "ip link set office-far up",
        "ip addr add 10.1.0.1/24 dev office",
        "ip link set office up",
        "ip route add default via 10.1.0.254",
        "ip link add cable-a type veth peer name cable-b",
        "ip addr add 10.2.0.1/24 dev cable-a",
        "ip link set cable-a up",
    )
    other = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", sys.argv[1]],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    assert other.stdout.readline() == "there\\n"
    run(f"ip link set cable-b netns {other.pid}")

    def there(line):
        "What the other machine says to a line of Python."
        other.stdin.write(line + "\\n")
        other.stdin.flush()
        return other.stdout.readline().strip()

    assert there("") == "ready"
    until(lambda: "LOWER_UP" in subprocess.getoutput("ip link show cable-a"))
""")

END = """
other.stdin.close()
assert other.wait(20) == 0
other.stdout.close()
"""


def outcome(program: str, *args: str) -> list[str]:
    done = isolated(program, *args)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def two_machines(program: str) -> list[str]:
    return outcome(CABLED + textwrap.dedent(program) + END, OTHER)


def test_a_machine_without_a_network() -> None:
    said = outcome(
        SETUP
        + textwrap.dedent("""
            with UDPRegistryServer() as registry:
                with netobj.ThreadedServer(MyService, port=18861, auto_register=True):
                    print(use(timeout=20))
                print(registry.services)
        """)
    )
    assert said == ["((('127.0.0.1', 18861),), 42)", "{}"]


def test_a_server_with_two_networks_is_found_by_its_address_in_that_of_the_registry() -> None:
    said = two_machines("""
        print(there("[UDPRegistryServer(allow_listing=True).__enter__()][0].port"))
        with netobj.ThreadedServer(MyService, port=18861, auto_register=True):
            print(there("use(timeout=20)"))
            print(there("netobj.list_services()"))
            print(netobj.discover("MY"))
        print(there("use(timeout=0.3)"))
    """)
    assert said[:4] == [
        "18811",
        "((('10.2.0.1', 18861),), 42)",
        "('MY',)",
        "(('10.2.0.1', 18861),)",
    ]
    assert said[4].startswith("no server of 'MY' was found: the registry of")


@pytest.mark.parametrize("kind", ["UDP", "TCP"])
def test_the_registry_and_the_server_on_one_machine_and_the_client_on_another(kind: str) -> None:
    """Also where the server has reached the registry by the loopback."""
    said = two_machines(f"""
        registry = {kind}RegistryServer()
        local = {kind}RegistryClient("127.0.0.1")
        with registry, netobj.ThreadedServer(MyService, port=18861, registrar=local):
            print(use(registrar=local, timeout=20))
            print(there("use(registrar={kind}RegistryClient('10.2.0.1'), timeout=20)"))
    """)
    assert said == ["((('127.0.0.1', 18861),), 42)", "((('10.2.0.1', 18861),), 42)"]


def test_a_server_on_the_loopback_is_not_shown_to_other_machines() -> None:
    said = two_machines("""
        with UDPRegistryServer(), netobj.ThreadedServer(
            MyService, hostname="127.0.0.1", port=18861, auto_register=True
        ):
            print(use(timeout=20))
            print(there("use(timeout=0.3)"))
    """)
    assert said[0] == "((('127.0.0.1', 18861),), 42)"
    assert said[1].startswith("no server of 'MY' was found: the registry of")


def test_a_server_on_one_network_is_found_there() -> None:
    said = two_machines("""
        print(there("[UDPRegistryServer().__enter__()][0].port"))
        with netobj.ThreadedServer(
            MyService, hostname="10.2.0.1", port=18861, auto_register=True
        ):
            print(there("use(timeout=20)"))
    """)
    assert said == ["18811", "((('10.2.0.1', 18861),), 42)"]


def test_a_server_behind_another_address_says_so() -> None:
    """As in a container: where it is bound is not where others reach it."""
    said = two_machines("""
        token = "a token that is long enough"
        print(there(f"[UDPRegistryServer(token={token!r}).__enter__()][0].port"))
        registrar = UDPRegistryClient(token=token)
        with netobj.ThreadedServer(
            MyService, hostname="10.1.0.1", port=18861, registrar=registrar, advertise="10.2.0.1"
        ):
            print(there("netobj.discover('MY', timeout=20)"))
    """)
    assert said == ["18811", "(('10.2.0.1', 18861),)"]
