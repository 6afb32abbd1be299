"""The thread that gives work to the device and never waits for it: what it does with each thing it is told.

At most `AHEAD` ticks are on the device: one runs and one is behind it, so the device never waits, and a frame that comes
meanwhile joins the next. The thread hears from the reaping one that a tick is over; it asks the device nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import groupby

from cmstream.core.clock import Clock
from cmstream.core.errors import EngineFailed
from cmstream.engine.base import bucket_for
from cmstream.engine.pipeline.convoy import Convoy, Traveller, Waiting
from cmstream.engine.pipeline.device import Handover
from cmstream.engine.pipeline.evaluation import Evaluation
from cmstream.engine.pipeline.flight import InFlight
from cmstream.engine.pipeline.launched import Launched, Reaped, Refused, Submitted, Tick
from cmstream.engine.pipeline.memory import MemoryPressure, is_out_of_memory
from cmstream.engine.pipeline.pending import PendingBatch, Ticket
from cmstream.engine.pipeline.pipeline import Pipeline
from cmstream.engine.pipeline.sharing import Room
from cmstream.engine.pipeline.slots import Slot
from cmstream.engine.pipeline.ticks import Ticks

log = logging.getLogger(__name__)

AHEAD = 2
"""Ticks that the device has been given and has not finished."""


class Issuer:
    """`forget` hears of streams that have ended, on this thread and in their turn. It may not refer to the engine."""

    def __init__(
        self,
        pipeline: Pipeline,
        evaluation: Evaluation,
        *,
        pressure: MemoryPressure,
        room: Room,
        clock: Clock,
        outbox: Handover,
        forget: Callable[[int], None],
    ) -> None:
        self._pipeline = pipeline
        self._evaluation = evaluation
        self._ticks = Ticks(pipeline, evaluation)
        self._pressure = pressure
        self._room = room
        self._clock = clock
        self._outbox = outbox
        self._forget = forget
        self._convoy = Convoy(pipeline.buckets[-1])
        self._ticking = 0
        pipeline.sizes_under_way = self._convoy.sizes

    def __repr__(self) -> str:
        return f"<Issuer, {self._convoy!r}, {self._ticking} ticks on the device>"

    @property
    def is_idle(self) -> bool:
        """Whether all that was submitted is on the device, and no tick is."""
        return self._convoy.is_empty and self._ticking == 0

    def take(self, item: Submitted | Reaped | int) -> None:
        """A batch, what the reaping thread says, or a stream to forget."""
        if isinstance(item, Submitted):
            self._submitted(item)
        elif isinstance(item, Reaped):
            self._ticking -= item.is_tick
            self._convoy.drop_lost()
        else:
            self._convoy.add(item)
        self._go_on()

    def _submitted(self, item: Submitted) -> None:
        batch = PendingBatch(item.batch, item.future)
        try:
            routes = [self._evaluation.route(frame.look) for frame in item.batch]
        except Exception as error:  # a model may raise anything, and this thread has to outlive it
            self._outbox.put(Refused(Ticket(batch, 0), _failed(len(item.batch), error)))
            return
        for place, (frame, route) in enumerate(zip(item.batch, routes, strict=True)):
            self._convoy.add(Waiting(frame, route, Ticket(batch, place)))

    def _go_on(self) -> None:
        self._start()
        while self._ticking < AHEAD and (turn := self._convoy.turn(self._pressure.buckets[-1])):
            self._turn(turn)
            self._start()
        self._room.holds_back = self._convoy.holds_back

    def _start(self) -> None:
        """Frames of one evaluation go at once, those of one batch together; others join."""
        started = self._convoy.start(self._pressure.buckets[-1])
        for batch, group in groupby(started, lambda each: None if isinstance(each, int) else each.ticket.batch):
            if batch is None:
                for stream_id in group:
                    assert isinstance(stream_id, int)
                    self._pipeline.forget(stream_id)
                    self._forget(stream_id)
            else:
                self._whole([each for each in group if isinstance(each, Waiting)])

    def _whole(self, frames: Sequence[Waiting]) -> None:
        if frames[0].ticket.batch.is_lost:
            return
        tickets = tuple(each.ticket for each in frames)
        batch = [each.frame for each in frames]
        self._launch(lambda slot: self._pipeline.launch(slot, batch), tickets, tickets)

    def _turn(self, turn: Sequence[Traveller]) -> None:
        new = [(each.frame, each) for each in turn if each.frame is not None]
        if new:
            for _, each in new:
                each.frame = None
            self._launch(lambda slot: self._ticks.set_out(slot, new), tuple(each.ticket for _, each in new))
            turn = [each for each in turn if not each.ticket.batch.is_lost]
        if not turn:
            return
        tickets = tuple(each.ticket for each in turn)
        arriving = tuple(each.ticket for each in turn if each.is_last)
        tick = Tick(turn[0].size_px, bucket_for(self._pipeline.buckets, len(turn)))
        if self._launch(lambda slot: self._ticks.tick(slot, turn), tickets, arriving, tick):
            self._ticking += 1
            self._convoy.evaluated(turn)

    def _launch(
        self,
        work: Callable[[Slot], InFlight],
        tickets: tuple[Ticket, ...],
        arriving: tuple[Ticket, ...] = (),
        tick: Tick | None = None,
    ) -> bool:
        """Returns whether the device has it. Otherwise all that it was for is lost, and room is made if memory was lacking."""
        slot = self._pipeline.slots.take()
        issued_ns = self._clock.now_ns()
        try:
            in_flight = work(slot)
        except Exception as error:  # a model may raise anything, and this thread has to outlive it
            for each in tickets:
                each.batch.is_lost = True
            self._convoy.drop_lost()
            failed = _failed(len(tickets), error)
            self._outbox.put(Launched(self._pipeline.abandon(slot), issued_ns, tickets, error=failed))
            if is_out_of_memory(error):
                self._make_room()
            return False
        self._outbox.put(Launched(in_flight, issued_ns, tickets, arriving, tick))
        self._pressure.served()
        return True

    def _make_room(self) -> None:
        recurred = self._pressure.ran_out()
        self._pipeline.release()
        log.warning("the device ran out of memory; graphs and caches were given up and are made anew")
        if recurred:
            log.warning("it ran out again: batches of at most %d from now on, until a restart", self._pressure.buckets[-1])


def _failed(count: int, error: Exception) -> EngineFailed:
    failed = EngineFailed(f"the device failed on a batch of {count}: {error}")
    failed.__cause__ = error
    return failed
