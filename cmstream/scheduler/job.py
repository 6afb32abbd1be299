"""One frame waiting to be styled, what became of it, and the lane it waits in. Pure data, event loop only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from cmstream.core.cells import Cells
from cmstream.core.clock import NS_PER_MS
from cmstream.core.errors import EngineFailed
from cmstream.core.frame import Frame, Rgb
from cmstream.core.look import Look
from cmstream.core.params import Params
from cmstream.engine.base import EngineOutput
from cmstream.scheduler.attention import Attention
from cmstream.scheduler.stillness import Shown


@dataclass(frozen=True, slots=True)
class Job:
    """A source frame with the parameters and look that were in force when it was pushed.

    `since_ns` is when its lane began to wait, which may be with an older frame; the lane fills it in. `cells` are of the
    source; None where the stream does not want the last result again, however still the picture.
    """

    frame: Frame
    params: Params
    look: Look
    width_px: int
    height_px: int
    since_ns: int = 0
    cells: Cells | None = None

    def shown(self, now_ns: int) -> Shown | None:
        """What later jobs are compared with once this one goes to the engine."""
        if self.cells is None:
            return None
        alike = (self.params, self.look, self.width_px, self.height_px, self.frame.rgb.shape)
        return Shown(self.frame.frame_id, self.cells, alike, now_ns)


@dataclass(frozen=True, slots=True)
class Repeat:
    """The styled picture of the earlier frame `of_frame_id`, once more: nothing has changed since."""

    rgb: Rgb
    of_frame_id: int
    at_ns: int


Outcome: TypeAlias = EngineOutput | Repeat | EngineFailed
Done: TypeAlias = Callable[[Job, Outcome], None]
Late: TypeAlias = Callable[[Job], None]


class Flight:
    """A job that was taken from its lane; `outcome` is None until the engine has answered."""

    __slots__ = ("job", "lane", "outcome")

    def __init__(self, lane: Lane, job: Job) -> None:
        self.lane = lane
        self.job = job
        self.outcome: EngineOutput | EngineFailed | None = None

    def __repr__(self) -> str:
        return f"<Flight of frame {self.job.frame.frame_id} on {self.lane!r}>"


class Lane:
    """The one slot of one stream. A newer job displaces the waiting one but keeps its place in the queue.

    The deadline counts from when the lane began to wait, not from the newest frame: otherwise a fast publisher would
    renew its deadline for ever and, under earliest deadline first, starve.

    A job that shows what the newest one at the engine shows is `held`: it waits for that one's result instead of a turn.
    """

    __slots__ = (
        "_answer",
        "_shown",
        "attention",
        "budget_ns",
        "closed",
        "done",
        "failures",
        "flights",
        "held",
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
        self.held = False
        self.flights: deque[Flight] = deque()  # oldest first, which is the order that `done` is called in
        self.failures = 0  # of the engine on this stream alone, since it last succeeded
        self.waiting_since_ns = 0
        self.placed_ns = 0  # when the waiting job itself came
        self.served_ns = 0  # when a job was last taken for the engine
        self.missed = False  # whether the job before was dropped for being late
        self.closed = False
        self.attention = Attention()
        self._shown: Shown | None = None
        self._answer: Rgb | None = None  # to what `_shown` says, once it is known

    def __repr__(self) -> str:
        state = "closed" if self.closed else "holding" if self.held else "waiting" if self.job else "idle"
        return f"<Lane {self.stream_id} {state}, {len(self.flights)} in flight, {self.failures} failures>"

    @property
    def deadline_ns(self) -> int:
        """By when the waiting job should be styled."""
        return self.waiting_since_ns + self.budget_ns

    @property
    def ready(self) -> bool:
        """Whether a job waits for the engine."""
        return self.job is not None and not self.held

    @property
    def suspect(self) -> bool:
        """Whether the last job failed; the next one then goes to the engine alone."""
        return self.failures > 0

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
        self.held = self._covered(job.shown(now_ns), now_ns)
        return displaced

    def _covered(self, shown: Shown | None, now_ns: int) -> bool:
        if self._shown is None or shown is None or self._shown.alike != shown.alike:
            return False
        covered = self._shown.covers(shown, now_ns)
        self.attention.compared(covered)
        return covered

    def renew(self, bind: Callable[[Job], Job]) -> None:
        """Another engine takes over, with nothing in flight: `bind` a waiting job to it, and compare with nothing it styled."""
        assert not self.flights
        self.failures, self.attention = 0, Attention()
        self.held, self._shown, self._answer = False, None, None
        if self.job is not None:
            self.job = bind(self.job)

    def take(self) -> Job:
        """Remove and return the waiting job; there must be one."""
        assert self.job is not None
        job, self.job, self.held = self.job, None, False
        return job

    def launch(self, job: Job, now_ns: int) -> Flight:
        """`job`, just taken, goes to the engine."""
        flight = Flight(self, job)
        self.flights.append(flight)
        self.served_ns, self.missed = now_ns, False
        self._shown, self._answer = job.shown(now_ns), None
        return flight

    def land(self, flight: Flight, outcome: EngineOutput | EngineFailed) -> None:
        """The engine has answered. A job that waited for a result that never came waits for a turn of its own."""
        flight.outcome = outcome
        if isinstance(outcome, EngineFailed):
            self.failures += 1
            self._shown, self._answer, self.held = None, None, False
            return
        self.failures = 0
        if self._shown is not None and self._shown.frame_id == flight.job.frame.frame_id:
            self._answer = outcome.rgb

    def repeat(self, now_ns: int) -> tuple[Job, Repeat] | None:
        """The held job and its result, once nothing before it is under way."""
        if not self.held or self.flights or self._answer is None or self._shown is None:
            return None
        return self.take(), Repeat(self._answer, self._shown.frame_id, now_ns)
