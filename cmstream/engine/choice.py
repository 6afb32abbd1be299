"""What runs the frames of a model on this CPU: one form of it, on so many threads. Measured here; engine thread only."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import torch

from cmstream.core.clock import NS_PER_MS, Clock
from cmstream.core.errors import ConfigurationError
from cmstream.engine.base import Pace
from cmstream.engine.candidates import blank, bound, candidates, fastest, use_threads
from cmstream.engine.noise import NoiseBank
from cmstream.engine.pace import unhurried
from cmstream.engine.runner import ParallelRunner, Runner, RunnerInput
from cmstream.engine.side_by_side import COUNTS, SideBySide
from cmstream.models.base import Model
from cmstream.models.latent.model import LatentModel

log = logging.getLogger(__name__)

WORTH = 1.05
"""More threads must make a frame faster by this factor: the cores they would take are what the codecs run on. More frames at
once must do as much for each."""
WARM_UP_RUNS = 2
MEASURED_RUNS = 5
ROUNDS = 2
"""Of all thread counts, so that one busy moment does not decide."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the settings ask for, in their words: "auto" measures, and `threads` and `batch` 0 do."""

    dtype: str = "auto"
    runtime: str = "auto"
    threads: int = 0
    batch: int = 1


@dataclass(frozen=True, slots=True)
class Choice:
    """`runtime` and `precision` as the settings name them, `threads` at least 1.

    `together` is the most frames that run at once: 1, or one of `COUNTS`.
    """

    runtime: str
    precision: str
    threads: int
    together: int = 1

    def __str__(self) -> str:
        company = "" if self.together == 1 else f", up to {self.together} frames at once"
        return f"{self.runtime} {self.precision} on {self.threads} thread{'' if self.threads == 1 else 's'}{company}"


def measured(model: Model, wish: Wish, size_px: tuple[int, int], clock: Clock, pace: Pace = unhurried) -> tuple[Runner, Choice]:
    """The fastest form of those that `wish` allows, on the fewest threads that are about as fast, with as many frames at once
    as make each faster.

    `size_px` is (width, height), multiples of the model's. Raises ConfigurationError.
    """
    cores = use_threads(wish.threads)
    runner, choice = _alone(model, wish, cores, size_px, clock, pace)
    return runner, replace(choice, together=_together(model, runner, min(cores, wish.batch or cores), size_px, clock, pace))


def _alone(model: Model, wish: Wish, most: int, size_px: tuple[int, int], clock: Clock, pace: Pace) -> tuple[Runner, Choice]:
    best = fastest(model, candidates(model, dtype=wish.dtype, runtime=wish.runtime, threads=most), size_px, clock, pace)
    choice = Choice(best.runtime, best.precision, most)
    counts = thread_counts(most)
    if wish.threads or len(counts) == 1 or isinstance(model, LatentModel):  # whose frames take seconds on any number of them
        return best, choice
    by_threads = {count: built(model, Choice(best.runtime, best.precision, count), most) for count in counts}
    threads = fewest(_times_ms(model, by_threads, size_px, clock, pace))
    use_threads(threads)
    return by_threads[threads], Choice(best.runtime, best.precision, threads)


def built(model: Model, choice: Choice, cores: int = 0) -> Runner:
    """What `choice` names; frames at once share `cores`, 0 being its threads.

    Raises ConfigurationError where this machine does not have it.
    """
    use_threads(choice.threads)
    found = candidates(model, dtype=choice.precision, runtime=choice.runtime, threads=choice.threads, cores=cores)
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


def _together(model: Model, runner: Runner, most: int, size_px: tuple[int, int], clock: Clock, pace: Pace) -> int:
    """The frames at once, `most` at most, up to which twice as many make each faster."""
    best = 1
    if not isinstance(runner, ParallelRunner):
        return best
    src, look = blank(model, size_px)
    noise = NoiseBank(torch.device("cpu")).mixed(look.seeds, size_px[1], size_px[0])
    frames = [RunnerInput(src, noise, look, stream_id=stream) for stream in range(COUNTS[-1])]
    for count in takewhile(lambda count: count <= most, COUNTS):
        least_ms = _rivals_ms(runner, (best, count), frames[:count], clock, pace)
        log.info("%s", ", ".join(f"{each} at once {ms / count:.1f} ms a frame" for each, ms in least_ms.items()))
        if least_ms[count] * WORTH > least_ms[best]:
            break
        best = count
    for frame in frames:
        runner.forget(frame.stream_id)
    return best


def _rivals_ms(
    runner: Runner, rivals: tuple[int, ...], frames: Sequence[RunnerInput], clock: Clock, pace: Pace
) -> dict[int, float]:
    """What all `frames` take where so many run at once; where other bytes come of it, they run by themselves."""
    streams, size_px = [frame.stream_id for frame in frames], frames[0].src.shape[:2]
    by_count = {each: SideBySide(runner, each) for each in rivals}
    for side_by_side in by_count.values():
        side_by_side.rehearse(frames[0], pace)
    least_ms = dict.fromkeys(rivals, float("inf"))
    for turn in range(WARM_UP_RUNS + ROUNDS * MEASURED_RUNS):
        for each, side_by_side in by_count.items():
            pace()
            start_ns = clock.now_ns()
            side_by_side.style(iter(frames), streams, size_px)
            if turn >= WARM_UP_RUNS:
                least_ms[each] = min(least_ms[each], (clock.now_ns() - start_ns) / NS_PER_MS)
    return least_ms
