"""A connection's channel, for programs that reach for ``conn._channel.stream.sock``."""

from __future__ import annotations

from netobj.blocking.streams import Stream


class Channel:
    """Wraps a :class:`~netobj.blocking.streams.Stream`; the session does the framing."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def fileno(self) -> int:
        """The descriptor that the channel reads from."""
        return self.stream.read_fd

    def close(self) -> None:
        """End both directions of the stream."""
        self.stream.shutdown()

    @property
    def closed(self) -> bool:
        """True when the stream's descriptor is gone."""
        return self.stream.read_fd < 0
