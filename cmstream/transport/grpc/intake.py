"""Source frames of one call on their way into the stream. Event loop; JPEGs are decoded on the `codecs` threads.

One JPEG is decoded at a time and one may wait: a newer one takes its place, so decoding never builds a backlog.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from cmstream.core.cells import Cells, cells_of
from cmstream.core.clock import Clock
from cmstream.core.frame import Drop, DropReason, Rgb
from cmstream.core.mailbox import Mailbox
from cmstream.core.trace import Stage, Trace
from cmstream.session.publisher import Publisher
from cmstream.v1.frame_pb2 import PIXEL_FORMAT_RGB24, SourceFrame
from cmstream.wire.frame import check_source, jpeg_rgb, raw_rgb, time_base_of

Arrival = tuple[SourceFrame, memoryview, Trace]


class Intake:
    """Checks frames, decodes them and pushes them. `dropped` hears of every frame displaced before it was decoded."""

    def __init__(self, publisher: Publisher, clock: Clock, codecs: Executor, dropped: Callable[[Drop], None]) -> None:
        self._publisher = publisher
        self._clock = clock
        self._codecs = codecs
        self._dropped = dropped
        self._waiting: Mailbox[Arrival] = Mailbox()
        self._idle = asyncio.Event()
        self._idle.set()

    def __repr__(self) -> str:
        return f"<Intake {'idle' if self._idle.is_set() else 'decoding'}, {self._publisher!r}>"

    async def put(self, frame: SourceFrame, data: memoryview, received_ns: int) -> None:
        """Take a frame in. Raw frames are pushed before this returns. Raises InvalidFrame naming the field."""
        check_source(frame, data)
        trace = Trace(received_ns)
        if frame.pixel_format == PIXEL_FORMAT_RGB24:
            await self.idle()
            self._push(frame, raw_rgb(frame, data), trace)
            return
        self._idle.clear()
        displaced = self._waiting.put((frame, data, trace))
        if displaced is not None:
            self._dropped(Drop(displaced[0].frame_id, DropReason.SUPERSEDED, frame.frame_id))

    async def idle(self) -> None:
        """Wait until every frame taken in was pushed, so that what comes next comes after them."""
        await self._idle.wait()

    async def run(self) -> None:
        """Decode until cancelled. Raises InvalidFrame for a JPEG that cannot be decoded."""
        loop = asyncio.get_running_loop()
        while True:
            frame, data, trace = await self._waiting.get()
            rgb, cells = await loop.run_in_executor(self._codecs, _decoded, frame, data)
            self._push(frame, rgb, trace.mark(Stage.DECODE, self._clock.now_ns()), cells)
            if self._waiting.peek() is None:
                self._idle.set()

    def _push(self, frame: SourceFrame, rgb: Rgb, trace: Trace, cells: Cells | None = None) -> None:
        time_base = time_base_of(frame)
        self._publisher.push(rgb, pts=frame.pts, time_base=time_base, trace=trace, frame_id=frame.frame_id, cells=cells)


def _decoded(frame: SourceFrame, data: memoryview) -> tuple[Rgb, Cells]:
    rgb = jpeg_rgb(frame, data)
    return rgb, cells_of(rgb)
