"""A viewer gets every frame or none up to a keyframe, and what it does not get is counted."""

from __future__ import annotations

import asyncio

import pytest
from aiortc.mediastreams import MediaStreamError

from cmstream.core.clock import FakeClock
from cmstream.core.frame import Drop, DropReason
from cmstream.core.trace import Stage, Trace
from cmstream.session.subscription import Subscription
from cmstream.transport.rtc.feed import KEYFRAME_ON_ITS_WAY_MS, MAX_WAITING, MOST_RTT_MS, EncodedFrame, Feed, Source


class Desk(Source):
    """One feed, the drops of its viewer, and how often it asked for a keyframe."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.drops: list[Drop] = []
        self.delivered: list[Trace] = []
        self.asked = 0
        self.left = 0
        viewer = Subscription(
            "whep",
            self.clock,
            lambda _, frame_id, trace: self.delivered.append(trace),
            self.drops.append,
            lambda _: None,
            lambda: None,
        )
        self.feed = Feed(viewer, self.clock, lambda feed, codec: feed.switch(self), lambda feed: None, self._leave)

    def ask_keyframe(self) -> None:
        self.asked += 1

    def put(self, *frame_ids: int, key: bool = False) -> None:
        for frame_id in frame_ids:
            self.feed.put(EncodedFrame(frame_id, [b"payload"], 3000 * frame_id, key, Trace(0).mark(Stage.ENCODE, 1)))

    async def start(self) -> None:
        """Up to the first keyframe, frame 0."""
        self.feed.switch(self)
        self.feed.codec_name = "H264"
        self.put(0, key=True)
        assert (await self.feed.next("H264")).frame_id == 0

    def _leave(self, feed: Feed) -> None:
        self.left += 1


async def test_a_viewer_begins_at_a_keyframe_that_it_asked_for_and_misses_nothing_before() -> None:
    desk = Desk()
    desk.feed.switch(desk)
    assert desk.asked == 1
    desk.put(0, 1)
    desk.put(2, key=True)
    desk.put(3)
    assert [(await desk.feed.next("H264")).frame_id for _ in range(2)] == [2, 3]
    assert desk.drops == []


async def test_a_frame_is_delivered_once_the_sender_asks_for_the_next() -> None:
    desk = Desk()
    await desk.start()
    assert desk.delivered == []
    desk.put(1)
    await desk.feed.next("H264")
    (trace,) = desk.delivered
    assert [stage for stage, _ in trace.marks] == [Stage.ENCODE, Stage.SEND]


async def test_a_sender_that_stalls_loses_what_waits_and_goes_on_at_a_keyframe() -> None:
    desk = Desk()
    await desk.start()
    desk.put(*range(1, 2 + MAX_WAITING))
    newest = 1 + MAX_WAITING
    assert [drop.frame_id for drop in desk.drops] == list(range(1, newest + 1))
    assert {drop.superseded_by for drop in desk.drops[:-1]} == {newest}
    assert desk.asked == 1  # while it stalls it asks for nothing that the others would pay for
    desk.put(newest + 1)
    back = asyncio.ensure_future(desk.feed.next("H264"))
    await asyncio.sleep(0)
    assert desk.asked == 2
    desk.put(newest + 2, key=True)
    assert (await back).frame_id == newest + 2
    assert {drop.reason for drop in desk.drops} == {DropReason.SLOW_SINK}
    assert len(desk.drops) == newest + 1


async def test_a_stalled_sender_that_meets_a_keyframe_goes_on_at_once() -> None:
    desk = Desk()
    await desk.start()
    desk.put(*range(1, 1 + MAX_WAITING))
    desk.put(50, key=True)
    assert (await desk.feed.next("H264")).frame_id == 50
    assert len(desk.drops) == MAX_WAITING


async def test_a_closed_feed_ends_its_sender_and_leaves_once() -> None:
    desk = Desk()
    await desk.start()
    desk.put(1)
    with desk.feed:
        pass
    desk.feed.close()
    with pytest.raises(MediaStreamError):
        await desk.feed.next("H264")
    assert desk.left == 1


async def test_what_a_viewer_says_of_its_line_is_kept() -> None:
    desk = Desk()
    await desk.start()
    assert desk.feed.target_bitrate == 0
    desk.feed.put(EncodedFrame(1, [bytes(10**6)], 3000, False, Trace(0).mark(Stage.ENCODE, 1)))
    desk.clock.advance_ms(5000)
    await desk.feed.next("H264")
    desk.feed.target_bitrate = 700_000
    assert desk.feed.target_bitrate == 700_000
    assert desk.feed.reception.bps == 700_000


async def test_a_viewer_that_asks_before_the_keyframe_can_have_come_is_not_heard_and_then_it_is() -> None:
    desk = Desk()
    await desk.start()
    asked = desk.asked
    desk.feed.ask_keyframe()
    assert desk.asked == asked
    desk.clock.advance_ms(KEYFRAME_ON_ITS_WAY_MS)
    desk.feed.ask_keyframe()
    assert desk.asked == asked + 1


async def test_a_far_viewer_is_given_a_round_trip_more() -> None:
    desk = Desk()
    desk.feed.reported(0.0, 200.0)
    await desk.start()
    asked = desk.asked
    desk.clock.advance_ms(KEYFRAME_ON_ITS_WAY_MS + 199)
    desk.feed.ask_keyframe()
    assert desk.asked == asked
    desk.clock.advance_ms(1)
    desk.feed.ask_keyframe()
    assert desk.asked == asked + 1


@pytest.mark.parametrize("rtt_ms", [-1e9, 1e9])
async def test_a_round_trip_that_cannot_be_keeps_no_keyframe_from_a_viewer_for_long(rtt_ms: float) -> None:
    desk = Desk()
    desk.feed.reported(0.0, rtt_ms)
    await desk.start()
    asked = desk.asked
    desk.feed.ask_keyframe()
    assert desk.asked == asked
    desk.clock.advance_ms(KEYFRAME_ON_ITS_WAY_MS + MOST_RTT_MS)
    desk.feed.ask_keyframe()
    assert desk.asked == asked + 1


async def test_reports_of_loss_limit_what_the_viewer_is_sent() -> None:
    desk = Desk()
    await desk.start()
    assert desk.feed.reception.limit_bps is None
    for _ in range(4):
        desk.clock.advance_ms(1000)
        desk.feed.reception.sent(250_000, desk.clock.now_ns())
        desk.feed.reported(0.4, 30.0)
    assert desk.feed.reception.limit_bps is not None
    assert desk.feed.reception.limit_bps < 2_000_000
