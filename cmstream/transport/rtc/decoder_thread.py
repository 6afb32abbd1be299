"""What aiortc's decoder thread runs instead of its own loop: bounded at both ends, newest wins.

One thread for each receiver. It hands frames to the event loop and touches nothing else there.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from typing import Any

import av
from aiortc.codecs import get_decoder
from aiortc.codecs.base import Decoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from cmstream.core.clock import NS_PER_MS, NS_PER_S, MonotonicClock
from cmstream.core.frame import MAX_SIDE_PX
from cmstream.transport.rtc.jitter_buffer import VideoFrameData

log = logging.getLogger(__name__)

MAX_WAITING = 10  # encoded frames: a third of a second
MAX_PENDING_AUDIO = 50  # decoded audio frames: a second
KEYFRAME_WAIT_S = 2.0  # a sender that never makes another keyframe is decoded again after that, as it comes
CATCH_UP_S = 0.01  # between frames that became whole at the same moment: an engine of that speed then misses none
ASK_AGAIN_MS = 150  # for a keyframe, after a gap: the request or the keyframe may be lost as well

EncodedTask = tuple[RTCRtpCodecParameters, JitterFrame]


class DecoderThread:
    """Decodes until `None` comes. A decoder that falls behind drops what waits and starts again at a keyframe."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        encoded: queue.Queue[EncodedTask | None],
        decoded: asyncio.Queue[Any],
        failed: threading.Event,
    ) -> None:
        self._loop = loop
        self._encoded = encoded
        self._decoded = decoded
        self._failed = failed  # when set, the receiver asks for a keyframe
        self._now_ns = MonotonicClock().now_ns
        self._codec_name = ""
        self._decoder: Decoder | None = None
        self._skipping_since_ns: int | None = None
        self._pause = threading.Event()  # never set
        self._asked_ns: int | None = None  # for the keyframe that is wanted; None while none is

    def run(self) -> None:
        """The thread's body; tells the track when it ends."""
        try:
            while (task := self._encoded.get()) is not None:
                if not self._skips(task):
                    self._decode(*task)
        except Exception:
            log.exception("a decoder thread ended")
        finally:
            self._hand_over(None)

    def _skips(self, task: EncodedTask) -> bool:
        if self._skipping_since_ns is None:
            if self._encoded.qsize() <= MAX_WAITING or task[0].mimeType.startswith("audio/"):
                return False
            self._skipping_since_ns = self._now_ns()
            self._failed.set()
            log.debug("decoding falls behind: frames are dropped up to the next keyframe")
        codec, encoded = task
        waited_ns = self._now_ns() - self._skipping_since_ns
        if is_keyframe(codec.name, encoded.data) or waited_ns > KEYFRAME_WAIT_S * NS_PER_S:
            self._skipping_since_ns = None
            return False
        return True

    def _decode(self, codec: RTCRtpCodecParameters, encoded: JitterFrame) -> None:
        """Decode and hand over. Frames that became whole at the same moment follow each other three times as fast as video.

        Whoever is slower than that takes the newest; all at once, and nobody could take any but the newest.
        """
        if isinstance(encoded, VideoFrameData):
            for before in encoded.earlier:
                self._decode_one(codec, before)
                if self._encoded.empty():
                    self._pause.wait(CATCH_UP_S)
        self._decode_one(codec, encoded)

    def _decode_one(self, codec: RTCRtpCodecParameters, encoded: JitterFrame) -> None:
        if isinstance(encoded, VideoFrameData):
            self._repair(codec, encoded)
        try:
            frames = self._decoder_for(codec).decode(encoded)
        except av.FFmpegError as error:
            # The decoder is kept: a new one would fail on every frame up to the next keyframe.
            log.debug("a %s frame could not be decoded: %s", codec.name, error)
            self._failed.set()
            return
        for frame in frames:
            if isinstance(encoded, VideoFrameData):
                frame.opaque = encoded.first_ns
            self._hand_over(frame)

    def _repair(self, codec: RTCRtpCodecParameters, encoded: VideoFrameData) -> None:
        """Ask again for the keyframe that mends a gap; the receiver asked for it when it gave the gap up."""
        if encoded.after_gap:
            self._asked_ns = self._now_ns()
        if self._asked_ns is None:
            return
        if is_keyframe(codec.name, encoded.data):
            self._asked_ns = None
        elif self._now_ns() - self._asked_ns >= ASK_AGAIN_MS * NS_PER_MS:
            self._failed.set()
            self._asked_ns = self._now_ns()

    def _decoder_for(self, codec: RTCRtpCodecParameters) -> Decoder:
        if self._decoder is None or codec.name != self._codec_name:
            self._decoder, self._codec_name = get_decoder(codec), codec.name
            context = getattr(self._decoder, "codec", None)
            if isinstance(context, av.VideoCodecContext):
                context.options = {"max_pixels": str(MAX_SIDE_PX * MAX_SIDE_PX)}  # refused before anything is allocated
        return self._decoder

    def _hand_over(self, frame: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(_put_newest, self._decoded, frame)
        except RuntimeError:
            pass  # the loop is closed: nobody waits for the end any more


def run_decoder(
    loop: asyncio.AbstractEventLoop,
    input_q: queue.Queue[EncodedTask | None],
    output_q: asyncio.Queue[Any],
    decode_error: threading.Event,
) -> None:
    """In the shape of aiortc's `decoder_worker`."""
    DecoderThread(loop, input_q, output_q, decode_error).run()


def is_keyframe(codec_name: str, data: bytes) -> bool:
    """Whether an encoded frame stands alone: an IDR slice (H.264, 7.4.1) or a VP8 keyframe (RFC 6386, 9.1)."""
    if codec_name == "VP8":
        return bool(data) and not data[0] & 1
    at = data.find(b"\x00\x00\x01")
    while at != -1 and at + 3 < len(data):
        if data[at + 3] & 31 == 5:
            return True
        at = data.find(b"\x00\x00\x01", at + 3)
    return False


def _put_newest(decoded: asyncio.Queue[Any], frame: Any) -> None:
    room = MAX_PENDING_AUDIO if isinstance(frame, av.AudioFrame) else 1
    while frame is not None and decoded.qsize() >= room:
        decoded.get_nowait()
    decoded.put_nowait(frame)
