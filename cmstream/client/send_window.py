"""How many frames `send` keeps under way, so that frames which nobody should lose do not displace each other.

The window of the server is for a stream whose next frame waits while one is styled. Where streams take turns on an engine, a
second frame only displaces the first that waits. It would be told so, which makes room for a third, and so on as fast as
the server lets it. Live sources do well to displace (`offer`); those that `send` feeds do not.
"""

from __future__ import annotations

from cmstream.core.frame import DropReason

LEAST = 8
"""Results after which the whole window is tried again; twice as many each time that it fails."""
MOST = 1024
LATE_SHARE = 0.75
"""Of a round trip: then the first frame has most likely left the slot, if it had to wait there for a batch without it."""


class SendWindow:
    """Narrow, which is one frame, from a frame of ours that displaced another of ours. Whole again in time, as a trial."""

    def __init__(self) -> None:
        self._patience = LEAST
        self._narrow = False
        self._results = 0
        self._round_trip_ns = 0

    def __repr__(self) -> str:
        return f"<SendWindow {f'narrow, {self._results} of {self._patience} results' if self._narrow else 'whole'}>"

    def opens_ns(self, in_flight: int, window_frames: int, last_sent_ns: int) -> int | None:
        """When one more frame may be sent, on the clock of `last_sent_ns`, 0 being now. None: not before an answer."""
        if in_flight == 0 or (not self._narrow and in_flight < window_frames):
            return 0
        if self._narrow and in_flight < window_frames and self._results >= self._patience:
            return last_sent_ns + round(LATE_SHARE * self._round_trip_ns)
        return None

    def sent(self, in_flight: int) -> None:
        """A frame was sent where so many were under way: where it was not the only one, narrow it is no longer."""
        if self._narrow and in_flight > 0:
            self._narrow, self._results = False, 0
            self._patience = min(2 * self._patience, MOST)

    def dropped(self, reason: DropReason) -> None:
        """A frame of ours came to nothing."""
        if reason is DropReason.SUPERSEDED:
            self._narrow, self._results = True, 0

    def styled(self, round_trip_ns: int) -> None:
        """A result came, so long after its frame was sent."""
        self._round_trip_ns = round_trip_ns
        self._results += 1
        if not self._narrow and self._results >= LEAST:
            self._patience = LEAST  # the trial has gone well
