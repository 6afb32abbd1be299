"""The thread that waits for the device and hands results over: each thing that was launched, in order."""

from __future__ import annotations

from cmstream.core.clock import NS_PER_MS, Clock
from cmstream.core.errors import EngineFailed
from cmstream.core.trace import Stage
from cmstream.engine.base import EngineOutput
from cmstream.engine.pipeline.device import Handover
from cmstream.engine.pipeline.flight import Finished
from cmstream.engine.pipeline.launched import Launched, Reaped, Refused
from cmstream.engine.pipeline.pipeline import Pipeline
from cmstream.engine.pipeline.sharing import Room


class Reaper:
    """Answers the batches, and tells the issuing thread through `inbox` of ticks that are over and of what failed."""

    def __init__(self, pipeline: Pipeline, room: Room, clock: Clock, inbox: Handover) -> None:
        self._pipeline = pipeline
        self._room = room
        self._clock = clock
        self._inbox = inbox
        self._done_ns = 0

    def take(self, item: Launched | Refused) -> None:
        """Wait until it is over."""
        if isinstance(item, Refused):
            item.ticket.batch.fail(item.error)
            return
        try:
            finished = self._pipeline.finish(item.in_flight)
        except Exception as error:  # whatever the device reports of work that was launched
            self._fail(item, item.error or EngineFailed(f"the device failed on a batch of {len(item.tickets)}: {error}"))
        else:
            if item.error is not None:
                self._fail(item, item.error)
            else:
                self._hand_over(item, finished)

    def _fail(self, item: Launched, error: Exception) -> None:
        for ticket in item.tickets:
            ticket.batch.fail(error)
        self._inbox.put(Reaped(item.tick is not None))

    def _hand_over(self, item: Launched, finished: Finished) -> None:
        done_ns = self._clock.now_ns()
        if item.tick is not None:
            self._inbox.put(Reaped(is_tick=True))  # before the pictures: somebody may have a turn
            began_ns = max(item.issued_ns, self._done_ns)
            self._room.ticked(item.tick.size_px, item.tick.bucket, (done_ns - began_ns) / NS_PER_MS)
        self._done_ns = done_ns
        computed_ns = max(item.issued_ns, done_ns - round(finished.download_ms * NS_PER_MS))
        uploaded_ns = max(item.issued_ns, computed_ns - round(finished.compute_ms * NS_PER_MS))
        for ticket in item.tickets:
            ticket.uploaded_ns = ticket.uploaded_ns or uploaded_ns
        for ticket, rgb in zip(item.arriving, finished.pictures, strict=True):
            marks = ((Stage.H2D, ticket.uploaded_ns), (Stage.INFER, max(ticket.uploaded_ns, computed_ns)), (Stage.D2H, done_ns))
            ticket.batch.deliver(ticket.place, EngineOutput(rgb, marks))
