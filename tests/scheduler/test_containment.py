"""One stream makes the engine fail: the others get every frame, in order, and soon. Scenarios, and every interleaving."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmstream.core.clock import FakeClock, MonotonicClock
from cmstream.core.errors import EngineFailed
from cmstream.core.metrics import Metrics
from cmstream.engine.fake import FakeEngine
from cmstream.scheduler.job import Job, Lane, Outcome
from cmstream.scheduler.scheduler import Scheduler
from tests.scheduler.by_hand import HandEngine
from tests.scheduler.test_policy import job

Told = list[tuple[int, int, str]]


class Streams:
    """Lanes that push frames counted from 0, and what became of each: "styled", "failed", "late" or "displaced"."""

    def __init__(self, scheduler: Scheduler, count: int) -> None:
        self.told: Told = []
        self.pushed = [0] * count
        self._scheduler = scheduler
        self.lanes = [self._open(stream_id) for stream_id in range(count)]

    def push(self, stream_id: int) -> None:
        frame_id, self.pushed[stream_id] = self.pushed[stream_id], self.pushed[stream_id] + 1
        displaced = self._scheduler.put(self.lanes[stream_id], job(frame_id))
        if displaced is not None:
            self.told.append((stream_id, displaced.frame.frame_id, "displaced"))

    def of(self, stream_id: int) -> list[tuple[int, str]]:
        return [(frame_id, became) for stream, frame_id, became in self.told if stream == stream_id]

    def _open(self, stream_id: int) -> Lane:
        def done(job: Job, outcome: Outcome) -> None:
            self.told.append((stream_id, job.frame.frame_id, "failed" if isinstance(outcome, EngineFailed) else "styled"))

        def late(job: Job) -> None:
            self.told.append((stream_id, job.frame.frame_id, "late"))

        return self._scheduler.open_lane(stream_id, 100, done, late)


def on_hand_engine(**engine: Any) -> tuple[HandEngine, Scheduler]:
    by_hand = HandEngine(**engine)
    return by_hand, Scheduler(by_hand, FakeClock(), Metrics())


async def test_a_batch_that_fails_is_run_again_one_by_one_and_only_the_guilty_frame_is_lost() -> None:
    engine, scheduler = on_hand_engine()
    streams = Streams(scheduler, 4)
    for stream_id in (0, 1, 2, 3):
        streams.push(stream_id)
    while engine.running:
        await engine.answer(guilty=frozenset({2}))
    assert [len(batch) for batch in engine.batches] == [1, 3, 1, 1, 1]
    assert streams.told == [(0, 0, "styled"), (1, 0, "styled"), (2, 0, "failed"), (3, 0, "styled")]


async def test_frames_of_a_failed_batch_go_before_anything_new() -> None:
    engine, scheduler = on_hand_engine()
    streams = Streams(scheduler, 3)
    for stream_id in (0, 1, 2):
        streams.push(stream_id)
    await engine.answer()
    streams.push(0)
    await engine.answer(guilty=frozenset({1}))
    assert [one.stream_id for one in engine.batches[-1]] == [1]
    await engine.answer(guilty=frozenset({1}))
    assert [one.stream_id for one in engine.batches[-1]] == [2]


async def test_a_stream_that_failed_goes_alone_until_it_succeeds_and_costs_the_others_one_evaluation() -> None:
    engine, scheduler = on_hand_engine()
    streams = Streams(scheduler, 3)
    streams.push(0)
    await engine.answer(guilty=frozenset({0}))
    for _ in range(2):
        for stream_id in (0, 1, 2):
            streams.push(stream_id)
        while engine.running:
            await engine.answer(guilty=frozenset({0}))
    with_it = [batch for batch in engine.batches if 0 in {one.stream_id for one in batch}]
    assert [len(batch) for batch in with_it] == [1, 1, 1]
    assert [became for _, became in streams.of(1) + streams.of(2)] == ["styled"] * 4
    streams.push(0)
    await engine.answer()  # it succeeds
    streams.push(1)
    for stream_id in (0, 2):
        streams.push(stream_id)
    await engine.answer()
    assert [one.stream_id for one in engine.batches[-1]] == [0, 2]


async def test_with_two_batches_in_flight_a_stream_whose_frame_is_run_again_still_hands_out_in_order() -> None:
    engine, scheduler = on_hand_engine(depth=2)
    streams = Streams(scheduler, 3)
    streams.push(0)
    for stream_id in (1, 2):
        streams.push(stream_id)  # 1 alone, 2 waits: the engine has two batches
    streams.push(1)
    await engine.answer(0)  # 0 is done, and a batch of 1 and 2 follows
    assert [one.stream_id for one in engine.running[-1][0]] == [1, 2]
    streams.push(1)
    await engine.answer(0)  # frame 0 of 1 is done, frame 2 of 1 follows
    await engine.answer(0, guilty=frozenset({2}))  # frames 0 of 2 and 1 of 1 fail together
    await engine.answer(0)  # frame 2 of 1 is back before frame 1 has been run again
    assert [frame_id for frame_id, _ in streams.of(1)] == [0]
    while engine.running:
        await engine.answer(0, guilty=frozenset({2}))
    assert streams.of(1) == [(0, "styled"), (1, "styled"), (2, "styled")]
    assert streams.of(2) == [(0, "failed")]


async def test_a_batch_too_large_for_the_device_is_run_one_by_one_and_nobody_loses_a_frame() -> None:
    engine = FakeEngine(latency_ms=5)
    engine.memory_frames = 1
    scheduler = Scheduler(engine, MonotonicClock(), Metrics())
    streams = Streams(scheduler, 5)
    for stream_id in range(5):
        streams.push(stream_id)
    await scheduler.drained()
    engine.close()
    assert Counter(became for _, _, became in streams.told) == {"styled": 5}
    assert engine.batch_sizes == [1, 4, 1, 1, 1, 1]


async def test_an_engine_that_does_not_even_take_a_batch_fails_it_and_is_asked_again() -> None:
    engine = FakeEngine()
    engine.close()  # its thread has ended
    scheduler = Scheduler(engine, MonotonicClock(), Metrics())
    streams = Streams(scheduler, 1)
    for _ in range(3):
        streams.push(0)
        await scheduler.drained()
    assert streams.told == [(0, 0, "failed"), (0, 1, "failed"), (0, 2, "failed")]


async def test_a_stream_that_closes_while_its_batch_fails_is_not_run_again() -> None:
    engine, scheduler = on_hand_engine()
    streams = Streams(scheduler, 3)
    for stream_id in (0, 1, 2):
        streams.push(stream_id)
    await engine.answer()
    scheduler.close_lane(streams.lanes[1])
    await engine.answer(guilty=frozenset({1}))
    while engine.running:
        await engine.answer()
    assert [[one.stream_id for one in batch] for batch in engine.batches] == [[0], [1, 2], [2]]
    assert streams.told == [(0, 0, "styled"), (2, 0, "styled")]


Action = tuple[str, int]
ACTIONS = st.lists(st.tuples(st.sampled_from(["push", "push", "answer"]), st.integers(0, 4)), min_size=1, max_size=60)


@given(ACTIONS, st.sampled_from([1, 2]), st.frozensets(st.integers(0, 4), max_size=2), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_every_job_has_exactly_one_outcome_in_order_and_the_innocent_are_styled(
    actions: list[Action], depth: int, guilty: frozenset[int], random: Any
) -> None:
    async def run() -> None:
        engine, scheduler = on_hand_engine(depth=depth)
        streams = Streams(scheduler, 5)
        for action, number in actions:
            if action == "push":
                streams.push(number)
            elif engine.running:
                await engine.answer(number % len(engine.running), guilty=guilty if random.random() < 0.7 else frozenset())
        while engine.running:
            await engine.answer(guilty=guilty)
        await scheduler.drained()
        for stream_id, pushed in enumerate(streams.pushed):
            outcomes = streams.of(stream_id)
            assert sorted(frame_id for frame_id, _ in outcomes) == list(range(pushed))
            handed_out = [frame_id for frame_id, became in outcomes if became in ("styled", "failed")]
            assert handed_out == sorted(handed_out)
            assert stream_id in guilty or "failed" not in {became for _, became in outcomes}

    asyncio.run(run())


@given(st.integers(2, 5), st.integers(20, 60), st.sampled_from([1, 2]))
@settings(max_examples=30)
def test_a_stream_that_always_fails_starves_nobody(streams_count: int, rounds: int, depth: int) -> None:
    async def run() -> None:
        engine, clock = HandEngine(depth=depth), FakeClock()
        scheduler = Scheduler(engine, clock, Metrics())
        streams = Streams(scheduler, streams_count)
        for _ in range(rounds):
            clock.advance_ms(10)
            for stream_id in range(streams_count):
                streams.push(stream_id)
            await engine.answer(guilty=frozenset({0}))
        styled = [sum(became == "styled" for _, became in streams.of(stream_id)) for stream_id in range(1, streams_count)]
        assert min(styled) >= (rounds - 4) // 2 - 1  # every other evaluation is the failing stream's, at the most

    asyncio.run(run())


@pytest.mark.parametrize("depth", [1, 2])
async def test_a_failure_is_an_outcome_and_not_an_exception_of_the_loop(depth: int) -> None:
    engine, scheduler = on_hand_engine(depth=depth)
    streams = Streams(scheduler, 1)
    streams.push(0)
    batch, future = engine.running.pop()
    assert len(batch) == 1
    future.set_exception(ValueError("a bug in the engine"))
    await asyncio.sleep(0.01)
    assert streams.told == [(0, 0, "failed")]
