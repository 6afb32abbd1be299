"""A still picture is answered with the last result: at once, in order, and without the engine. Every interleaving too."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cmstream.core.clock import FakeClock
from cmstream.core.errors import EngineFailed
from cmstream.core.metrics import Metrics
from cmstream.scheduler.job import Job, Lane, Outcome, Repeat
from cmstream.scheduler.scheduler import Scheduler
from cmstream.scheduler.stillness import REFRESH_NS
from tests.scheduler.by_hand import HandEngine
from tests.scheduler.test_policy import job

REFRESH_MS = REFRESH_NS / 1e6


class Camera:
    """One stream whose pictures are of one level each, and what came of every frame."""

    def __init__(self, *, depth: int = 1) -> None:
        self.engine, self.clock = HandEngine(depth=depth), FakeClock()
        self.scheduler = Scheduler(self.engine, self.clock, Metrics())
        self.levels: list[int] = []
        self.outcomes: list[tuple[int, Outcome | None]] = []  # None: displaced, or late
        self.lane: Lane = self.scheduler.open_lane(1, 1000, self._done, self._late)

    def push(self, level: int, **changes: Any) -> None:
        frame_id = len(self.levels)
        self.levels.append(level)
        changes.setdefault("cells", np.full((3, 8, 8), 20 * level, np.float32))
        displaced = self.scheduler.put(self.lane, replace(job(frame_id), **changes))
        if displaced is not None:
            self.outcomes.append((displaced.frame.frame_id, None))

    def _done(self, job: Job, outcome: Outcome) -> None:
        self.outcomes.append((job.frame.frame_id, outcome))

    def _late(self, job: Job) -> None:
        self.outcomes.append((job.frame.frame_id, None))

    @property
    def repeats(self) -> dict[int, int]:
        """Frames that were answered without the engine, and the frame whose result they got."""
        return {frame_id: outcome.of_frame_id for frame_id, outcome in self.outcomes if isinstance(outcome, Repeat)}


async def test_still_frames_are_answered_at_once_and_the_engine_is_asked_once() -> None:
    camera = Camera()
    camera.push(1)
    await camera.engine.answer()
    for _ in range(20):
        camera.push(1)
    assert camera.repeats == dict.fromkeys(range(1, 21), 0)
    assert len(camera.engine.batches) == 1


async def test_a_frame_that_shows_something_else_is_styled_and_is_what_later_ones_are_held_against() -> None:
    camera = Camera()
    for level in (1, 1, 2, 2, 1):
        camera.push(level)
        if camera.engine.running:
            await camera.engine.answer()
    assert camera.repeats == {1: 0, 3: 2}
    assert len(camera.engine.batches) == 3


async def test_a_still_frame_that_comes_while_the_engine_works_waits_for_that_result_and_costs_no_turn() -> None:
    camera = Camera()
    for _ in range(3):
        camera.push(1)
    assert len(camera.engine.batches) == 1
    await camera.engine.answer()
    assert not camera.engine.running
    assert [frame_id for frame_id, _ in camera.outcomes] == [1, 0, 2]  # 1 was displaced by 2
    assert camera.repeats == {2: 0}


async def test_a_moving_frame_that_displaces_a_still_one_gets_its_turn() -> None:
    camera = Camera()
    for level in (1, 1, 2):
        camera.push(level)
    await camera.engine.answer()
    await camera.engine.answer()
    assert camera.repeats == {}
    assert [frame_id for frame_id, _ in camera.outcomes] == [1, 0, 2]


async def test_a_still_frame_gets_its_own_turn_when_the_result_it_waited_for_failed() -> None:
    camera = Camera()
    camera.push(1)
    camera.push(1)
    await camera.engine.answer(guilty=frozenset({1}))
    await camera.engine.answer()
    assert isinstance(camera.outcomes[0][1], EngineFailed)
    assert camera.outcomes[1][0] == 1
    assert camera.repeats == {}


async def test_a_still_picture_is_styled_anew_after_a_second() -> None:
    camera = Camera()
    camera.push(1)
    await camera.engine.answer()
    for _ in range(30):
        camera.clock.advance_ms(REFRESH_MS / 10)
        camera.push(1)
        if camera.engine.running:
            await camera.engine.answer()
    assert len(camera.engine.batches) == 4
    assert len(camera.repeats) == 27


async def test_other_parameters_another_look_and_another_size_are_never_answered_with_the_last_result() -> None:
    camera = Camera()
    camera.push(1)
    await camera.engine.answer()
    first = job(0)
    changes: list[dict[str, Any]] = [
        {"params": replace(first.params, strength=0.5)},
        {"params": replace(first.params, transition_ms=1.0)},
        {"look": replace(first.look, seeds=((7, 1.0),))},
        {"look": replace(first.look, noise_motion="follow")},
        {"width_px": 32},
        {"height_px": 32},
    ]
    for change in changes:
        camera.push(1, **change)
        assert len(camera.engine.running) == 1, change
        await camera.engine.answer()
    assert camera.repeats == {}


async def test_a_stream_that_does_not_want_it_is_styled_every_time() -> None:
    camera = Camera()
    for _ in range(3):
        camera.push(1, cells=None)
        await camera.engine.answer()
    assert camera.repeats == {}
    assert len(camera.engine.batches) == 3


@given(
    st.lists(st.tuples(st.sampled_from(["push", "push", "answer", "fail", "wait"]), st.integers(0, 2)), max_size=60),
    st.sampled_from([1, 2]),
)
@settings(max_examples=200)
def test_every_frame_has_one_outcome_in_order_and_a_repeat_shows_what_the_frame_showed(
    actions: list[tuple[str, int]], depth: int
) -> None:
    async def run() -> None:
        camera = Camera(depth=depth)
        for action, number in actions:
            if action == "push":
                camera.push(number)
            elif action == "wait":
                camera.clock.advance_ms(400)
            elif camera.engine.running:
                guilty = frozenset({1}) if action == "fail" else frozenset[int]()
                await camera.engine.answer(number % len(camera.engine.running), guilty=guilty)
        while camera.engine.running:
            await camera.engine.answer()
        assert sorted(frame_id for frame_id, _ in camera.outcomes) == list(range(len(camera.levels)))
        handed_out = [frame_id for frame_id, outcome in camera.outcomes if outcome is not None]
        assert handed_out == sorted(handed_out)
        failed = {frame_id for frame_id, outcome in camera.outcomes if isinstance(outcome, EngineFailed)}
        for frame_id, of_frame_id in camera.repeats.items():
            assert of_frame_id < frame_id
            assert of_frame_id not in failed
            assert camera.levels[of_frame_id] == camera.levels[frame_id]

    asyncio.run(run())
