"""Which lanes form the next batch: a pure function of what waits.

Earliest deadline first (Liu & Layland 1973). Work-conserving: a batch forms from whatever is ready now and never waits
for more. Frames of one batch share a working size, so the head of the queue decides it.
"""

from __future__ import annotations

from collections.abc import Iterable

from cmstream.scheduler.job import Lane


def choose(lanes: Iterable[Lane], largest_batch: int) -> list[Lane]:
    """The lanes of the next batch, most urgent first; empty when nothing waits. Ties go to the lower stream id."""
    waiting = sorted((lane for lane in lanes if lane.job is not None), key=lambda lane: (lane.deadline_ns, lane.stream_id))
    if not waiting:
        return []
    size = _size(waiting[0])
    return [lane for lane in waiting if _size(lane) == size][:largest_batch]


def _size(lane: Lane) -> tuple[int, int]:
    assert lane.job is not None
    return lane.job.width_px, lane.job.height_px
