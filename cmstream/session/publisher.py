"""The publishing end of a stream, as a transport holds it. Event loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from types import TracebackType

from cmstream.core.cells import Cells
from cmstream.core.errors import InvalidFrame
from cmstream.core.frame import Frame, Rgb, check_rgb
from cmstream.core.trace import Trace

Push = Callable[[Frame, Cells | None], None]


class Publisher:
    """A context manager: leaving it ends the publication. The session may end it first: `closed` is set, `reason` says why."""

    def __init__(self, transport: str, last_frame_id: int, push: Push, leave: Callable[[Publisher], None]) -> None:
        self.transport = transport
        self.closed = asyncio.Event()
        self.reason = ""
        self.last_frame_id = last_frame_id
        self._push = push
        self._leave = leave

    def __repr__(self) -> str:
        return f"<Publisher {self.transport}, frame {self.last_frame_id}{', closed' if self.closed.is_set() else ''}>"

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def push(
        self,
        rgb: Rgb,
        *,
        pts: int,
        time_base: Fraction,
        trace: Trace,
        frame_id: int | None = None,
        cells: Cells | None = None,
    ) -> int:
        """Hand in the newest source frame; returns its id. Nobody may write to `rgb` afterwards.

        `frame_id` must be above the last one; None counts on. `cells` are those of `rgb`, from whoever was off the event loop
        anyway; None measures them here if they are needed. Raises InvalidFrame. After close the frame is ignored.
        """
        rgb = check_rgb(rgb)
        if frame_id is None:
            frame_id = self.last_frame_id + 1
        elif frame_id <= self.last_frame_id:
            raise InvalidFrame(f"frame id {frame_id} does not follow {self.last_frame_id}; ids must increase")
        if not self.closed.is_set():
            self.last_frame_id = frame_id
            self._push(Frame(frame_id, rgb, pts, time_base, trace), cells)
        return frame_id

    def close(self, reason: str = "the publisher left") -> None:
        """End the publication. Closing twice is fine."""
        if not self.closed.is_set():
            self.reason = reason
            self.closed.set()
            self._leave(self)
