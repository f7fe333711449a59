"""A transport under a pre-shared key, over another one."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, cast

from netobj.aio.wire import shared_buffer
from netobj.auth.sealed import CUT, RECORD, in_records
from netobj.errors import ProtocolError


class Inner(Protocol):
    """What a :class:`SealedWire` hands on to."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is a transport."""

    def arrived(self, data: bytes) -> None:
        """Something came."""

    def eof_received(self) -> None:
        """The other side has closed its end."""

    def cut(self, reason: str) -> None:
        """The end came where it cannot be meant."""

    def broken(self, exc: ProtocolError) -> None:
        """What came is not what the other side has sent."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""

    def pause_writing(self) -> None:
        """It has more bytes than it likes."""

    def resume_writing(self) -> None:
        """They have been written."""


class SealedTransport(asyncio.Transport):
    """Encrypts what is written, for the loop's thread alone. ``get_extra_info("psk")`` is True.

    What is not here raises NotImplementedError: nothing gets past the encryption.
    """

    def __init__(self, plain: asyncio.Transport, sealer: Any, protocol: Any) -> None:
        super().__init__()
        self._plain = plain
        self._sealer = sealer
        self.protocol = protocol

    def write(self, data: Any) -> None:
        """Encrypt and send *data*, without waiting."""
        if 0 < len(data) <= RECORD:
            self._plain.write(b"".join(self._sealer.seal(data)))
            return
        for piece in in_records((data,)):
            self._plain.write(b"".join(self._sealer.seal(piece)))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As every transport's."""
        return True if name == "psk" else self._plain.get_extra_info(name, default)

    def get_protocol(self) -> Any:
        """Who gets what comes."""
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        """Another gets what comes from here on."""
        self.protocol = protocol

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._plain.is_closing()

    def close(self) -> None:
        """Close it once what was written has left."""
        self._plain.close()

    def abort(self) -> None:
        """Close it at once."""
        self._plain.abort()

    def pause_reading(self) -> None:
        """Let what comes wait; what has come is still handed on."""
        self._plain.pause_reading()

    def resume_reading(self) -> None:
        """Go on with that."""
        self._plain.resume_reading()

    def get_write_buffer_size(self) -> int:
        """How many bytes wait, encrypted."""
        return self._plain.get_write_buffer_size()


class SealedWire(asyncio.BufferedProtocol):
    """Decrypts what a transport tells, and hands it on to *inner*, or who is in its place by then.

    *shake* is a :class:`netobj.auth.sealing.Handshake` that has ended well.
    """

    def __init__(self, inner: Inner, shake: Any) -> None:
        self._first: Inner | None = inner
        self._sealer = shake.sealer
        self._opener = shake.opener
        self._view = shared_buffer()
        self._broken = False
        self._transport: SealedTransport

    @property
    def _inner(self) -> Inner:
        return cast("Inner", self._transport.protocol)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        first, self._first = self._first, None
        assert first is not None
        plain = cast("asyncio.Transport", transport)
        self._transport = SealedTransport(plain, self._sealer, first)
        first.connection_made(self._transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self.arrived(self._view[:nbytes])

    def arrived(self, data: bytes | memoryview) -> None:
        """Encrypted bytes came."""
        if self._broken:
            return
        try:
            opened = self._opener.open(data)  # all of it, before another may use the buffer
        except ProtocolError as exc:
            self._broken = True
            self._inner.broken(exc)
            return
        if opened:
            self._inner.arrived(opened[0] if len(opened) == 1 else b"".join(opened))

    def eof_received(self) -> None:
        if self._broken:
            return
        if self._opener.amid:
            self._inner.cut(CUT)
        else:
            self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
