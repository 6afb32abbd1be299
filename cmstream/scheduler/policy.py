"""Which lanes form the next batch, and which frames wait no longer: pure functions of what waits and of the clock.

Earliest deadline first (Liu & Layland 1973), in rounds: nobody goes twice while somebody waits who has not gone. So budgets
order a round, and no publisher gains a second turn by asking for a short one. Work-conserving: a batch forms from whatever
is ready now and never waits for more. Frames of one batch share a working size, LoRAs and steps, so the head of the queue
decides all three: a batch is back when its last frame is, and who takes fewer steps need not wait for who takes more. A stream
whose last frame failed goes alone until it succeeds, so that what fails in it takes nobody along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cmstream.core.prompting import LoraMix
from cmstream.scheduler.adaptation import ROOM
from cmstream.scheduler.job import Lane

AT_ONCE = 2
"""Batches that may be in flight however long they stay: one is copied while another runs."""


def choose(lanes: Iterable[Lane], batch_limit: Callable[[int, int, int], int]) -> list[Lane]:
    """The lanes of the next batch, most urgent first; empty when nothing waits. Ties go to the lower stream id.

    `batch_limit` says how many frames of a width and a height are worth a batch while so many wait.
    """
    waiting = [lane for lane in lanes if lane.ready]
    if not waiting:
        return []
    round_ns = min(lane.waiting_since_ns for lane in waiting)
    waiting.sort(key=lambda lane: (lane.served_ns > round_ns, lane.deadline_ns, lane.stream_id))
    if waiting[0].suspect:
        return waiting[:1]
    shared = _shared(waiting[0])
    alike = [lane for lane in waiting if _shared(lane) == shared and not lane.suspect]
    return alike[: batch_limit(*shared[:2], len(alike))]


def stays_young(in_flight: int, stay_ms: float | None, budget_ms: float) -> bool:
    """Whether frames would still be young enough for the tightest budget with one batch more in the engine.

    Batches share evaluations there, so one more makes each stay longer, at most in proportion; and a frame waits for at most
    one answer, of which there are as many in a stay as there are batches. `stay_ms` is what was seen of late, None where
    nothing is known. Both have to fit a turn, `ROOM` of the budget: sizes are lowered only for what fewer batches do not mend.
    """
    return stay_ms is None or stay_ms * (in_flight + 2) <= ROOM * budget_ms * in_flight


def overdue(lanes: Iterable[Lane], now_ns: int) -> list[Lane]:
    """The lanes whose frame has waited longer than its budget: it would come out older than it may be.

    Never two frames of a lane in a row: where every frame is late, late is better than nothing.
    """
    return [lane for lane in lanes if lane.ready and not lane.missed and now_ns - lane.placed_ns > lane.budget_ns]


def _shared(lane: Lane) -> tuple[int, int, LoraMix, int]:
    """What the frames of a batch have in common: buffers, the weights that they are styled with, and how long they take."""
    assert lane.job is not None
    width_px, height_px, prompting = lane.job.width_px, lane.job.height_px, lane.job.look.prompting
    return (width_px, height_px, (), 1) if prompting is None else (width_px, height_px, prompting.loras, prompting.steps)
