"""Chained connections: netobj over netobj.

    python examples/gateway.py [HOST PORT INNER_HOST INNER_PORT]

HOST and PORT are those of a classic server on a gateway; INNER those of a classic server that
only the gateway reaches. The gateway opens the second connection, and we use it from here. Without
them we start a process for the gateway, and it one for the inner server.
"""

from __future__ import annotations

import sys

import netobj


def main() -> None:
    if sys.argv[1:]:
        host, port, inner_host, inner_port = sys.argv[1:]
        gateway = netobj.classic.connect(host, int(port))
        inner = gateway.modules["netobj"].classic.connect(inner_host, int(inner_port))
    else:
        gateway = netobj.classic.connect_subproc()
        inner = gateway.modules["netobj"].classic.connect_subproc()
    with gateway:
        with inner:
            pids = {gateway.modules.os.getpid(), inner.modules.os.getpid()}
            print(f"{len(pids)} processes besides ours")

            inner.execute("def squares(count): return [n * n for n in range(count)]")
            print("computed inside:", list(inner.namespace["squares"](5)))

            # A callback from the inner process runs here, through both connections.
            inner.builtins.print("printed here, from inside", file=sys.stdout)
            print("mapped:", list(inner.builtins.map(lambda n: n + 1, [1, 2, 3])))
            try:
                inner.modules.os.remove("/no/such/file")
            except FileNotFoundError as error:
                print("refused inside:", error.strerror)
        if inner.proc is not None:
            inner.proc.wait()
    if gateway.proc is not None:
        gateway.proc.wait()


if __name__ == "__main__":
    main()
