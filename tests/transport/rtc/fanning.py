"""A stream with viewers that are fed, without any network: frames go in, what senders would send comes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from cmstream.core.clock import FakeClock
from cmstream.core.frame import Drop, Rgb, StyledFrame
from cmstream.core.metrics import Metrics
from cmstream.core.params import Params
from cmstream.core.trace import Trace
from cmstream.session.subscription import Subscription
from cmstream.transport.rtc.base import EncoderMaker
from cmstream.transport.rtc.broadcast import Broadcast
from cmstream.transport.rtc.encoders import live_encoder
from cmstream.transport.rtc.feed import EncodedFrame, Feed

MOST_BPS = 2_500_000
FRAME_MS = 1000 / 30


def texture(index: int, side_px: int = 64) -> Rgb:
    """Colours that slide over the picture."""
    return np.roll(np.random.default_rng(1).integers(0, 256, (side_px, side_px, 3), np.uint8), index, 1)


@dataclass
class Viewer:
    """A subscription with its feed, and what happened to it."""

    feed: Feed
    subscription: Subscription
    drops: list[Drop] = field(default_factory=list)
    delivered: list[Trace] = field(default_factory=list)

    async def take(self, codec_name: str = "H264") -> EncodedFrame:
        async with asyncio.timeout(5):
            return await self.feed.next(codec_name)


class Fan:
    """A broadcast that is pushed to by hand, on a clock that stands still."""

    def __init__(self, spawn: asyncio.TaskGroup, codecs: ThreadPoolExecutor, make: EncoderMaker) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics()
        self.viewers: list[Viewer] = []
        self.ended = 0
        self._frame_id = -1

        def run(coroutine: Coroutine[None, None, None], name: str) -> None:
            spawn.create_task(coroutine, name=name)

        self.broadcast = Broadcast("cam", MOST_BPS, self.clock, self.metrics, codecs, run, self._count_end, make)

    def join(self) -> Viewer:
        drops: list[Drop] = []
        delivered: list[Trace] = []
        subscription = Subscription(
            "whep",
            self.clock,
            lambda _, frame_id, trace: delivered.append(trace),
            drops.append,
            lambda _: None,
            lambda: None,
        )
        viewer = Viewer(self.broadcast.join(subscription), subscription, drops, delivered)
        self.viewers.append(viewer)
        return viewer

    def push(self, side_px: int = 64) -> int:
        """One more frame, a thirtieth of a second after the last."""
        self._frame_id += 1
        self.clock.advance_ms(FRAME_MS)
        rgb = texture(self._frame_id, side_px)
        params = Params((("plain", 1.0),), strength=1.0, seed=0, transition_ms=0)
        styled = StyledFrame(self._frame_id, rgb, self._frame_id, Fraction(1, 30), params, Trace(self.clock.now_ns()))
        for viewer in self.viewers:
            viewer.subscription.put(styled)
        return self._frame_id

    def encodes(self, codec: str = "h264") -> float:
        return self.metrics.registry.get_sample_value("cmstream_encodes_total", {"codec": codec}) or 0

    def encoders(self, codec: str = "h264") -> float:
        return self.metrics.registry.get_sample_value("cmstream_encoders", {"codec": codec}) or 0

    def _count_end(self) -> None:
        self.ended += 1


@asynccontextmanager
async def fan(make: EncoderMaker = live_encoder) -> AsyncIterator[Fan]:
    """Everybody leaves at the end, and no encoder may still run then."""
    codecs = ThreadPoolExecutor(2)
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        on = Fan(tasks, codecs, make)
        try:
            yield on
        finally:
            for viewer in on.viewers:
                viewer.feed.close()
    codecs.shutdown()
