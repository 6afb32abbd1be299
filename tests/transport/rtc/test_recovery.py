"""Loss and recovery played through in virtual time: a sender, a bad line both ways, and what comes out of the jitter buffer."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest
from aiortc.rtp import RtpPacket

from cmstream.core.clock import NS_PER_MS, FakeClock
from cmstream.transport.rtc.jitter_buffer import MarkerJitterBuffer, VideoFrameData
from cmstream.transport.rtc.nacks import Nacks

FRAME_TICKS, FRAME_MS = 3000, 1000 / 30


@dataclass
class Play:
    """`seconds` of video of `parts` packets a frame. What is lost is sent again when it is asked for; a PLI is not answered."""

    loss: float
    jitter_ms: float = 30.0
    delay_ms: float = 0.0
    parts: int = 4
    seconds: int = 60
    seed: int = 1
    stall_ms: float = 0.0  # the receiver stands still for so long, twice a second: what comes meanwhile waits in its socket
    sent: int = 0
    asked: int = 0
    plis: int = 0
    shown_ms: list[float] = field(default_factory=list)
    lags_ms: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = FakeClock(0)
        self.random = Random(self.seed)
        self.nacks = Nacks(self.clock.now_ns)
        self.buffer = MarkerJitterBuffer(capacity=512, is_video=True, now_ns=self.clock.now_ns)
        self.buffer.patience_ns = lambda: self.nacks.patience_ns
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        for frame in range(30 * self.seconds):
            self._at(round(frame * FRAME_MS * NS_PER_MS), lambda frame=frame: self._send_frame(frame))  # type: ignore[misc]

    def run(self) -> Play:
        while self._events:
            when_ns, _, happen = heapq.heappop(self._events)
            self.clock.advance_ms((when_ns - self.clock.now_ns()) / NS_PER_MS)
            happen()
        return self

    @property
    def fps(self) -> float:
        return len(self.shown_ms) / self.seconds

    @property
    def freeze_ms(self) -> float:
        return max(later - earlier for earlier, later in zip(self.shown_ms, self.shown_ms[1:], strict=False))

    def _at(self, when_ns: int, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(when_ns, self.clock.now_ns()), next(self._order), happen))

    def _carry(self, happen: Callable[[], None]) -> None:
        """Over the line, in either direction."""
        if self.random.random() >= self.loss:
            took_ms = self.delay_ms + self.jitter_ms * self.random.random()
            self._at(self.clock.now_ns() + round(took_ms * NS_PER_MS), happen)

    def _send_frame(self, frame: int) -> None:
        for part in range(self.parts):
            self._send(self.parts * frame + part)

    def _send_all(self, numbers: list[int]) -> None:
        for number in numbers:
            self._send(number)

    def _send(self, number: int) -> None:
        self.sent += 1
        self._carry(lambda: self._wait(lambda: self._came(number)))

    def _wait(self, happen: Callable[[], None]) -> None:
        into_ms = self.clock.now_ns() / NS_PER_MS % 500
        self._at(self.clock.now_ns() + round(max(0.0, self.stall_ms - into_ms) * NS_PER_MS), happen)

    def _came(self, number: int) -> None:
        frame, part = divmod(number, self.parts)
        packet = RtpPacket(96, int(part == self.parts - 1), number & 0xFFFF, frame * FRAME_TICKS, 1)
        packet._data = b"x"  # type: ignore[attr-defined]  # what the receiver's depayload leaves there
        self.nacks.add(packet)
        pli, emitted = self.buffer.add(packet)
        self.plis += pli
        if isinstance(emitted, VideoFrameData):
            for one in (*emitted.earlier, emitted):
                now_ms = self.clock.now_ns() / NS_PER_MS
                self.shown_ms.append(now_ms)
                self.lags_ms.append(now_ms - one.timestamp / FRAME_TICKS * FRAME_MS)
        self._plan()

    def _plan(self) -> None:
        due_ns = self.nacks.next_due_ns()
        if due_ns is not None:
            self._at(due_ns, lambda: self._wait(self._ask))

    def _ask(self) -> None:
        numbers = self.nacks.due()
        if numbers:
            self.asked += 1
            newest = (self.clock.now_ns() // round(FRAME_MS * NS_PER_MS) + 1) * self.parts
            full = [number + (newest - number) // 0x10000 * 0x10000 for number in numbers]
            self._carry(lambda: self._send_all(full))
            self._plan()


@pytest.mark.parametrize("loss", [0.01, 0.03, 0.05])
def test_a_minute_of_loss_and_shuffling_costs_next_to_no_frame_and_no_long_freeze(loss: float) -> None:
    play = Play(loss).run()
    assert play.fps >= 29.7
    assert play.freeze_ms <= 250
    assert play.sent <= (1.1 + 2 * loss) * play.parts * 30 * play.seconds, "little is asked for that was not lost"


@pytest.mark.parametrize("loss", [0.01, 0.03, 0.05])
def test_a_far_sender_is_waited_for_as_long_as_its_answers_take(loss: float) -> None:
    play = Play(loss, delay_ms=50).run()
    assert play.fps >= 29
    assert play.freeze_ms <= 400


@pytest.mark.parametrize("delay_ms", [0, 50])
def test_where_nothing_is_lost_next_to_nothing_is_asked_for_however_packets_are_shuffled(delay_ms: float) -> None:
    play = Play(0, delay_ms=delay_ms).run()
    assert play.fps >= 29.9
    assert play.plis == 0
    assert play.sent <= 1.1 * play.parts * 30 * play.seconds


def test_where_packets_keep_their_order_a_lost_one_is_back_after_a_round_trip() -> None:
    play = Play(0.02, jitter_ms=0, delay_ms=10).run()
    lags_ms = sorted(play.lags_ms)
    assert lags_ms[len(lags_ms) // 2] <= 11
    assert lags_ms[len(lags_ms) * 99 // 100] <= 10 + FRAME_MS + 4 + 20 + 1, "noticed with the next frame, asked for, sent again"
    assert play.plis == 0


@pytest.mark.parametrize("stall_ms", [100, 200])
def test_a_receiver_that_stands_still_does_not_take_what_waits_in_its_socket_for_lost(stall_ms: float) -> None:
    play = Play(0.03, stall_ms=stall_ms).run()
    assert play.plis <= 12
    assert play.fps >= 29.4
    assert play.freeze_ms <= stall_ms + 300
