"""Lost packets are asked for again and again, overtaken ones are not asked for, and hopeless ones are let go."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from aiortc.rtcrtpreceiver import NackGenerator as StockNacks
from aiortc.rtp import RTCP_RTPFB_NACK, RtcpPacket, RtcpRtpfbPacket, RtpPacket

from cmstream.core.clock import NS_PER_MS, FakeClock
from cmstream.transport.rtc.nacks import (
    ANSWER_MS,
    ASKS,
    LEAST_WAIT_MS,
    MOST_ASKED,
    MOST_MISSING,
    MOST_PATIENCE_MS,
    MOST_WAIT_MS,
    PATIENCE_MS,
    SHORTEST_MS,
    WAIT_MORE,
    Nacks,
)

WAIT = LEAST_WAIT_MS


def packet(number: int, ssrc: int = 1) -> RtpPacket:
    return RtpPacket(sequence_number=number & 0xFFFF, ssrc=ssrc)


class Line:
    """Nacks on a clock that is moved by hand."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.nacks = Nacks(self.clock.now_ns)

    def came(self, *numbers: int, ssrc: int = 1) -> None:
        for number in numbers:
            assert not self.nacks.add(packet(number, ssrc)), "aiortc is to send nothing itself"

    def asked_in(self, ms: float) -> list[tuple[float, list[int]]]:
        """What is asked for in the next `ms`, with when, in ms from now."""
        asked = []
        for step in range(round(ms)):
            numbers = self.nacks.due()
            if numbers:
                asked.append((float(step), numbers))
            self.clock.advance_ms(1)
        return asked


def test_stock_aiortc_still_asks_once_only() -> None:
    stock = StockNacks()
    stock.add(packet(0))
    assert stock.add(packet(2))
    assert not stock.add(packet(3))  # if this fails, upstream has cured it


@pytest.mark.parametrize("start", [0, 65_534])
def test_a_missing_packet_is_asked_for_soon_and_again_until_nobody_waits_for_it(start: int) -> None:
    line = Line()
    line.came(start, start + 2)
    asked = line.asked_in(200)
    missing = (start + 1) & 0xFFFF
    assert [when for when, _ in asked] == [WAIT + times * ANSWER_MS for times in range(4)]
    assert {number for _, numbers in asked for number in numbers} == {missing}
    assert line.nacks.missing == set()


def test_what_comes_is_not_asked_for_again() -> None:
    line = Line()
    line.came(0, 4)
    assert line.asked_in(WAIT + 1) == [(WAIT, [1, 2, 3])]
    line.came(2)
    assert line.asked_in(ANSWER_MS) == [(ANSWER_MS - 1, [1, 3])]


def test_where_packets_overtake_each_other_a_request_waits_a_little_longer_than_they_did() -> None:
    line = Line()
    for number in range(2, 20, 2):
        line.came(number, number + 2)  # the one between is overtaken
        line.clock.advance_ms(LEAST_WAIT_MS - 1)
        line.came(number + 1)
    line.came(40)
    (when, _), *_ = line.asked_in(30)
    assert when == pytest.approx(WAIT_MORE * (LEAST_WAIT_MS - 1), abs=1.1)


def test_an_answer_that_was_not_needed_tells_how_late_packets_come_and_how_long_answers_take() -> None:
    line = Line()
    line.came(0, 2)
    assert line.asked_in(10) == [(WAIT, [1])]
    line.came(1)  # it was only late,
    line.clock.advance_ms(50)
    line.came(1)  # and this is the answer
    line.came(4)
    assert line.asked_in(30) == [(WAIT_MORE * 10, [3])]
    assert "answers take 42 ms" in repr(line.nacks)  # an eighth nearer to 56


def test_that_wait_has_an_end_however_late_packets_come() -> None:
    line = Line()
    line.came(0, 2)
    line.asked_in(60)
    line.came(1)
    line.came(1)
    line.came(4)
    assert line.asked_in(60)[0] == (MOST_WAIT_MS, [3])


def test_a_line_in_order_is_forgiven_an_overtaken_packet() -> None:
    line = Line()
    line.came(0, 2)
    line.clock.advance_ms(3)
    line.came(1)
    line.came(*range(3, 2000), 2001)
    assert line.asked_in(WAIT + 1) == [(WAIT, [2000])]


def answered_after(ms: float, count: int = 40) -> Line:
    """A line on which so many packets were lost, and sent again so long after they were asked for."""
    line, number = Line(), 0
    line.came(number)
    for _ in range(count):
        number += 2
        line.came(number)
        line.clock.advance_ms(WAIT)
        assert line.nacks.due() == [number - 1]
        line.clock.advance_ms(ms)
        line.came(number - 1)
    line.clock.advance_ms(1000)
    line.came(number + 1)
    return line


def test_requests_are_as_far_apart_as_answers_take_and_patience_grows_with_them() -> None:
    line = answered_after(100)
    line.came(200)
    first, second = [when for when, _ in line.asked_in(150)][:2]
    assert second - first == pytest.approx(100, abs=3)
    assert 240 * NS_PER_MS < line.nacks.patience_ns <= MOST_PATIENCE_MS * NS_PER_MS


def test_patience_is_never_less_than_a_near_line_needs() -> None:
    assert answered_after(1).nacks.patience_ns == PATIENCE_MS * NS_PER_MS


def test_another_sender_starts_over() -> None:
    line = Line()
    line.came(0, 5)
    line.came(900, ssrc=2)
    assert line.asked_in(50) == []
    line.came(902, ssrc=2)
    assert line.asked_in(WAIT + 1) == [(WAIT, [901])]
    assert line.nacks.ssrc == 2


def test_a_jump_is_not_taken_for_a_loss_of_thousands() -> None:
    line = Line()
    line.came(0, MOST_MISSING + 2)
    assert line.asked_in(1) == []


def test_however_much_is_lost_requests_and_memory_are_bounded() -> None:
    line, random = Line(), np.random.default_rng(3)
    number = 0
    for _ in range(3000):
        number += int(random.integers(1, 500))
        line.came(number)
        assert len(line.nacks.due()) <= MOST_ASKED
        assert len(line.nacks.missing) <= MOST_MISSING
        line.clock.advance_ms(float(random.random()))


def test_a_packet_is_asked_for_so_often_at_most() -> None:
    line = answered_after(1)
    line.nacks._answer_ms = SHORTEST_MS / 2  # requests may follow each other as fast as ever
    line.came(100, 102)
    asked = [numbers for _, numbers in line.asked_in(500) if 101 in numbers]
    assert 4 < len(asked) <= ASKS


async def test_the_timer_asks_without_another_packet_coming() -> None:
    nacks, sent = Nacks(), list[tuple[int, list[int]]]()
    twice = asyncio.Event()

    async def send(ssrc: int, numbers: list[int]) -> None:
        sent.append((ssrc, numbers))
        if len(sent) == 2:
            twice.set()

    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(nacks.run(send))
        await asyncio.sleep(0)
        nacks.add(packet(0, 7))
        nacks.add(packet(2, 7))
        async with asyncio.timeout(5):
            await twice.wait()
        asking.cancel()
    assert sent[:2] == [(7, [1]), (7, [1])]


async def test_a_request_across_the_wrap_can_be_written() -> None:
    nacks, written = Nacks(), asyncio.Queue[bytes]()

    async def send(ssrc: int, numbers: list[int]) -> None:
        written.put_nowait(bytes(RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=1, media_ssrc=ssrc, lost=numbers)))

    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(nacks.run(send))
        nacks.add(packet(0xFFFD, 7))
        nacks.add(packet(2, 7))
        async with asyncio.timeout(5):
            (request,) = RtcpPacket.parse(await written.get())
        asking.cancel()
    assert isinstance(request, RtcpRtpfbPacket)
    assert set(request.lost) == {0xFFFE, 0xFFFF, 0, 1}
