"""The times that a peer has, and what is done when they are over."""

from __future__ import annotations

from typing import Final

from netobj.core.consts import Kind
from netobj.core.sending import Sending
from netobj.errors import ConnectionLost

PROGRESS: Final = 16 * 1024
"""Bytes of a long frame or a big value that have to come in the time for a whole short one."""


class Patient(Sending):
    """Knows when to look at the clock, and what is due by then."""

    _pinged_at: float | None = None
    _since: float | None = None  # when the clock was first looked at

    def tick(self, now: float, stuck_since: float | None = None) -> float | None:
        """Do what is due at *now*; returns when to call again, or None (there is no time limit).

        *stuck_since*: when the peer last took anything of what waits to be written, if anything
        does. Raises ConnectionLost when the peer has let a time pass.
        """
        if self.lost is not None:
            return None
        dues = (
            self._tick_hello(now),
            self._tick_frame(now),
            self._tick_written(now, stuck_since),
            self._tick_heartbeat(now),
        )
        return min([due for due in dues if due is not None], default=None)

    def _tick_hello(self, now: float) -> float | None:
        patience = self.config.handshake_timeout
        if self.greeted or patience is None:
            return None
        if self._since is None:
            self._since = now
        if now >= self._since + patience:
            raise ConnectionLost(f"the peer did not say hello within {patience:g} s")
        return self._since + patience

    def _tick_frame(self, now: float) -> float | None:
        begun, patience = self.begun, self.config.frame_timeout
        if begun is None:
            return None
        if patience is None or not (self._reader.mid_frame or self.arriving):
            self.begun = None
            self.timed = False
            return None
        if now < begun + patience or self._reader.fresh:
            return (now if self._reader.fresh else begun) + patience
        there = self._reader.arrived
        if there < self._was_there + PROGRESS:
            raise ConnectionLost(
                f"the peer began a message and did not go on with it within {patience:g} s"
            )
        self.begun, self._was_there = now, there
        return now + patience

    def _tick_written(self, now: float, stuck_since: float | None) -> float | None:
        patience = self.config.write_timeout
        if stuck_since is None or patience is None:
            return None
        if now >= stuck_since + patience:
            raise ConnectionLost(f"the peer took nothing of what was sent for {patience:g} s")
        return stuck_since + patience

    def _tick_heartbeat(self, now: float) -> float | None:
        interval, patience = self.config.heartbeat_interval, self.config.heartbeat_timeout
        if interval is None:
            return None
        if self.last_heard is None:
            self.last_heard = now
        if self._pinged_at is not None and self.last_heard >= self._pinged_at:
            self._pinged_at = None
        if self._pinged_at is None:
            if now < self.last_heard + interval:
                return self.last_heard + interval
            self._pinged_at = now
            self._queue([int(Kind.PING), None])
            return now + min(interval, patience)
        if now < self._pinged_at + patience:
            return min(now + interval, self._pinged_at + patience)
        raise ConnectionLost(
            f"the peer has been silent for {now - self.last_heard:.0f} s and did not answer a ping "
            f"within {patience:g} s"
        )
