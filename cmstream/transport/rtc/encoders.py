"""Encoders for live viewers: low latency, a bitrate that is kept whatever the frame rate, keyframes only when needed.

An encoder is shared by viewers (`shared_encoder`); it runs on the codec pool, one frame at a time.
"""

from __future__ import annotations

import fractions
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import av
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from av.video.frame import PictureType

from cmstream.transport.rtc.base import VideoEncoder

log = logging.getLogger(__name__)

Opener: TypeAlias = Callable[[int, int, int], Any]
"""Opens an H.264 encoder for width and height in px and bits per second. Raises av.FFmpegError or ValueError."""

NOMINAL_HZ = 30
SLOWEST_HZ = 10  # below this a stream is not given more bits per frame
LARGEST_FRAME_S = 0.25  # no frame takes longer to send than this at the target bitrate
LEAST_BPS = 100_000
CHANGE = 0.1  # smaller changes of the wanted bitrate are not worth a reconfiguration
REBUILD = 2.0  # beyond this factor the size limit of single frames no longer fits
SMOOTHING = 0.1
ONE_THREAD_PX = 640 * 480  # x264 makes up to this in some 3 ms on one thread
MOST_THREADS = 2

_set_vp8_bitrate: Any = vars(Vp8Encoder)["target_bitrate"].fset


class LowLatencyH264Encoder(H264Encoder):
    """H.264 without B-frames or delay; the bitrate is changed without a new encoder.

    The first of `openers` makes it. One that fails, as hardware does when its sessions are all taken, gives way to the next.
    """

    codec: Any

    def __init__(self, most_bps: int, openers: Sequence[Opener] = ()) -> None:
        super().__init__()
        self._openers = list(openers) or [open_x264]
        self._most_bps = self._bps = most_bps
        self._period_s = 1 / NOMINAL_HZ
        self._last_s: float | None = None
        self._built_bps = 0

    @property
    def target_bitrate(self) -> int:
        """Bits per second: the setting, or less while viewers take less."""
        return self._bps

    @target_bitrate.setter
    def target_bitrate(self, bps: int) -> None:
        self._bps = max(LEAST_BPS, min(bps, self._most_bps))

    def _encode_frame(self, frame: av.VideoFrame, force_keyframe: bool) -> Iterator[bytes]:
        self._measure(frame)
        data = self._encoded(frame, force_keyframe)
        if data:
            yield from self._split_bitstream(data)

    def _encoded(self, frame: av.VideoFrame, force_keyframe: bool) -> bytes:
        try:
            self._prepare(frame)
            frame.pict_type = PictureType.I if force_keyframe else PictureType.NONE
            return b"".join(bytes(packet) for packet in self.codec.encode(frame))
        except (av.FFmpegError, ValueError) as error:
            if len(self._openers) == 1:
                raise
            log.warning("%s failed (%s); %s encodes from now on", self._openers[0].__name__, error, self._openers[1].__name__)
            self.codec = None
            del self._openers[0]
        return self._encoded(frame, force_keyframe)

    def _prepare(self, frame: av.VideoFrame) -> None:
        """Open the encoder where there is none for such a frame, and tell it of the bitrate."""
        if self.codec is None or self._outgrown(frame):
            self.codec = self._openers[0](frame.width, frame.height, self._bps)
            self._built_bps = self._bps
        # An encoder spends bitrate / NOMINAL_HZ on a frame, however many come; it is told what makes that right.
        wanted_bps = round(self._bps * NOMINAL_HZ * self._period_s)
        if abs(wanted_bps - self.codec.bit_rate) > CHANGE * self.codec.bit_rate:
            self.codec.bit_rate = wanted_bps  # libx264 and NVENC take it over with the next frame

    def _outgrown(self, frame: av.VideoFrame) -> bool:
        if (frame.width, frame.height) != (self.codec.width, self.codec.height):
            return True
        return not 1 / REBUILD <= self._bps / self._built_bps <= REBUILD

    def _measure(self, frame: av.VideoFrame) -> None:
        """Follow the period at which frames come, from their timestamps."""
        if frame.pts is None or frame.time_base is None:
            return
        now_s = frame.pts * frame.time_base.numerator / frame.time_base.denominator
        before_s, self._last_s = self._last_s, now_s
        if before_s is not None and now_s > before_s:
            self._period_s += SMOOTHING * (min(now_s - before_s, 1 / SLOWEST_HZ) - self._period_s)


class SteadyVp8Encoder(Vp8Encoder):
    """aiortc's VP8, which starts anew with a keyframe on every change of bitrate: small changes are ignored."""

    def __init__(self, most_bps: int) -> None:
        super().__init__()
        self._most_bps = most_bps
        self.target_bitrate = self._most_bps

    @property
    def target_bitrate(self) -> int:
        """Bits per second, within aiortc's own limits of 0.5 to 3 million."""
        return super().target_bitrate

    @target_bitrate.setter
    def target_bitrate(self, bps: int) -> None:
        wanted_bps = min(bps, self._most_bps)
        running_bps = self.codec.bit_rate if self.codec is not None else None
        if not running_bps or not 1 / REBUILD < wanted_bps / running_bps < REBUILD:
            _set_vp8_bitrate(self, wanted_bps)


def live_encoder(codec: RTCRtpCodecParameters, most_bps: int, openers: Sequence[Opener] = ()) -> VideoEncoder:
    """The encoder for a codec that viewers are offered, for at most `most_bps`. `openers` are those of H.264, best first."""
    match codec.mimeType.lower():
        case "video/h264":
            return LowLatencyH264Encoder(most_bps, openers)
        case "video/vp8":
            return SteadyVp8Encoder(most_bps)
        case other:
            raise ValueError(f"no encoder for {other}")


def live_h264(encoder: str, width_px: int, height_px: int, bps: int, options: Mapping[str, str]) -> Any:
    """FFmpeg's `encoder` for live video at the highest rate it may be told of, not open yet. Raises what `av` raises."""
    codec: Any = av.CodecContext.create(encoder, "w")
    codec.width, codec.height, codec.pix_fmt = width_px, height_px, "yuv420p"
    codec.bit_rate = bps * NOMINAL_HZ // SLOWEST_HZ
    codec.framerate = fractions.Fraction(NOMINAL_HZ, 1)
    codec.time_base = fractions.Fraction(1, 90_000)
    rate = {"maxrate": str(codec.bit_rate), "bufsize": str(round(bps * LARGEST_FRAME_S))}
    codec.options = {"bf": "0", "g": "600", **rate, **options}
    return codec


def open_x264(width_px: int, height_px: int, bps: int) -> Any:
    """x264 open at the highest rate it may be told of; the bitrate is lowered from there.

    libx264 takes a new bitrate only where the stream began as CBR, and only up to the rate it began with
    (x264, `x264_encoder_try_reconfig` and `x264_ratecontrol_init_reconfigurable`).
    """
    codec = live_h264("libx264", width_px, height_px, bps, {"preset": "veryfast", "tune": "zerolatency"})
    codec.thread_count = 1 if width_px * height_px <= ONE_THREAD_PX else MOST_THREADS
    codec.profile = "Baseline"
    codec.open()
    return codec
