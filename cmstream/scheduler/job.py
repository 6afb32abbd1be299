"""One frame waiting to be styled, and the lane it waits in. Pure data, event loop only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cmstream.core.clock import NS_PER_MS
from cmstream.core.errors import EngineFailed
from cmstream.core.frame import Frame
from cmstream.core.look import Look
from cmstream.core.params import Params
from cmstream.engine.base import EngineOutput


@dataclass(frozen=True, slots=True)
class Job:
    """A source frame with the parameters and look that were in force when it was pushed.

    `since_ns` is when its lane began to wait, which may be with an older frame; the lane fills it in.
    """

    frame: Frame
    params: Params
    look: Look
    width_px: int
    height_px: int
    since_ns: int = 0


Done = Callable[[Job, EngineOutput | EngineFailed], None]
Late = Callable[[Job], None]


class Lane:
    """The one slot of one stream. A newer job displaces the waiting one but keeps its place in the queue.

    The deadline counts from when the lane began to wait, not from the newest frame: otherwise a fast publisher would
    renew its deadline for ever and, under earliest deadline first, starve.
    """

    __slots__ = (
        "budget_ns",
        "closed",
        "done",
        "job",
        "late",
        "missed",
        "placed_ns",
        "served_ns",
        "stream_id",
        "waiting_since_ns",
    )

    def __init__(self, stream_id: int, budget_ms: float, done: Done, late: Late) -> None:
        self.stream_id = stream_id
        self.set_budget(budget_ms)
        self.done = done
        self.late = late
        self.job: Job | None = None
        self.waiting_since_ns = 0
        self.placed_ns = 0  # when the waiting job itself came
        self.served_ns = 0  # when a job was last taken for the engine
        self.missed = False  # whether the job before was dropped for being late
        self.closed = False

    def __repr__(self) -> str:
        return f"<Lane {self.stream_id} {'closed' if self.closed else 'waiting' if self.job else 'idle'}>"

    @property
    def deadline_ns(self) -> int:
        """By when the waiting job should be styled."""
        return self.waiting_since_ns + self.budget_ns

    def set_budget(self, budget_ms: float) -> None:
        """Of what waits and of what comes."""
        self.budget_ns = round(budget_ms * NS_PER_MS)

    def put(self, job: Job, now_ns: int) -> Job | None:
        """Place `job`; returns the one it displaced."""
        displaced = self.job
        if displaced is None:
            self.waiting_since_ns = now_ns
        self.placed_ns = now_ns
        self.job = replace(job, since_ns=self.waiting_since_ns)
        return displaced

    def take(self) -> Job:
        """Remove and return the waiting job; there must be one."""
        assert self.job is not None
        job, self.job = self.job, None
        return job
