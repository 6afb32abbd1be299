"""An engine that hangs or fails for everybody is told; one that fails for one stream is not."""

from __future__ import annotations

import asyncio
import logging

import pytest

from cmstream.core.clock import FakeClock, MonotonicClock
from cmstream.core.errors import EngineFailed
from cmstream.core.metrics import Metrics
from cmstream.engine.fake import FakeEngine
from cmstream.scheduler.health import FAILURES_IN_A_ROW, Health
from cmstream.scheduler.job import Flight
from cmstream.scheduler.scheduler import Scheduler
from tests.scheduler.test_policy import job, lane

FAILED = EngineFailed("device-side assert")


def batch(*stream_ids: int) -> list[Flight]:
    return [Flight(lane(stream_id), job(0)) for stream_id in stream_ids]


async def answered(health: Health, failure: EngineFailed | None, *stream_ids: int) -> None:
    flights = batch(*stream_ids)
    health.submitted(flights)
    health.answered(flights, failure)


async def test_a_batch_that_does_not_come_back_is_a_fault_and_ends_when_it_does(caplog: pytest.LogCaptureFixture) -> None:
    changes: list[str] = []
    health = Health(MonotonicClock(), 0.05)
    health.on_change = lambda: changes.append(health.fault)
    flights = batch(1)
    health.submitted(flights)
    assert not health.fault
    await asyncio.sleep(0.15)
    assert health.hung
    assert "has not answered" in health.fault
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]
    health.answered(flights, None)
    assert not health.hung
    assert [bool(fault) for fault in changes] == [True, False]
    health.close()


async def test_batches_that_come_back_in_time_are_no_fault_however_many() -> None:
    health = Health(MonotonicClock(), 0.05)
    for _ in range(12):
        flights = batch(1)
        health.submitted(flights)
        await asyncio.sleep(0.01)
        health.answered(flights, None)
    assert not health.fault
    health.close()


async def test_an_engine_at_rest_has_no_timer() -> None:
    health = Health(MonotonicClock(), 0.02)
    await answered(health, None, 1)
    await asyncio.sleep(0.05)
    assert health._timer is None
    assert not health.fault


async def test_an_engine_that_fails_for_all_is_faulty_until_one_succeeds() -> None:
    health = Health(FakeClock(), 30)
    for number in range(FAILURES_IN_A_ROW):
        assert not health.fault
        await answered(health, FAILED, number % 3)
    assert "device-side assert" in health.fault
    assert not health.hung
    await answered(health, None, 1)
    assert not health.fault
    health.close()


async def test_one_stream_that_fails_is_no_fault_of_the_engine() -> None:
    health = Health(FakeClock(), 30)
    for _ in range(3 * FAILURES_IN_A_ROW):
        await answered(health, FAILED, 7)
    assert not health.fault
    health.close()


async def test_the_scheduler_tells_of_an_engine_that_hangs() -> None:
    engine = FakeEngine()
    scheduler = Scheduler(engine, MonotonicClock(), Metrics(), watchdog_s=0.05)
    engine.hung = True
    scheduler.put(scheduler.open_lane(1, 100, lambda job, outcome: None, lambda job: None), job(0))
    await asyncio.sleep(0.15)
    assert scheduler.health.hung
    engine.hung = False
    await scheduler.drained()
    assert not scheduler.health.fault
    scheduler.health.close()
    engine.close()
