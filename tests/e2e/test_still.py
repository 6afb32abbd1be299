"""The embedded painter before a camera that rests: what viewers see is what they would see if every frame were painted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from fractions import Fraction

import cv2
import numpy as np
import pytest

from cmstream.core.frame import Rgb
from cmstream.core.trace import Trace
from cmstream.engine.base import EngineInput, EngineOutput
from cmstream.engine.cpu import CpuEngine
from cmstream.models.registry import load
from cmstream.settings import EngineSettings, Settings, StreamSettings
from tests.scheduler.test_stillness import TYPICAL, photo, takes, with_square
from tests.session.stage import serving

SIZE_PX = 192


class CountedEngine(CpuEngine):
    """How often it is asked."""

    asked = 0

    def submit(self, batch: Sequence[EngineInput]) -> Future[list[EngineOutput]]:
        self.asked += len(batch)
        return super().submit(batch)


@pytest.fixture(scope="module")
def engine() -> Iterator[CountedEngine]:
    engine = CountedEngine(load("painter"), dtype="float32", runtime="torch", threads=1, warm_up_px=((SIZE_PX, SIZE_PX),))
    yield engine
    engine.close()


def settings(skip_still: str) -> Settings:
    streams = StreamSettings.model_validate({"skip_still": skip_still, "budget_ms": 5000, "adapt": False})
    return Settings(engine=EngineSettings(size_px=SIZE_PX), streams=streams)


async def painted(engine: CountedEngine, frames: list[Rgb], skip_still: str, **params: object) -> tuple[list[Rgb], int]:
    """The results of `frames`, and how many the engine was asked for."""
    before = engine.asked
    async with serving(engine, settings(skip_still)) as registry:
        session = registry.open("cam")
        session.update(params)
        results = []
        with session.publish("test") as publisher, session.subscribe("test") as viewer:
            for rgb in frames:
                publisher.push(rgb, pts=0, time_base=Fraction(1, 30), trace=Trace(0))
                results.append((await asyncio.wait_for(anext(viewer), 10)).rgb)
    return results, engine.asked - before


def scene() -> Rgb:
    return np.asarray(cv2.resize(photo("coffee"), (256, 256), interpolation=cv2.INTER_AREA), np.uint8)


def difference(one: Rgb, other: Rgb) -> float:
    """Mean, in levels."""
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize("noise_motion", ["fixed", "follow"])
async def test_a_noisy_camera_that_rests_is_painted_once_in_a_while_and_looks_as_if_it_always_were(
    engine: CountedEngine, noise_motion: str
) -> None:
    frames = takes(scene(), 24, TYPICAL)
    every, asked_for_every = await painted(engine, frames, "off", noise_motion=noise_motion)
    some, asked_for_some = await painted(engine, frames, "auto", noise_motion=noise_motion)
    assert asked_for_every == 24
    assert asked_for_some <= 8
    flicker = np.mean([difference(one, other) for one, other in zip(every, every[1:], strict=False)])
    apart = max(difference(one, other) for one, other in zip(some, every, strict=True))
    assert apart <= 2 * flicker, "no further from it than sensor noise alone brings one painted frame from the next"


async def test_a_thing_that_starts_to_move_is_painted_where_it_is_at_once(engine: CountedEngine) -> None:
    still = takes(scene(), 6, 0.0)
    moving = [with_square(scene(), 40 + 6 * step, 60, 12, 120) for step in range(6)]
    every, _ = await painted(engine, still + moving, "off", noise_motion="follow")
    some, asked = await painted(engine, still + moving, "auto", noise_motion="follow")
    assert asked <= 1 + 6 + 1  # perhaps one more for a second that has passed
    assert [difference(one, other) for one, other in zip(some[6:], every[6:], strict=True)] == pytest.approx([0.0] * 6, abs=0.5)


async def test_a_slow_pan_never_falls_behind_by_more_than_can_be_seen(engine: CountedEngine) -> None:
    wide = np.asarray(cv2.resize(photo("coffee"), (300, 256), interpolation=cv2.INTER_AREA), np.float32)
    shifts = [0.1 * step for step in range(40)]
    frames = [
        cv2.warpAffine(wide, np.array([[1, 0, -shift], [0, 1, 0]], np.float32), (256, 256), flags=cv2.INTER_LINEAR)
        for shift in shifts
    ]
    clip = [np.rint(frame).astype(np.uint8) for frame in frames]
    every, _ = await painted(engine, clip, "off", noise_motion="fixed")
    some, asked = await painted(engine, clip, "auto", noise_motion="fixed")
    assert asked < 40
    step = np.mean([difference(one, other) for one, other in zip(every, every[4:], strict=False)])  # of 0.4 px
    assert max(difference(one, other) for one, other in zip(some, every, strict=True)) <= step
