"""Which source frames of a call still lack their one answer. Event loop only."""

from __future__ import annotations

import asyncio


class Ledger:
    """Every frame is expected once and settled once, by its result or its drop notice."""

    def __init__(self) -> None:
        self._capture_time_us: dict[int, int] = {}
        self._settled = asyncio.Event()
        self._settled.set()

    def __repr__(self) -> str:
        return f"<Ledger {len(self._capture_time_us)} unanswered>"

    def expect(self, frame_id: int, capture_time_us: int) -> None:
        """A frame came in."""
        self._capture_time_us[frame_id] = capture_time_us
        self._settled.clear()

    def capture_time_us(self, frame_id: int) -> int | None:
        """What the client noted with the frame; None if it is not one of this call's, or answered already."""
        return self._capture_time_us.get(frame_id)

    def settle(self, frame_id: int) -> bool:
        """The frame is being answered. False if it is not one of this call's, or answered already."""
        known = self._capture_time_us.pop(frame_id, None) is not None
        if not self._capture_time_us:
            self._settled.set()
        return known

    async def settled(self) -> None:
        """Wait until every frame has its answer."""
        await self._settled.wait()


class EveryFrame(Ledger):
    """For a call that publishes nothing: every frame of the stream is its, whoever sent it and whenever."""

    def capture_time_us(self, frame_id: int) -> int | None:
        return 0  # the publisher's own note is not for others

    def settle(self, frame_id: int) -> bool:
        return True
