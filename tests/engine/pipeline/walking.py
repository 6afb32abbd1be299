"""A model whose frames take several evaluations, in whole numbers: what a frame comes to shows all that it went through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor

from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.core.prompting import LoraMix, Prompting
from cmstream.engine.base import EngineInput, EngineOutput
from cmstream.engine.noise import NoiseBank
from cmstream.engine.pipeline import engine as engine_module
from cmstream.engine.pipeline.device import Device, Work
from cmstream.engine.pipeline.engine import PipelineEngine
from cmstream.engine.pipeline.evaluation import Turn
from cmstream.engine.pipeline.legs import Kept, Leg, Route, Step
from cmstream.engine.pipeline.look_table import Row, StyleTable
from cmstream.engine.pipeline.pipeline import Pipeline
from tests.engine.painters import Tint

SIZE, OTHER = (32, 24), (24, 16)
LARGEST_PX = 96
PRIME = 251
BUCKETS = (1, 2, 4)


def walk(
    steps: int, seed: int = 1, *, feedback: float = 0.0, loras: LoraMix = (), is_full: bool = False, push: float = 1.0
) -> Look:
    """A look with so many evaluations; `push` is what each adds."""
    prompting = Prompting((("fog", 1.0),), steps=steps, feedback=feedback, loras=loras, is_full=is_full)
    return Look((("oil", 1.0),), 1.0, ((seed, 1.0),), stroke_scale=push, prompting=prompting)


def frame(stream_id: int, look: Look, picture: int = 0, size_px: tuple[int, int] = SIZE) -> EngineInput:
    width_px, height_px = size_px
    return EngineInput(stream_id, np.full((height_px, width_px, 3), picture, np.uint8), look, width_px, height_px)


def prompting_of(look: Look) -> Prompting:
    return look.prompting or Prompting((("", 1.0),))


class WalkTable(StyleTable):
    """What a look adds with every evaluation, and whether it is led by the frame before."""

    def __init__(self) -> None:
        super().__init__(("oil", "ink"))
        self.width = 2

    def key(self, look: Look) -> tuple[float, ...]:
        """See `LookTable`."""
        return look.stroke_scale, prompting_of(look).feedback

    def row(self, look: Look) -> Row:
        """See `LookTable`."""
        return np.array(self.key(look), np.float32)

    def memory(self, field_px: tuple[int, int]) -> tuple[int, ...]:
        """See `LookTable`."""
        return (1,)

    def remembers(self, look: Look) -> bool:
        """See `LookTable`."""
        return prompting_of(look).feedback > 0


class Walk:
    """A `Course` and its `Legs`. `ticks` are the steps of the rows of each evaluation, as the device was given them."""

    def __init__(self) -> None:
        self.table = WalkTable()
        self.legs = self
        self.ticks: list[list[int]] = []
        self.mixes: list[LoraMix] = [()]
        self.errors: dict[Leg, list[Exception]] = {}
        self.weights = 0
        self.wholes = 0
        self._given = threading.Condition()

    def route(self, look: Look) -> Route:
        """See `Course`."""
        asked = prompting_of(look)
        return Route(asked.steps, asked.is_full, asked.loras, asked.feedback > 0)

    @property
    def steps(self) -> Mapping[Leg, Step]:
        """See `Legs`."""
        return {
            Leg.SET_OUT: self.set_out,
            Leg.EVALUATE: self.evaluate,
            Leg.EVALUATE_TWICE: self.evaluate_twice,
            Leg.ARRIVE: self.arrive,
        }

    def kept(self, field_px: tuple[int, int]) -> tuple[Kept, ...]:
        """See `Legs`."""
        return Kept("x", (1,), torch.float32), Kept("noise", (1,), torch.float32), Kept("look", (2,), torch.float32)

    def adapting(self, loras: LoraMix) -> Work | None:
        """See `Legs`. The weights are one number; devices that are late with work would see them change too early."""
        if loras == self.mixes[-1]:
            return None
        self.mixes.append(loras)
        return lambda: setattr(self, "weights", round(sum(weight for _, weight in loras)))

    def set_out(self, src: Tensor, rows: Tensor, noise: Tensor, looks: Tensor) -> tuple[Tensor, ...]:
        """See `Leg`."""
        self._fail(Leg.SET_OUT)
        number = (noise.index_select(0, rows)[:, :1, 0, 0].abs() * 1000).floor() % 7
        return src[:, :1, 0, 0].float(), number, looks.index_select(0, rows)

    def evaluate(self, steps: Tensor, x: Tensor, noise: Tensor, looks: Tensor, factor: int = 3) -> Tensor:
        """See `Leg`."""
        self._fail(Leg.EVALUATE)
        if threading.current_thread().name == "engine-issue":
            with self._given:
                self.ticks.append(steps.tolist())
                self._given.notify_all()
        return (factor * x + looks[:, :1] + noise + 2 * steps[:, None] + self.weights) % PRIME

    def evaluate_twice(self, steps: Tensor, x: Tensor, noise: Tensor, looks: Tensor) -> Tensor:
        """See `Leg`."""
        return self.evaluate(steps, x, noise, looks, 5)

    def arrive(self, memory: Tensor, x: Tensor, noise: Tensor, looks: Tensor) -> tuple[Tensor, Tensor]:
        """See `Leg`. A frame that remembers shows the sum."""
        self._fail(Leg.ARRIVE)
        total = (x + torch.where(looks[:, 1:] > 0, memory.nan_to_num(0), 0)) % PRIME
        return total.nan_to_num(0).to(torch.uint8)[:, :, None, None].expand(-1, LARGEST_PX, LARGEST_PX, 3), total

    def step(
        self, src: Tensor, rows: Tensor, memory_rows: Tensor, noise: Tensor, looks: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `Course`: the legs of one evaluation."""
        kept = self.set_out(src, rows, noise, looks)
        _, *others = kept
        x = (3 * kept[0] + kept[2][:, :1] + kept[1] + self.weights) % PRIME
        painted, total = self.arrive(memory.index_select(0, memory_rows), x, *others)
        return painted[:, : src.shape[1], : src.shape[2]], total

    def work(self, step: Step, bucket: int) -> Work:
        """See `Course`."""

        def work(
            src: Tensor, rows: Tensor, memory_rows: Tensor, noise: Tensor, looks: Tensor, styled: Tensor, memory: Tensor
        ) -> None:
            painted, kept = step(src[:bucket], rows[:bucket], memory_rows[:bucket], noise, looks, memory)
            styled[:bucket].copy_(painted)
            memory.index_copy_(0, memory_rows[:bucket], kept)

        return work

    def turn(self, looks: Sequence[Look], usual: Work) -> Turn:
        """See `Course`."""
        with self._given:
            self.wholes += 1
            self._given.notify_all()
        (loras,) = {prompting_of(look).loras for look in looks}
        return Turn(usual, before=self.adapting(loras))

    def await_ticks(self, count: int) -> None:
        """Until the device was given so many."""
        with self._given:
            assert self._given.wait_for(lambda: len(self.ticks) >= count, 30), self.ticks

    def await_wholes(self, count: int) -> None:
        """Until so many batches of one evaluation were given to the device, those of the warm-up included."""
        with self._given:
            assert self._given.wait_for(lambda: self.wholes >= count, 30), self.wholes

    def _fail(self, leg: Leg) -> None:
        if self.errors.get(leg) and threading.current_thread().name == "engine-issue":
            raise self.errors[leg].pop(0)


class Gate:
    """How far the device has come: nothing that it was given is over before it was let through."""

    def __init__(self) -> None:
        self._permits = threading.Semaphore(0)
        self._is_open = False

    def open(self) -> None:
        self._is_open = True
        self._permits.release()

    def let(self, count: int) -> None:
        self._permits.release(count)

    def passed(self) -> None:
        if not self._is_open:
            assert self._permits.acquire(timeout=30)


def gated(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    finish: Callable[..., object] = Pipeline.finish

    def held(self: Pipeline, batch: object) -> object:
        gate.passed()
        return finish(self, batch)

    monkeypatch.setattr(Pipeline, "finish", held)


@contextmanager
def walking(device: Device, monkeypatch: pytest.MonkeyPatch, batch: int = BUCKETS[-1]) -> Iterator[tuple[PipelineEngine, Walk]]:
    """An engine that walks."""
    course = Walk()
    monkeypatch.setattr(engine_module, "course_of", lambda model, dtype: course)
    engine = PipelineEngine(Tint(), device, dtype="float32", batch=batch, warm_up_px=(SIZE,))
    try:
        yield engine, course
    finally:
        engine.close()


def shown(rgb: Rgb) -> int:
    """The number that a frame came to."""
    assert (rgb == rgb[0, 0, 0]).all()
    return int(rgb[0, 0, 0])


def painted(engine: PipelineEngine, *frames: EngineInput) -> list[int]:
    return [shown(output.rgb) for output in engine.submit(frames).result(30)]


def alone(each: EngineInput, memory: int | None = None) -> int:
    """What the frame comes to if its evaluations run one after another; `memory` is what the frame that leads it came to."""
    asked, size_px = prompting_of(each.look), (each.height_px, each.width_px)
    field = NoiseBank(torch.device("cpu")).mixed(each.look.seeds, *size_px)
    noise = int((field[0, 0, 0].abs() * 1000).floor() % 7)
    weights = round(sum(weight for _, weight in asked.loras))
    x, factor = int(each.rgb[0, 0, 0]), 5 if asked.is_full and asked.steps > 1 else 3
    for step in range(asked.steps):
        x = (factor * x + int(each.look.stroke_scale) + noise + 2 * step + weights) % PRIME
    return (x + (memory or 0)) % PRIME


Futures = list[Future[list[EngineOutput]]]


def submitted(engine: PipelineEngine, *frames: EngineInput) -> Futures:
    """Each as a batch of its own."""
    return [engine.submit([each]) for each in frames]


def numbers(futures: Futures) -> list[int]:
    return [shown(output.rgb) for future in futures for output in future.result(30)]
