"""One viewer's end of a shared encode: what its RTP sender pulls encoded frames from. Event loop only.

Encoded frames build on each other, so a viewer gets either every one or none up to the next keyframe.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from aiortc.mediastreams import MediaStreamError

from cmstream.core.clock import NS_PER_MS, NS_PER_S, Clock
from cmstream.core.frame import Drop, DropReason, StyledFrame
from cmstream.core.rate import RecentMedian
from cmstream.core.trace import Stage, Trace
from cmstream.session.subscription import Subscription
from cmstream.transport.rtc.reception import Reception

KEYFRAME_ON_ITS_WAY_MS = 100  # and a round trip: a viewer asks again before a keyframe can have come
MOST_RTT_MS = 5_000.0  # what a viewer reports may be anything
TELL_EVERY_S = 0.5  # a quality also changes with time alone
MAX_WAITING = 4  # encoded frames; a sender hands a frame to the socket before the next one is made


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """RTP payloads of one styled frame, shared by all viewers. `timestamp` counts 1/90000 s; `trace` ends with encode."""

    frame_id: int
    payloads: list[bytes]
    timestamp: int
    is_keyframe: bool
    trace: Trace


class Source:
    """Where a feed gets its frames from: a shared encoder, or nothing before it has one."""

    def offer(self, styled: StyledFrame) -> None:
        """The stream has a new frame. Called by every feed; only the first call counts."""

    def ask_keyframe(self) -> None:
        """Somebody needs a keyframe."""


class Feed:
    """A context manager; leaving it is what `leave` hears of. `next` gives the sender what it sends.

    `target_bitrate` is where aiortc's sender puts what the viewer's REMB says, as it would on an encoder of its own.
    """

    def __init__(
        self,
        subscription: Subscription,
        clock: Clock,
        start: Callable[[Feed, str], None],
        told: Callable[[Feed], None],
        leave: Callable[[Feed], None],
    ) -> None:
        self.reception = Reception(clock.now_ns())
        self.codec_name = ""
        self.source = Source()
        self._subscription = subscription
        self._clock = clock
        self._start = start
        self._told = told
        self._leave = leave
        self._waiting: deque[EncodedFrame] = deque()
        self._ready = asyncio.Event()
        self._needs_keyframe = True
        self._began = False
        self._sending: EncodedFrame | None = None
        self._rtt_ms = 0.0
        self._told_bps: int | None = None
        self._told_ns = 0
        self._keyframe_due_ns = 0  # when the viewer has the keyframe that was sent last
        self._ages_ms = RecentMedian(32, least=6)  # the first frames wait for encoders to open
        self._closed = False
        subscription.on_frame = lambda styled: self.source.offer(styled)

    def __repr__(self) -> str:
        state = "waits for a keyframe" if self._needs_keyframe else f"{len(self._waiting)} waiting"
        return f"<Feed {self.codec_name or 'not started'}, {state}, {self.reception!r}>"

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def target_bitrate(self) -> int:
        """What the viewer says it receives, in bits per second; 0 while it has said nothing."""
        return self.reception.bps or 0

    @target_bitrate.setter
    def target_bitrate(self, bps: int) -> None:
        self.reception.estimated(bps, self._clock.now_ns())
        self._tell()

    def reported(self, loss: float, rtt_ms: float | None) -> None:
        """The viewer's receiver report: `loss` of the packets since the last one (0 to 1)."""
        if rtt_ms is not None:
            rtt_ms = self._rtt_ms = min(max(rtt_ms, 0.0), MOST_RTT_MS)
        self.reception.reported(loss, rtt_ms, self._clock.now_ns())
        self._tell()

    @property
    def age_ms(self) -> float | None:
        """How long after its capture a frame leaves for this viewer, of late; None while few have."""
        return self._ages_ms.value()

    def ask_keyframe(self) -> None:
        """The viewer sent a PLI or FIR. One that cannot know of the keyframe on its way is not counted."""
        now_ns = self._clock.now_ns()
        if now_ns < self._keyframe_due_ns:
            return
        self.reception.asked(now_ns)
        self.source.ask_keyframe()
        self._told(self)

    async def next(self, codec_name: str) -> EncodedFrame:
        """The next frame to send, in the negotiated codec. Raises MediaStreamError once closed.

        A frame counts as delivered when the next one is asked for: its packets have then been handed to the socket.
        """
        if not self.codec_name and not self._closed:
            self.codec_name = codec_name
            self._start(self, codec_name)
        self._count_sent()
        if self._needs_keyframe:
            self.source.ask_keyframe()  # not before: a viewer that stalls for good must not cost the others keyframes
        while not self._waiting:
            if self._closed:
                raise MediaStreamError
            self._ready.clear()
            await self._ready.wait()
        self._sending, self._began = self._waiting.popleft(), True
        now_ns = self._clock.now_ns()
        self.reception.sent(sum(map(len, self._sending.payloads)), now_ns)
        if self._sending.is_keyframe:
            self._keyframe_due_ns = now_ns + round((KEYFRAME_ON_ITS_WAY_MS + self._rtt_ms) * NS_PER_MS)
        self._ages_ms.add(self._sending.trace.age_ms(now_ns))
        return self._sending

    def switch(self, source: Source) -> None:
        """Take frames from another encoder, from its next keyframe on."""
        self.source = source
        self._needs_keyframe = True
        source.ask_keyframe()

    def put(self, frame: EncodedFrame) -> None:
        """Called by the encoder with every frame."""
        if frame.is_keyframe:
            self._needs_keyframe = False
        if self._needs_keyframe:
            if self._began:
                self.drop(Drop(frame.frame_id, DropReason.SLOW_SINK))
            return
        if len(self._waiting) >= MAX_WAITING:
            self._give_up(frame)
        if not self._needs_keyframe:
            self._waiting.append(frame)
            self._ready.set()

    def drop(self, drop: Drop) -> None:
        """A frame that this viewer does not get."""
        self._subscription.drop(drop)

    def close(self) -> None:
        """No more frames; wakes the sender. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._waiting.clear()
            self._ready.set()
            self._subscription.on_frame = None
            self._leave(self)

    def _tell(self) -> None:
        """Viewers report several times a second, mostly the same: everybody's share is worked out when there is a reason."""
        limit_bps, now_ns = self.reception.limit_bps, self._clock.now_ns()
        if limit_bps != self._told_bps or now_ns - self._told_ns >= TELL_EVERY_S * NS_PER_S:
            self._told_bps, self._told_ns = limit_bps, now_ns
            self._told(self)

    def _give_up(self, newest: EncodedFrame) -> None:
        """The sender stalled: what waits is old. All of it goes, and the viewer goes on at a keyframe."""
        for old in self._waiting:
            self.drop(Drop(old.frame_id, DropReason.SLOW_SINK, newest.frame_id))
        self._waiting.clear()
        if not newest.is_keyframe:
            self._needs_keyframe = True
            self.drop(Drop(newest.frame_id, DropReason.SLOW_SINK))

    def _count_sent(self) -> None:
        if self._sending is not None:
            self._subscription.delivered(self._sending.frame_id, self._sending.trace.mark(Stage.SEND, self._clock.now_ns()))
            self._sending = None
