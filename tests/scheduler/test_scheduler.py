"""The scheduler on the fake engine: one batch in flight, batches from what is ready, failures contained."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cmstream.core.clock import FakeClock, MonotonicClock
from cmstream.core.errors import EngineFailed
from cmstream.core.metrics import Metrics
from cmstream.core.trace import Stage
from cmstream.engine.base import EngineOutput
from cmstream.engine.fake import FakeEngine
from cmstream.scheduler.job import Job, Lane, Outcome
from cmstream.scheduler.scheduler import Scheduler
from tests.scheduler.by_hand import HandEngine
from tests.scheduler.test_policy import job

Outcomes = list[tuple[int, int, Outcome]]


@asynccontextmanager
async def running(engine: FakeEngine) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(engine, MonotonicClock(), Metrics())
    try:
        yield scheduler
    finally:
        await scheduler.drained()
        engine.close()


def lanes(scheduler: Scheduler, count: int, outcomes: Outcomes) -> list[Lane]:
    def done(stream_id: int, job: Job, outcome: Outcome) -> None:
        outcomes.append((stream_id, job.frame.frame_id, outcome))

    return [
        scheduler.open_lane(i, 5000, lambda job, outcome, i=i: done(i, job, outcome), lambda job: None)  # type: ignore[misc]
        for i in range(count)
    ]


async def test_what_arrives_while_the_engine_is_busy_goes_as_one_batch_without_waiting_for_more() -> None:
    outcomes: Outcomes = []
    engine = FakeEngine(latency_ms=20)
    async with running(engine) as scheduler:
        for lane in lanes(scheduler, 5, outcomes):
            scheduler.put(lane, job(0))
    assert engine.batch_sizes == [1, 4]
    assert [stream_id for stream_id, _, _ in outcomes] == [0, 1, 2, 3, 4]


async def test_a_newer_frame_displaces_the_waiting_one_and_order_is_kept() -> None:
    outcomes: Outcomes = []
    async with running(FakeEngine(latency_ms=10)) as scheduler:
        (lane,) = lanes(scheduler, 1, outcomes)
        displaced = [scheduler.put(lane, job(i)) for i in range(5)]
    assert [frame_id for _, frame_id, _ in outcomes] == [0, 4]
    assert [d.frame.frame_id for d in displaced if d] == [1, 2, 3]


async def test_a_failed_batch_fails_its_frames_and_the_next_is_served() -> None:
    outcomes: Outcomes = []
    engine = FakeEngine()
    engine.fail_next = 1
    async with running(engine) as scheduler:
        (lane,) = lanes(scheduler, 1, outcomes)
        scheduler.put(lane, job(0))
        await scheduler.drained()
        scheduler.put(lane, job(1))
    assert isinstance(outcomes[0][2], EngineFailed)
    assert isinstance(outcomes[1][2], EngineOutput)


async def test_results_of_a_closed_lane_are_discarded() -> None:
    outcomes: Outcomes = []
    async with running(FakeEngine(latency_ms=20)) as scheduler:
        one, other = lanes(scheduler, 2, outcomes)
        scheduler.put(one, job(0))
        scheduler.put(other, job(0))
        assert scheduler.close_lane(one) is None  # it is in flight already
        waiting = scheduler.close_lane(other)
    assert waiting is not None
    assert outcomes == []


async def test_the_wait_for_the_engine_is_the_queue_stage() -> None:
    seen: list[Job] = []
    async with running(FakeEngine(latency_ms=15)) as scheduler:
        lane = scheduler.open_lane(1, 100, lambda job, outcome: seen.append(job), lambda job: None)
        scheduler.put(lane, job(0))
        scheduler.put(lane, job(1))
        await asyncio.sleep(0)
    assert [stage for stage, _ in seen[1].frame.trace.marks] == [Stage.QUEUE]
    assert seen[1].frame.trace.marks[0][1] - seen[0].frame.trace.marks[0][1] >= 14e6


async def test_a_frame_that_waited_longer_than_its_budget_is_handed_back_late_and_the_next_one_runs() -> None:
    late: list[int] = []
    outcomes: Outcomes = []
    async with running(FakeEngine(latency_ms=40)) as scheduler:
        (busy,) = lanes(scheduler, 1, outcomes)
        impatient = scheduler.open_lane(
            7,
            10,
            lambda job, outcome: outcomes.append((7, job.frame.frame_id, outcome)),
            lambda job: late.append(job.frame.frame_id),
        )
        scheduler.put(busy, job(0))
        scheduler.put(impatient, job(0))
        await scheduler.drained()
        assert late == [0]
        scheduler.put(busy, job(1))
        scheduler.put(impatient, job(1))
    assert late == [0], "two in a row are never dropped for being late"
    assert [stream_id for stream_id, _, _ in outcomes] == [0, 0, 7]


async def test_the_load_of_the_engine_is_measured() -> None:
    outcomes: Outcomes = []
    async with running(FakeEngine(latency_ms=20)) as scheduler:
        (lane,) = lanes(scheduler, 1, outcomes)
        scheduler.put(lane, job(0))
        await scheduler.drained()
        cost_ms = scheduler.load.cost_ms(64 * 64)
        assert cost_ms is not None
        assert cost_ms >= 20
        assert 0 < scheduler.load.busy() < 0.5


async def test_a_frame_that_is_back_before_an_older_one_of_its_stream_is_handed_out_after_it() -> None:
    """Fewer steps overtake more in the engine; nobody sees it, and nothing is lost."""
    outcomes: Outcomes = []
    engine = HandEngine(depth=3)
    scheduler = Scheduler(engine, MonotonicClock(), Metrics())
    mine, other = lanes(scheduler, 2, outcomes)
    scheduler.put(mine, job(0))
    scheduler.put(mine, job(1))
    scheduler.put(other, job(0))
    await engine.answer(1)
    await engine.answer(1)
    assert [(stream_id, frame_id) for stream_id, frame_id, _ in outcomes] == [(1, 0)]
    await engine.answer(0)
    assert [(stream_id, frame_id) for stream_id, frame_id, _ in outcomes] == [(1, 0), (0, 0), (0, 1)]


async def test_more_batches_share_the_engine_only_while_the_age_of_their_frames_leaves_the_tightest_budget_room() -> None:
    outcomes: Outcomes = []
    engine, clock = HandEngine(depth=4), FakeClock()
    scheduler = Scheduler(engine, clock, Metrics())
    (patient, second, third, fourth) = lanes(scheduler, 4, outcomes)
    for lane in (patient, second, third):
        scheduler.put(lane, job(0))
    assert len(engine.running) == 3, "nothing is known yet"
    clock.advance_ms(100)
    for _ in range(3):
        await engine.answer()
    fourth.set_budget(249)  # 100 ms for two would be 150 for three, after 50 of waiting: 0.8 of 250 ms
    for frame_id, lane in enumerate((patient, second, third)):
        scheduler.put(lane, job(1 + frame_id))
    assert len(engine.running) == 2
    fourth.set_budget(250)
    scheduler.put(fourth, job(9))
    assert len(engine.running) == 3
