"""What runs the frames of a model on this CPU: one form of it, on so many threads. Measured here; engine thread only."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from cmstream.core.clock import NS_PER_MS, Clock
from cmstream.core.errors import ConfigurationError
from cmstream.engine.base import Pace
from cmstream.engine.candidates import blank, bound, candidates, fastest, use_threads
from cmstream.engine.pace import unhurried
from cmstream.engine.runner import Runner
from cmstream.models.base import Model
from cmstream.models.latent.model import LatentModel

log = logging.getLogger(__name__)

WORTH = 1.05
"""More threads must make a frame faster by this factor: the cores they would take are what the codecs run on."""
WARM_UP_RUNS = 2
MEASURED_RUNS = 5
ROUNDS = 2
"""Of all thread counts, so that one busy moment does not decide."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the settings ask for, in their words: "auto" measures, and `threads` 0 does."""

    dtype: str = "auto"
    runtime: str = "auto"
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """`runtime` and `precision` as the settings name them, `threads` at least 1."""

    runtime: str
    precision: str
    threads: int

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision} on {self.threads} thread{'' if self.threads == 1 else 's'}"


def measured(model: Model, wish: Wish, size_px: tuple[int, int], clock: Clock, pace: Pace = unhurried) -> tuple[Runner, Choice]:
    """The fastest form of those that `wish` allows, on the fewest threads that are about as fast.

    `size_px` is (width, height), multiples of the model's. Raises ConfigurationError.
    """
    most = use_threads(wish.threads)
    best = fastest(model, candidates(model, dtype=wish.dtype, runtime=wish.runtime, threads=most), size_px, clock, pace)
    choice = Choice(best.runtime, best.precision, most)
    counts = thread_counts(most)
    if wish.threads or len(counts) == 1 or isinstance(model, LatentModel):  # whose frames take seconds on any number of them
        return best, choice
    by_threads = {count: built(model, Choice(best.runtime, best.precision, count)) for count in counts}
    threads = fewest(_times_ms(model, by_threads, size_px, clock, pace))
    use_threads(threads)
    return by_threads[threads], Choice(best.runtime, best.precision, threads)


def built(model: Model, choice: Choice) -> Runner:
    """What `choice` names. Raises ConfigurationError where this machine does not have it."""
    use_threads(choice.threads)
    found = candidates(model, dtype=choice.precision, runtime=choice.runtime, threads=choice.threads)
    if len(found) != 1:
        raise ConfigurationError(f"{choice} is not one form of {model.spec.name}")
    return found[0]


def thread_counts(most: int) -> tuple[int, ...]:
    """Those worth trying where `most` cores may be used: all, all but one, and half (the other half may be hyper-threads)."""
    return tuple(sorted({most, max(1, most - 1), max(1, most // 2)}, reverse=True))


def fewest(times_ms: dict[int, float]) -> int:
    """The fewest threads that are within `WORTH` of the fastest."""
    return min(threads for threads, ms in times_ms.items() if ms <= WORTH * min(times_ms.values()))


def _times_ms(
    model: Model, by_threads: dict[int, Runner], size_px: tuple[int, int], clock: Clock, pace: Pace
) -> dict[int, float]:
    src, look = blank(model, size_px)
    best_ms = dict.fromkeys(by_threads, float("inf"))
    for _ in range(ROUNDS):
        for threads, runner in by_threads.items():
            use_threads(threads)
            run = bound(runner, look, size_px)
            for turn in range(WARM_UP_RUNS + MEASURED_RUNS):
                pace()
                start_ns = clock.now_ns()
                run(src)
                if turn >= WARM_UP_RUNS:
                    best_ms[threads] = min(best_ms[threads], (clock.now_ns() - start_ns) / NS_PER_MS)
    log.info("%s", ", ".join(f"{threads} threads {ms:.1f} ms" for threads, ms in best_ms.items()))
    return best_ms
