"""Going over to another engine: at a batch boundary, in order, and with every frame answered once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from cmstream.core.clock import FakeClock
from cmstream.core.metrics import Metrics
from cmstream.scheduler.health import FAILURES_IN_A_ROW
from cmstream.scheduler.scheduler import Scheduler
from tests.scheduler.by_hand import HandEngine
from tests.scheduler.test_containment import Streams, on_hand_engine
from tests.scheduler.test_policy import job


async def turns() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def test_what_is_in_flight_comes_back_first_and_what_waits_goes_to_the_new_engine() -> None:
    old, scheduler = on_hand_engine(depth=2)
    new, streams = HandEngine(depth=2), Streams(scheduler, 2)
    bound: list[int] = []

    def moves() -> bool:
        assert scheduler.engine is new
        bound.extend(lane.stream_id for lane in streams.lanes if lane.job is not None)
        return True

    streams.push(0)
    streams.push(1)
    async with asyncio.TaskGroup() as group:
        moving = group.create_task(scheduler.move_to(new, moves))
        await turns()
        streams.push(0)
        streams.push(0)  # frame 2 displaces frame 1, which waits
        await old.answer(1)
        assert (len(old.running), new.batches, moving.done()) == (1, [], False), "one batch is still under way"
        await old.answer()
        await turns()
    assert moving.result()
    assert bound == [0], "what waits can be bound before it is taken"
    assert [len(batch) for batch in old.batches] == [1, 1]
    await new.answer()
    assert streams.of(0) == [(1, "displaced"), (0, "styled"), (2, "styled")]
    assert streams.of(1) == [(0, "styled")]


async def test_a_batch_that_fails_on_the_old_engine_is_run_again_there() -> None:
    old, scheduler = on_hand_engine()
    new, streams = HandEngine(), Streams(scheduler, 3)
    for stream_id in range(3):
        streams.push(stream_id)
    await old.answer()  # stream 0 alone; 1 and 2 were waiting and go together
    async with asyncio.TaskGroup() as group:
        group.create_task(scheduler.move_to(new, lambda: True))
        await turns()
        await old.answer(guilty=frozenset({2}))
        assert [[one.stream_id for one in batch] for batch in old.batches] == [[0], [1, 2], [1]]
        await old.answer()
        await old.answer(guilty=frozenset({2}))
    assert (streams.of(1), streams.of(2)) == ([(0, "styled")], [(0, "failed")])
    assert new.batches == []


async def test_who_does_not_move_after_all_goes_on_as_before() -> None:
    old, scheduler = on_hand_engine()
    new, streams = HandEngine(), Streams(scheduler, 1)
    streams.push(0)
    async with asyncio.TaskGroup() as group:
        moving = group.create_task(scheduler.move_to(new, lambda: False))
        await turns()
        streams.push(0)
        await old.answer()
    assert not moving.result()
    assert scheduler.engine is old
    await old.answer()
    assert streams.of(0) == [(0, "styled"), (1, "styled")]


async def test_where_binding_fails_the_engine_before_goes_on() -> None:
    old, scheduler = on_hand_engine()
    new, streams = HandEngine(), Streams(scheduler, 1)

    def moves() -> bool:
        raise RuntimeError("a mistake of ours")

    with pytest.raises(RuntimeError):
        await scheduler.move_to(new, moves)
    streams.push(0)
    await old.answer()
    assert (scheduler.engine, streams.of(0)) == (old, [(0, "styled")])


async def test_a_move_that_is_called_off_goes_on_as_before() -> None:
    old, scheduler = on_hand_engine()
    streams = Streams(scheduler, 1)
    streams.push(0)
    async with asyncio.TaskGroup() as group:
        moving = group.create_task(scheduler.move_to(HandEngine(), lambda: True))
        await turns()
        streams.push(0)
        moving.cancel()
    await old.answer()
    await old.answer()
    assert streams.of(0) == [(0, "styled"), (1, "styled")]


async def test_what_was_known_of_the_engine_before_is_forgotten() -> None:
    clock, old, new = FakeClock(), HandEngine(), HandEngine()
    scheduler = Scheduler(old, clock, Metrics())
    streams = Streams(scheduler, 2)
    for _ in range(FAILURES_IN_A_ROW):
        for stream_id in range(2):
            streams.push(stream_id)
            clock.advance_ms(10)
            await old.answer(guilty=frozenset({0, 1}))
    assert scheduler.health.fault
    assert scheduler.load.cost_ms(64 * 64) is not None
    assert streams.lanes[0].suspect
    streams.push(0)
    streams.push(1)

    def moves() -> bool:
        for lane in streams.lanes:
            lane.renew(lambda waiting: replace(waiting, width_px=48))
        return True

    async with asyncio.TaskGroup() as group:
        group.create_task(scheduler.move_to(new, moves))
        await turns()
        await old.answer()
    assert scheduler.health.fault == ""
    assert scheduler.load.cost_ms(64 * 64) is None, "another engine has other costs"
    assert not streams.lanes[1].suspect
    assert [one.width_px for one in new.batches[0]] == [48], "what waits was bound anew"
    await new.answer()


async def test_a_picture_that_stands_still_is_styled_by_the_new_engine_at_once() -> None:
    old, scheduler = on_hand_engine()
    new, streams = HandEngine(), Streams(scheduler, 1)
    lane, cells = streams.lanes[0], np.zeros((3, 8, 8), np.float32)
    scheduler.put(lane, replace(job(0), cells=cells))
    await old.answer()
    scheduler.put(lane, replace(job(1), cells=cells))
    assert (len(old.batches), streams.of(0)) == (1, [(0, "styled"), (1, "styled")]), "the second is the first once more"

    def moves() -> bool:
        lane.renew(lambda waiting: waiting)
        return True

    await scheduler.move_to(new, moves)
    scheduler.put(lane, replace(job(2), cells=cells))
    assert len(new.batches) == 1
    await new.answer()
