"""One viewer's sound: as late as its picture, in order, bounded, and never a burden on anybody."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiortc.mediastreams import MediaStreamError

from cmstream.core.clock import Clock, FakeClock, MonotonicClock
from cmstream.core.metrics import Metrics
from cmstream.core.opus import OpusPacket
from cmstream.session.soundtrack import Soundtrack
from cmstream.transport.rtc.audio_feed import MOST_WAITING, AudioFeed

STEP = 960


class Listening:
    def __init__(self, clock: Clock | None = None, delay_ms: float | None = 0.0) -> None:
        self.clock = clock or FakeClock()
        self.metrics = Metrics()
        self.soundtrack = Soundtrack(self.clock, self.metrics)
        self.delay_ms = delay_ms
        self.feed = AudioFeed(self.soundtrack, self.clock, self.metrics, lambda: self.delay_ms)

    def push(self, *indices: int) -> None:
        for index in indices:
            self.soundtrack.push(OpusPacket(bytes([index % 256]), index * STEP, self.clock.now_ns(), STEP))

    async def take(self, count: int) -> list[int]:
        async with asyncio.timeout(5):
            return [(await self.feed.next()).timestamp // STEP for _ in range(count)]

    def dropped(self, reason: str) -> float:
        labels = {"reason": reason}
        return self.metrics.registry.get_sample_value("cmstream_audio_packets_dropped_total", labels) or 0


async def test_a_packet_leaves_as_late_as_the_picture_does() -> None:
    on = Listening(MonotonicClock(), delay_ms=120)
    on.push(1)
    began_s = time.monotonic()
    await on.take(1)
    assert 0.115 <= time.monotonic() - began_s < 0.4


async def test_no_sound_leaves_before_the_first_picture_and_then_none_that_is_late_already() -> None:
    clock = FakeClock()
    on = Listening(clock, delay_ms=None)
    taking = asyncio.ensure_future(on.take(1))
    for index in range(20):
        on.push(index)
        clock.advance_ms(20)
        await asyncio.sleep(0)
    assert not taking.done()
    on.delay_ms = 100  # the first picture has left
    on.push(20)
    assert await taking == [13], "packets 0 to 12 were due more than 40 ms ago"
    assert on.dropped("late") == 13


async def test_a_delay_that_changes_is_followed_slowly() -> None:
    clock = FakeClock()
    on = Listening(clock, delay_ms=0)
    waits_ms: list[float] = []
    for index in range(60):
        on.push(index)
        pushed_ns = clock.now_ns()
        taking = asyncio.ensure_future(on.take(1))
        await asyncio.sleep(0)
        while not taking.done():
            clock.advance_ms(0.5)
            on.feed._changed.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        waits_ms.append((clock.now_ns() - pushed_ns) / 1e6)
        on.delay_ms = 40
    steps_ms = [after - before for before, after in zip(waits_ms, waits_ms[1:], strict=False)]
    assert max(steps_ms) <= 1.6, "five in a hundred of 20 ms, and what this test rounds"
    assert waits_ms[-1] == pytest.approx(40, abs=1)


async def test_packets_that_were_overtaken_while_they_wait_leave_in_order_and_once() -> None:
    on = Listening()
    on.push(4, 2, 3, 2, 1)
    assert await on.take(4) == [1, 2, 3, 4]
    assert on.dropped("duplicate") == 1


async def test_a_packet_that_comes_after_its_successor_was_sent_is_dropped_as_late() -> None:
    on = Listening()
    on.push(2)
    assert await on.take(1) == [2]
    on.push(1, 3)
    assert await on.take(1) == [3]
    assert on.dropped("late") == 1


async def test_a_sender_that_stalls_keeps_a_bounded_rest_and_goes_on_with_what_is_new() -> None:
    clock = FakeClock()
    on = Listening(clock)
    on.push(*range(MOST_WAITING + 50))
    assert on.dropped("slow_sink") == 50
    clock.advance_ms(1_000)
    on.push(9_999)
    assert await on.take(1) == [9_999]
    assert on.dropped("late") == MOST_WAITING - 1, "the eldest went for the newest"
    assert on.metrics.registry.get_sample_value("cmstream_audio_packets_delivered_total") == 1


async def test_no_delay_is_longer_than_two_seconds() -> None:
    clock = FakeClock()
    on = Listening(clock, delay_ms=60_000)
    on.push(1)
    clock.advance_ms(2_001)
    assert await on.take(1) == [1]


async def test_a_viewer_that_leaves_wakes_its_sender_and_hears_nothing_more() -> None:
    on = Listening(delay_ms=1_000)
    on.push(1)
    waiting = asyncio.ensure_future(on.feed.next())
    await asyncio.sleep(0)
    with on.feed:
        pass
    with pytest.raises(MediaStreamError):
        await waiting
    on.push(2)
    with pytest.raises(MediaStreamError):
        await on.feed.next()
