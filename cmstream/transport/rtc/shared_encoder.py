"""One encode of one stream, in one codec and quality, whatever the number of its viewers.

Runs on the event loop and encodes on the codec pool. A frame that comes while the last is still being encoded waits in one
slot, where a newer one takes its place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Executor

import av
from aiortc.codecs import depayload
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from cmstream.core.clock import NS_PER_S, Clock
from cmstream.core.frame import Drop, DropReason, Rgb, StyledFrame
from cmstream.core.mailbox import Mailbox, MailboxClosed
from cmstream.core.metrics import Metrics
from cmstream.core.trace import Stage
from cmstream.transport.rtc.base import EncoderMaker
from cmstream.transport.rtc.decoder_thread import is_keyframe
from cmstream.transport.rtc.encoders import live_encoder
from cmstream.transport.rtc.feed import EncodedFrame, Feed, Source
from cmstream.transport.rtc.tracks import VIDEO_CLOCK_HZ, VIDEO_TIME_BASE

KEYFRAMES, KEYFRAMES_IN_S = 2, 1.0  # keyframes are large: viewers who ask for more share those there are,
KEYFRAME_GAP_S = 0.1  # but one that is lost as well is followed by another soon
RAISE = 1.15  # the bitrate is lowered at once, and raised when that much more would pass


class SharedEncoder(Source):
    """`run` encodes until `close`. Feeds come with `add` and go with `remove`; each starts at a keyframe."""

    def __init__(
        self,
        codec_name: str,
        most_bps: int,
        clock: Clock,
        metrics: Metrics,
        codecs: Executor,
        make: EncoderMaker = live_encoder,
    ) -> None:
        self.feeds: set[Feed] = set()
        self._codec = RTCRtpCodecParameters(f"video/{codec_name}", VIDEO_CLOCK_HZ)
        self._encoder = make(self._codec, most_bps)
        self._bps = most_bps
        self._clock = clock
        self._encodes = metrics.encodes.labels(codec_name.lower())
        self._codecs = codecs
        self._newest: Mailbox[StyledFrame] = Mailbox()
        self._offered_id = -1
        self._wants_keyframe = False
        self._keyframes_ns: deque[int] = deque(maxlen=KEYFRAMES)
        self._last_pts = -1

    def __repr__(self) -> str:
        return f"<SharedEncoder {self._codec.name} for {len(self.feeds)} viewers, {self._bps // 1000} kbit/s>"

    def add(self, feed: Feed) -> None:
        """Serve one more viewer."""
        self.feeds.add(feed)
        feed.switch(self)

    def remove(self, feed: Feed) -> None:
        """Serve one less."""
        self.feeds.discard(feed)

    def aim(self, bps: int) -> None:
        """Take up to `bps`, as all viewers can."""
        if bps < self._bps or bps > RAISE * self._bps:
            self._bps = bps
            self._encoder.target_bitrate = bps

    def offer(self, styled: StyledFrame) -> None:
        if styled.frame_id <= self._offered_id:
            return
        self._offered_id = styled.frame_id
        displaced = self._newest.put(styled)
        if displaced is not None:
            for feed in self.feeds:
                feed.drop(Drop(displaced.frame_id, DropReason.SLOW_SINK, styled.frame_id))

    def ask_keyframe(self) -> None:
        self._wants_keyframe = True

    def close(self) -> None:
        """End `run` after the frame it has in hand. Closing twice is fine."""
        self._newest.close()

    async def run(self) -> None:
        """Encode the newest frame, again and again. Raises what the codec raises."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                styled = await self._newest.get()
            except MailboxClosed:
                return
            trace = styled.trace.mark(Stage.DELIVER, self._clock.now_ns())
            arguments = (styled.rgb, self._pts(styled.trace.received_ns), self._takes_keyframe())
            payloads, is_key = await loop.run_in_executor(self._codecs, self._encode, *arguments)
            self._encodes.inc()
            now_ns = self._clock.now_ns()
            if is_key:
                self._wants_keyframe = False
                self._keyframes_ns.append(now_ns)
            frame = EncodedFrame(styled.frame_id, payloads, self._last_pts, is_key, trace.mark(Stage.ENCODE, now_ns))
            for feed in tuple(self.feeds):
                feed.put(frame)

    def _takes_keyframe(self) -> bool:
        """Whether the next frame is to be one: asked for, and not too many of late."""
        if not self._wants_keyframe or not self._keyframes_ns:
            return False  # the first frame is one anyway
        now_ns = self._clock.now_ns()
        if len(self._keyframes_ns) == KEYFRAMES and now_ns - self._keyframes_ns[0] < KEYFRAMES_IN_S * NS_PER_S:
            return False
        return now_ns - self._keyframes_ns[-1] >= KEYFRAME_GAP_S * NS_PER_S

    def _encode(self, rgb: Rgb, pts: int, force_keyframe: bool) -> tuple[list[bytes], bool]:
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame.pts, frame.time_base = pts, VIDEO_TIME_BASE
        payloads, _ = self._encoder.encode(frame, force_keyframe)
        # An encoder also makes keyframes by itself: at the start, at a new size, once its interval is over.
        return payloads, is_keyframe(self._codec.name, b"".join(depayload(self._codec, payload) for payload in payloads))

    def _pts(self, received_ns: int) -> int:
        """The capture's own cadence in RTP units, strictly increasing; the same in every encoder of a stream."""
        self._last_pts = max(self._last_pts + 1, received_ns * VIDEO_CLOCK_HZ // NS_PER_S)
        return self._last_pts
