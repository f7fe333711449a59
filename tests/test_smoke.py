"""The main paths across two real processes; run on every Python that .ci/run finds."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

import netobj

SERVER = """
import sys
import netobj

class Shop(netobj.Service):
    def __init__(self):
        self.stock = {}

    def exposed_add(self, name, price, **more):
        self.stock[name] = (price, more)
        return len(self.stock)

    def exposed_items(self):
        return self.stock

    def exposed_each(self, callback):
        return [callback(name) for name in sorted(self.stock)]

    def exposed_fail(self):
        raise LookupError("no such thing")

class Both(Shop, netobj.SlaveService):
    def __init__(self):
        Shop.__init__(self)
        netobj.SlaveService.__init__(self)

server = netobj.ThreadedServer(Both, hostname="localhost")
print(server.port, flush=True)
server.start()
"""


def test_two_processes() -> None:
    child = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        port = int(child.stdout.readline())
        with netobj.classic.connect("localhost", port) as conn:
            use_service(conn)
            use_interpreter(conn)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def use_service(conn: netobj.Connection) -> None:
    shop = conn.root
    assert shop.add("tea", 2.5) == 1
    assert shop.add("milk", 10**30, fresh=True) == 2
    items = shop.items()
    assert len(items) == 2
    assert "tea" in items
    assert items["milk"][0] == 10**30
    assert netobj.copy_of(items) == {"tea": (2.5, {}), "milk": (10**30, {"fresh": True})}

    threads: list[int] = []

    def callback(name: str) -> str:
        threads.append(threading.get_ident())
        return name.upper()

    assert list(shop.each(callback)) == ["MILK", "TEA"]
    assert set(threads) == {threading.get_ident()}
    assert netobj.async_(shop.add)("salt", 1).value == 3
    with pytest.raises(LookupError, match="no such thing"):
        shop.fail()
    conn.ping()


def use_interpreter(conn: netobj.Connection) -> None:
    assert conn.modules.os.getpid() != __import__("os").getpid()
    assert conn.eval("6 * 7") == 42
    conn.execute("def double(x): return 2 * x")
    assert conn.namespace["double"](21) == 42
    data = bytes(range(256)) * 4096
    assert conn.builtins.bytes(data) == data
    numbers = conn.builtins.list(range(5))
    assert [x * x for x in numbers] == [0, 1, 4, 9, 16]
    assert isinstance(numbers, list)
    offset = 3

    def shift(x: int, by: int = 1) -> int:
        return x + by + offset

    assert conn.teleport(shift)(10) == 14
