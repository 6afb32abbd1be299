"""Latent models at their true shapes, beside what is published: frames a second, and the share of what the chip could do.

Every contestant gets the same frames in the same precision in one run; the weights are random, for speed does not depend on
them. With the codec each frame comes and goes as JPEG, as it may over gRPC. Blocks, with the device at full load.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from cmstream.bench.hardware import hardware
from cmstream.bench.latent_report import (
    ALONE,
    DOCUMENTED,
    DOCUMENTED_COMPILED,
    KEEPING_EDGES,
    LOOP,
    OURS,
    OURS_COMPILED,
    SEVERAL_STEPS,
    TINY,
    TINY_COMPILED,
    LatentFigure,
    LatentResult,
)
from cmstream.bench.latent_timing import LatentCase, Timed, time_evaluations, time_path, time_styler
from cmstream.bench.percentiles import percentiles
from cmstream.bench.steps_bench import MEASURED_STEPS, StepsFigure, measure_steps
from cmstream.core.clock import NS_PER_S, Clock, MonotonicClock
from cmstream.engine.fixed_path import FixedPath
from cmstream.engine.latent_limits import counted_flops, matrix_rate
from cmstream.engine.latent_rivals import Compiler, Rivals, Styler, rivals_on, to_be_captured, with_graphs_of_its_own
from cmstream.models.latent.true_shapes import shape_named

log = logging.getLogger(__name__)

MATRIX_SIDE, SMALL_SIDE = 8192, 512
"""On a GPU, and on a CPU."""


@dataclass(frozen=True, slots=True)
class Compilers:
    """Those of diffusers' guide, and of ours."""

    theirs: Compiler = with_graphs_of_its_own
    ours: Compiler = to_be_captured


@dataclass(frozen=True, slots=True)
class LatentCourse:
    """Which cases every contestant runs, and how long each."""

    sides_px: tuple[int, ...] = (512, 384)
    batches: tuple[int, ...] = (1, 2, 4, 8)
    seconds: float = 2.0

    def cases(self) -> Iterator[LatentCase]:
        """Without the codec, then with it, of one size and batch after the other."""
        for side_px in self.sides_px:
            for batch in self.batches:
                yield LatentCase(side_px, batch, False)
                yield LatentCase(side_px, batch, True)


Run: TypeAlias = Iterator[tuple[LatentCase, Timed]]


def measure_latent(
    device: str,
    precision: str,
    shape: str,
    course: LatentCourse,
    compilers: Compilers | None = None,
    *,
    clock: Clock | None = None,
    tell: Callable[[str], None] = log.info,
) -> LatentResult:
    """Compiling takes minutes beside what the course says; None leaves out what is compiled.

    Raises InvalidInput for a shape that is not known.
    """
    rivals, clock = rivals_on(device, precision, shape_named(shape)), clock or MonotonicClock()
    side = SMALL_SIDE if rivals.name == "cpu" else MATRIX_SIDE
    tflops = matrix_rate(rivals.device, rivals.dtype, side, course.seconds, clock)
    counted = {side_px: counted_flops(rivals.shape, side_px) for side_px in course.sides_px}
    figures: list[LatentFigure] = []
    failed: dict[str, str] = {}
    for name, run in _contestants(rivals, course, compilers, clock):
        tell(name)
        try:
            for case, timed in run:
                figures.append(_figure(name, case, timed, sum(counted[case.side_px].values()) / 1e12 / tflops))
        except Exception as error:  # a compiler and a device may raise anything; what the others do is kept
            failed[name] = _said(error)
            log.warning("%s did not run: %s", name, failed[name])
    steps: list[StepsFigure] = []
    tell(SEVERAL_STEPS)
    try:
        steps.extend(_several_steps(rivals, course, clock))
    except Exception as error:  # as above
        failed[SEVERAL_STEPS] = _said(error)
        log.warning("%s did not run: %s", SEVERAL_STEPS, failed[SEVERAL_STEPS])
    gflop = {side_px: {part: round(flops / 1e9, 2) for part, flops in parts.items()} for side_px, parts in counted.items()}
    matrix_tflops = round(tflops, 4)
    return LatentResult(hardware(), rivals.name, precision, shape, matrix_tflops, gflop, tuple(figures), failed, tuple(steps))


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _several_steps(rivals: Rivals, course: LatentCourse, clock: Clock) -> Iterator[StepsFigure]:
    for side_px in course.sides_px:
        engine = rivals.served(side_px)
        try:
            for steps in MEASURED_STEPS:
                yield measure_steps(engine, side_px, steps, course.seconds, clock)
        finally:
            engine.close()


def _figure(contestant: str, case: LatentCase, timed: Timed, seconds_at_limit: float) -> LatentFigure:
    fps = timed.batches * case.batch * NS_PER_S / timed.took_ns
    return LatentFigure(
        contestant,
        case.side_px,
        case.batch,
        case.has_codec,
        round(fps, 2),
        percentiles(timed.each_ms),
        round(fps * seconds_at_limit, 4),
    )


def _contestants(rivals: Rivals, course: LatentCourse, compilers: Compilers | None, clock: Clock) -> Iterator[tuple[str, Run]]:
    """One at a time, so that only one is in memory."""

    def styler(make: Callable[[], Styler]) -> Run:
        made = make()
        for case in course.cases():
            yield case, time_styler(made, case, course.seconds, clock)

    def path(compiler: Compiler | None, *, keeps_edges: bool = False) -> Run:
        made: FixedPath | None = None
        for case in course.cases():
            if made is None or not case.has_codec:
                made = rivals.ours(case.side_px, case.batch, compiler, keeps_edges=keeps_edges)
            yield case, time_path(made, case, course.seconds, clock)

    def alone() -> Run:
        for case in course.cases():
            if not case.has_codec:
                yield case, time_evaluations(rivals.ours(case.side_px, case.batch), course.seconds, clock)

    yield OURS, path(None)
    yield ALONE, alone()
    yield KEEPING_EDGES, path(None, keeps_edges=True)
    yield LOOP, styler(rivals.published_loop)
    yield TINY, styler(lambda: rivals.documented(has_tiny=True))
    yield DOCUMENTED, styler(lambda: rivals.documented(has_tiny=False))
    if compilers is None:
        return
    theirs = compilers.theirs
    yield OURS_COMPILED, path(compilers.ours)
    yield TINY_COMPILED, styler(lambda: rivals.documented(theirs, has_tiny=True))
    yield DOCUMENTED_COMPILED, styler(lambda: rivals.documented(theirs, has_tiny=False))
