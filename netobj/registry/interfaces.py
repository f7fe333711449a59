"""The addresses of this machine."""

from __future__ import annotations

import array
import importlib
import socket
import struct
import sys
from typing import Final

LOOPBACK: Final = "127.0.0.1"

_SIOCGIFCONF: Final = 0x8912
_IFREQ: Final = 16 + (24 if struct.calcsize("P") == 8 else 16)  # a name, and a union
_MOST: Final = 64


def facing(host: str) -> str | None:
    """The address of this machine that *host*, an address, sees; None if it cannot be reached.

    Nothing is sent.

    >>> facing("127.0.0.1")
    '127.0.0.1'
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((host, 9))
            found: str = sock.getsockname()[0]
    except OSError:
        return None
    return found


def local_addresses() -> list[str]:
    """The IPv4 addresses of this machine, the loopback's first.

    >>> local_addresses()[0]
    '127.0.0.1'
    """
    found = {LOOPBACK: None}
    if sys.platform == "linux":
        found.update(dict.fromkeys(_of_interfaces()))
    else:
        found.update(dict.fromkeys(_of_host_name()))
        outward = facing("192.0.2.1")  # an address of nobody (RFC 5737): the way out
        if outward is not None:
            found[outward] = None
    return list(found)[:_MOST]


def _of_interfaces() -> list[str]:
    """What the kernel says, see netdevice(7)."""
    fcntl = importlib.import_module("fcntl")  # not on Windows
    buffer = array.array("B", bytes(_IFREQ * _MOST))
    where, size = buffer.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        done = fcntl.ioctl(sock, _SIOCGIFCONF, struct.pack("iP", size, where))
    used = struct.unpack("iP", done)[0]
    return [
        socket.inet_ntoa(buffer[start + 20 : start + 24].tobytes())
        for start in range(0, used, _IFREQ)
    ]


def _of_host_name() -> list[str]:
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        return []
    return [str(address[0]) for *_, address in found]
