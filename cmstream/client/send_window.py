"""How many frames `send` keeps under way, so that frames which nobody should lose do not displace each other.

The window of the server is for a stream whose frames find the engine free: one is styled, the next one waits already. Where
streams share the engine, a second frame would only displace the first that waits. It would be told so, which makes room for a
third, and so on as fast as the network goes. Live sources do well to displace (`offer`); those that `send` feeds do not.
"""

from __future__ import annotations

from cmstream.core.frame import DropReason

ENOUGH = 8
"""Results in a row that found the engine free, before the whole window is used again."""
SHORT_MS = 1.0
SHORT_SHARE = 0.5


class SendWindow:
    """Narrow, which is one frame, from a frame of ours that displaced another of ours until the engine is free again."""

    def __init__(self) -> None:
        self._narrow = False
        self._free = 0

    def __repr__(self) -> str:
        return f"<SendWindow {'narrow' if self._narrow else 'whole'}>"

    def frames(self, window_frames: int) -> int:
        """How many of the server's `window_frames` to use."""
        return 1 if self._narrow else window_frames

    def dropped(self, reason: DropReason) -> None:
        """A frame of ours came to nothing."""
        if reason is DropReason.SUPERSEDED:
            self._narrow, self._free = True, 0

    def styled(self, queued_ms: float, engine_ms: float) -> None:
        """A result came, whose frame waited so long for an engine that then took so long."""
        free = queued_ms < max(SHORT_MS, SHORT_SHARE * engine_ms)
        self._free = self._free + 1 if free else 0
        self._narrow = self._narrow and self._free < ENOUGH
