"""How often a stream is looked at to see whether it stands still: every frame while it may, a few while it moves. Pure.

What is not looked at is styled, so looking away can only miss a moment of rest: a quarter of a second at 30 fps. In turn a
stream that moves does not pay for the look.
"""

from __future__ import annotations

LOOKS_AWAY_AFTER = 8
"""Frames in a row that moved."""
LOOKS_EVERY = 8
"""Frames, while it moves."""


class Attention:
    """Asked once for every frame, and told of every comparison."""

    __slots__ = ("_away", "_moved")

    def __init__(self) -> None:
        self._moved = 0
        self._away = 0

    def __repr__(self) -> str:
        return f"<Attention after {self._moved} frames that moved>"

    def due(self) -> bool:
        """Whether the next frame is looked at: until one was compared, which takes two that reach the engine."""
        if self._moved < LOOKS_AWAY_AFTER:
            return True
        self._away += 1
        return self._away >= LOOKS_EVERY

    def compared(self, still: bool) -> None:
        """A frame was held against what was styled last."""
        self._moved = 0 if still else self._moved + 1
        self._away = 0
