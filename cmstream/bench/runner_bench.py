"""Every form of the model that this CPU could run, beside the engine itself, in turns on the same frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from cmstream.bench.engine_bench import SOURCES, picture
from cmstream.bench.percentiles import percentiles
from cmstream.bench.report import RunnerResult
from cmstream.core.clock import NS_PER_MS, NS_PER_S, Clock
from cmstream.core.frame import Rgb
from cmstream.core.look import Look, look_of
from cmstream.core.params import default_params
from cmstream.engine.base import Engine, EngineInput
from cmstream.engine.candidates import bound, candidates, reference, use_threads
from cmstream.engine.cpu import CpuEngine
from cmstream.models.registry import load
from cmstream.settings import EngineSettings

LEAST_FRAMES = 10
WARM_UP_FRAMES = 2
THE_ENGINE = "the engine: "

Paint = Callable[[Rgb], Rgb]
Contestant = tuple[str, Paint]


def measure_runners(settings: EngineSettings, side_px: int, seconds: float, clock: Clock) -> tuple[RunnerResult, ...]:
    """`seconds` for each, in turns; the first is the reference, the last the engine. Blocks."""
    model = load(settings.model)
    with ThreadPoolExecutor(1) as thread:
        threads = thread.submit(use_threads, settings.threads).result()
        engine = CpuEngine(
            model,
            dtype=settings.dtype,
            runtime=settings.runtime,
            threads=threads,
            warm_up_px=((side_px, side_px),),
            clock=clock,
        )
        try:
            runners = thread.submit(lambda: [reference(model), *candidates(model, threads=threads)]).result()
            look = look_of(default_params(model.spec.parameters))
            contestants = [(runner.name, _on(thread, bound(runner, look, (side_px, side_px)))) for runner in runners]
            contestants.append((f"{THE_ENGINE}{engine.runner.name}", _through(engine, look)))
            return _race(contestants, threads, side_px, seconds, clock)
        finally:
            engine.close()


def _on(thread: ThreadPoolExecutor, run: Paint) -> Paint:
    return lambda src: thread.submit(run, src).result()


def _through(engine: Engine, look: Look) -> Paint:
    return lambda src: engine.submit([EngineInput(1, src, look, src.shape[1], src.shape[0])]).result()[0].rgb


def psnr_db(ours: Rgb, theirs: Rgb) -> float | None:
    """Of two pictures of the same size; None when they are equal."""
    error = float(np.mean(np.square(ours.astype(np.float64) - theirs)))
    return round(10 * math.log10(255**2 / error), 2) if error else None


def _race(
    contestants: Sequence[Contestant], threads: int, side_px: int, seconds: float, clock: Clock
) -> tuple[RunnerResult, ...]:
    frames = [picture(side_px, index) for index in range(SOURCES)]
    painted = [run(frames[0]) for _, run in contestants for _ in range(WARM_UP_FRAMES)][WARM_UP_FRAMES - 1 :: WARM_UP_FRAMES]
    took_ms: list[list[float]] = [[] for _ in contestants]
    end_ns, turn = clock.now_ns() + round(seconds * len(contestants) * NS_PER_S), 0
    while clock.now_ns() < end_ns or turn < LEAST_FRAMES:
        for (_, run), mine in zip(contestants, took_ms, strict=True):
            start_ns = clock.now_ns()
            run(frames[turn % SOURCES])
            mine.append((clock.now_ns() - start_ns) / NS_PER_MS)
        turn += 1
    results = [
        _result(name, threads, side_px, mine, psnr_db(ours, painted[0]))
        for (name, _), mine, ours in zip(contestants, took_ms, painted, strict=True)
    ]
    return (*results[:-1], _beside_its_form(results[-1], results[:-1]))


def _beside_its_form(engine: RunnerResult, forms: Sequence[RunnerResult]) -> RunnerResult:
    """The engine's figures, with its speed as a share of what its form does when nothing else is done."""
    (form,) = (one for one in forms if engine.runner == f"{THE_ENGINE}{one.runner}")
    return replace(engine, of_compute=round(engine.fps / form.fps, 3))


def _result(name: str, threads: int, side_px: int, took_ms: Sequence[float], psnr: float | None) -> RunnerResult:
    latency_ms = percentiles(took_ms)
    return RunnerResult(name, threads, side_px, side_px, len(took_ms), round(1000 / latency_ms.p50, 2), latency_ms, psnr)
