"""Which lanes form the next batch, and which frames wait no longer: pure functions of what waits and of the clock.

Earliest deadline first (Liu & Layland 1973), in rounds: nobody goes twice while somebody waits who has not gone. So budgets
order a round, and no publisher gains a second turn by asking for a short one. Work-conserving: a batch forms from whatever
is ready now and never waits for more. Frames of one batch share a working size and LoRAs, so the head of the queue decides
both. A stream whose last frame failed goes alone until it succeeds, so that what fails in it takes nobody along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cmstream.core.prompting import LoraMix
from cmstream.scheduler.job import Lane


def choose(lanes: Iterable[Lane], batch_limit: Callable[[int, int], int]) -> list[Lane]:
    """The lanes of the next batch, most urgent first; empty when nothing waits. Ties go to the lower stream id.

    `batch_limit` says how many frames of a (width, height) are worth a batch.
    """
    waiting = [lane for lane in lanes if lane.ready]
    if not waiting:
        return []
    round_ns = min(lane.waiting_since_ns for lane in waiting)
    waiting.sort(key=lambda lane: (lane.served_ns > round_ns, lane.deadline_ns, lane.stream_id))
    if waiting[0].suspect:
        return waiting[:1]
    shared = _shared(waiting[0])
    most = batch_limit(*shared[:2])
    return [lane for lane in waiting if _shared(lane) == shared and not lane.suspect][:most]


def overdue(lanes: Iterable[Lane], now_ns: int) -> list[Lane]:
    """The lanes whose frame has waited longer than its budget: it would come out older than it may be.

    Never two frames of a lane in a row: where every frame is late, late is better than nothing.
    """
    return [lane for lane in lanes if lane.ready and not lane.missed and now_ns - lane.placed_ns > lane.budget_ns]


def _shared(lane: Lane) -> tuple[int, int, LoraMix]:
    """What the frames of a batch have in common: buffers, and the weights that they are styled with."""
    assert lane.job is not None
    prompting = lane.job.look.prompting
    return lane.job.width_px, lane.job.height_px, () if prompting is None else prompting.loras
