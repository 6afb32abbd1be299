"""The scheduler on an engine whose frames share evaluations: they go in while others are under way, and come out in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cmstream.core.clock import MonotonicClock
from cmstream.core.metrics import Metrics
from cmstream.engine.base import EngineOutput
from cmstream.engine.pipeline.eager_device import EagerDevice
from cmstream.engine.pipeline.engine import PipelineEngine
from cmstream.scheduler.job import Job, Lane, Outcome
from cmstream.scheduler.scheduler import Scheduler
from tests.engine.pipeline.walking import SIZE, Gate, Walk, alone, frame, gated, shown, walk, walking
from tests.scheduler.test_policy import job

BUDGET_MS = 60_000


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def walked(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[PipelineEngine, Walk]]:
    with walking(EagerDevice(), monkeypatch) as found, monkeypatch.context() as patch:
        gated(gate, patch)
        yield found
        gate.open()


def asked(frame_id: int, steps: int, push: int = 1) -> Job:
    each = frame(0, walk(steps, push=push), frame_id)
    blank = job(frame_id)
    return replace(blank, frame=replace(blank.frame, rgb=each.rgb), look=each.look, width_px=SIZE[0], height_px=SIZE[1])


def expected(each: Job) -> int:
    return alone(frame(0, each.look, each.frame.frame_id))


def opened(scheduler: Scheduler, stream_id: int, came: list[tuple[int, int, int]]) -> Lane:
    def done(job: Job, outcome: Outcome) -> None:
        assert isinstance(outcome, EngineOutput)
        assert shown(outcome.rgb) == expected(job)
        came.append((stream_id, job.frame.frame_id, shown(outcome.rgb)))

    return scheduler.open_lane(stream_id, BUDGET_MS, done, lambda job: None)


async def test_a_frame_of_several_evaluations_does_not_keep_the_next_of_its_stream_out(
    walked: tuple[PipelineEngine, Walk], gate: Gate
) -> None:
    engine, course = walked
    scheduler, came = Scheduler(engine, MonotonicClock(), Metrics()), list[tuple[int, int, int]]()
    lane = opened(scheduler, 0, came)
    jobs = [asked(at, 4, push=at + 1) for at in range(4)]
    assert [scheduler.put(lane, each) for each in jobs] == [None] * 4
    assert len(lane.flights) == 4
    later = [asked(4 + at, 4) for at in range(2)]
    assert scheduler.put(lane, later[0]) is None
    displaced = scheduler.put(lane, later[1])
    assert displaced is not None, "there are rows for four, and what has no row waits where a newer frame displaces it"
    assert displaced.frame.frame_id == 4
    gate.open()
    await asyncio.wait_for(scheduler.drained(), 30)
    assert [frame_id for _, frame_id, _ in came] == [0, 1, 2, 3, 5]


async def test_frames_of_fewer_steps_never_come_out_before_older_ones_of_their_stream_and_pass_those_of_others(
    walked: tuple[PipelineEngine, Walk], gate: Gate
) -> None:
    engine, _ = walked
    scheduler, came = Scheduler(engine, MonotonicClock(), Metrics()), list[tuple[int, int, int]]()
    mine, other = opened(scheduler, 0, came), opened(scheduler, 1, came)
    scheduler.put(mine, asked(0, 8))
    scheduler.put(mine, asked(1, 2))
    scheduler.put(other, asked(0, 3))
    gate.open()
    await asyncio.wait_for(scheduler.drained(), 30)
    assert [(stream_id, frame_id) for stream_id, frame_id, _ in came] == [(1, 0), (0, 0), (0, 1)]
