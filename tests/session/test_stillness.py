"""A stream that stands still: viewers keep their frame rate, the engine rests, and whatever changes shows at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from cmstream.core import watermark
from cmstream.core.clock import FakeClock
from cmstream.core.frame import Rgb, StyledFrame
from cmstream.core.trace import Stage, Trace
from cmstream.engine.fake import FakeEngine
from cmstream.session.publisher import Publisher
from cmstream.session.session import Session
from cmstream.session.subscription import Subscription
from cmstream.settings import Settings, StreamSettings
from tests.session.stage import grey, registry_on

TIME_BASE = Fraction(1, 30)


@dataclass
class Scene:
    """One stream with its publisher and a viewer that takes every frame."""

    session: Session
    publisher: Publisher
    frames: Subscription
    engine: FakeEngine
    clock: FakeClock

    async def show(self, rgb: Rgb, *, after_ms: float = 0.0) -> StyledFrame:
        """Push a frame and get its result."""
        self.clock.advance_ms(after_ms)
        now_ns = self.clock.now_ns()
        frame_id = self.publisher.push(rgb, pts=now_ns, time_base=TIME_BASE, trace=Trace(now_ns))
        styled = await anext(self.frames)
        assert (styled.frame_id, styled.pts) == (frame_id, now_ns)
        return styled

    @property
    def evaluations(self) -> int:
        return len(self.engine.batch_sizes)


@asynccontextmanager
async def scene(**streams: Any) -> AsyncIterator[Scene]:
    engine, clock = FakeEngine(), FakeClock()
    async with registry_on(engine, Settings(streams=StreamSettings(**streams)), clock) as registry:
        session = registry.open("cam")
        with session.publish("test") as publisher, session.subscribe("test") as frames:
            yield Scene(session, publisher, frames, engine, clock)


async def test_a_still_picture_keeps_its_frame_rate_and_the_engine_is_asked_once_a_second() -> None:
    async with scene() as still:
        shown = [await still.show(grey(10), after_ms=33) for _ in range(90)]
        assert [styled.frame_id for styled in shown] == list(range(90))
        assert still.evaluations == 3
        assert {styled.rgb.tobytes() for styled in shown} == {shown[0].rgb.tobytes()}
        snapshot = still.session.snapshot()
        assert (snapshot["frames_styled"], snapshot["frames_repeated"]) == (3, 87)
        assert snapshot["fps_out"] == pytest.approx(30, abs=1)


async def test_a_repeated_frame_says_which_frame_it_repeats_and_its_trace_is_its_own() -> None:
    async with scene() as still:
        first = await still.show(grey(10))
        second = await still.show(grey(10), after_ms=33)
        assert (first.repeat_of, second.repeat_of) == (None, 0)
        assert [stage for stage, _ in second.trace.marks] == [Stage.REPEAT]
        assert second.trace.received_ns == first.trace.received_ns + 33_000_000
        assert sum(second.trace.stages_ms().values()) == second.trace.total_ms()


@pytest.mark.parametrize(
    "patch",
    [{"strength": 0.5}, {"seed": 3}, {"style": "grey"}, {"transition_ms": 10.0}, {"skip_still": "off"}],
    ids=lambda patch: next(iter(patch)),
)
async def test_every_change_of_parameters_is_styled_however_still_the_picture(patch: dict[str, Any]) -> None:
    async with scene() as still:
        still.session.update({"transition_ms": 0})
        for _ in range(3):
            await still.show(grey(10))
        before = still.evaluations
        still.session.update(patch)
        changed = await still.show(grey(10))
        assert still.evaluations == before + 1
        assert changed.params == still.session.params


async def test_every_step_of_a_transition_is_styled_and_then_it_rests() -> None:
    async with scene() as still:
        still.session.update({"transition_ms": 200})
        await still.show(grey(0))
        still.session.update({"strength": 0.0})
        levels = [int((await still.show(grey(0), after_ms=20)).rgb[0, 0, 0]) for _ in range(15)]
        assert levels[:10] == sorted(set(levels[:10]), reverse=True)
        assert levels[10:] == [0] * 5
        assert still.evaluations == 1 + 10


async def test_another_size_of_the_source_is_styled() -> None:
    async with scene() as still:
        await still.show(grey(10, 32))
        larger = await still.show(grey(10, 64))
        assert larger.rgb.shape == (64, 64, 3)
        assert still.evaluations == 2


async def test_a_stream_may_choose_to_style_every_frame_and_so_may_a_server() -> None:
    async with scene() as still:
        still.session.update({"skip_still": "off"})
        for _ in range(4):
            await still.show(grey(10))
        assert still.evaluations == 4
    async with scene(skip_still="off") as restless:
        for _ in range(4):
            await restless.show(grey(10))
        assert restless.evaluations == 4
        restless.session.update({"skip_still": "auto"})
        for _ in range(4):
            await restless.show(grey(10))
        assert restless.evaluations == 5


async def test_a_picture_that_darkens_too_slowly_to_see_from_frame_to_frame_is_followed() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(60, 200, (48, 64, 3)).astype(np.float64)
    async with scene() as still:
        errors = []
        for step in range(60):
            now = np.rint(picture - 0.2 * step).astype(np.uint8)
            styled = await still.show(now, after_ms=10)
            errors.append(float(np.abs(styled.rgb.astype(int) - ~now).mean()))
        assert max(errors) < 1.5  # levels: never further from the truth than the eye can tell
        assert still.evaluations < 50


async def test_a_mark_that_counts_is_a_picture_that_moves_so_that_what_is_measured_is_styled() -> None:
    async with scene() as still:
        still.session.update({"watermark": "pass", "transition_ms": 0})
        for value in (4, 5, 6):
            styled = await still.show(watermark.marked(grey(10, 256), value))
            assert (watermark.read(styled.rgb), styled.repeat_of) == (value, None)
        repeated = await still.show(watermark.marked(grey(10, 256), 6))
        assert (watermark.read(repeated.rgb), repeated.repeat_of) == (6, 2)
