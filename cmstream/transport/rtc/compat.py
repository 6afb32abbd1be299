"""Every patch of aiortc and aioice, in one place. `apply` checks that what it replaces is still what it expects.

| fault of aiortc 1.14–1.16 | cure |
| --- | --- |
| a video frame is emitted on the first packet of the next one: +33 ms at 30 fps | emit on the RTP marker bit (RFC 6184, 5.1) |
| an unrecovered packet stalls video until 512 packets have come | give the gap up after 80 ms and ask for a keyframe |
| libx264 without preset: 10 ms at 512²; rebuilt on every bitrate change | veryfast, zerolatency, bitrate changed in place |
| only H264 baseline is accepted | Main and High are received too |
| encoders share the loop's default executor | encoders run on the pool they are given |
| ICE gathers on every interface | on the addresses in `ice_hosts`, where set |
| stopping a receiver joins its decoder thread on the event loop | the thread is told to end and not waited for |
"""

from __future__ import annotations

import asyncio
import fractions
import inspect
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextvars import ContextVar
from typing import Any

import aioice.ice
import aiortc.rtcrtpreceiver
import aiortc.rtcrtpsender
import av
from aiortc import RTCRtpSender
from aiortc.codecs import CODECS, get_encoder
from aiortc.codecs.base import Encoder
from aiortc.codecs.h264 import H264Encoder
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpCodecParameters
from aiortc.rtp import RtpPacket
from av.video.frame import PictureType

from cmstream.core.errors import ConfigurationError

GIVE_UP_S = 0.08
MAX_FPS = 60
LEAST_BPS = 100_000
RECEIVE_PROFILES = ("4d001f", "64001f", "640c1f")

ice_hosts: ContextVar[tuple[str, ...] | None] = ContextVar("ice_hosts", default=None)
"""The addresses to gather on in this context; None means all of the machine's."""

video_bps: ContextVar[int] = ContextVar("video_bps", default=2_500_000)
"""The bitrate of encoders made in this context, in bits per second."""

_gather_all = aioice.ice.get_host_addresses


class MarkerJitterBuffer(JitterBuffer):
    """Emits a video frame on its marker bit and gives up a gap that retransmission has not filled in `GIVE_UP_S`."""

    _capacity: int
    _origin: int | None
    _packets: list[RtpPacket | None]

    def __init__(
        self, capacity: int, prefetch: int = 0, is_video: bool = False, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(capacity, prefetch, is_video)
        self._video = is_video
        self._now_s = now_s
        self._newest = 0
        self._blocked_since_s: float | None = None

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """As aiortc's, and True for "send a PLI" when a gap was given up."""
        first = self._origin is None
        pli, frame = super().add(packet)
        if not self._video:
            return pli, frame
        if first or (packet.sequence_number - self._newest) & 0xFFFF < 0x8000:
            self._newest = packet.sequence_number
        if frame is not None or not self._gap():
            self._blocked_since_s = None
            return pli, frame
        now_s = self._now_s()
        if self._blocked_since_s is None:
            self._blocked_since_s = now_s
        if now_s - self._blocked_since_s < GIVE_UP_S:
            return pli, None
        self._blocked_since_s = None
        self._skip_gap()
        return True, self._remove_frame(packet.sequence_number)

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        if not self._video:
            return super()._remove_frame(sequence_number)
        assert self._origin is not None
        run: list[RtpPacket] = []
        for count in range(self._capacity):
            packet = self._packets[(self._origin + count) % self._capacity]
            if packet is None:
                return None
            if run and packet.timestamp != run[0].timestamp:  # a sender that sets no marker
                return self._emit(run)
            run.append(packet)
            if packet.marker:
                return self._emit(run)
        return None

    def _emit(self, run: list[RtpPacket]) -> JitterFrame:
        data = b"".join(packet._data for packet in run)  # type: ignore[attr-defined]  # set by the receiver
        self.remove(len(run))
        return JitterFrame(data=data, timestamp=run[0].timestamp)

    def _span(self) -> int:
        assert self._origin is not None
        return min(self._capacity, ((self._newest - self._origin) & 0xFFFF) + 1)

    def _gap(self) -> bool:
        """Whether a packet is missing before the newest one."""
        assert self._origin is not None
        if ((self._newest - self._origin) & 0xFFFF) >= 0x8000:
            return False
        return any(self._packets[(self._origin + i) % self._capacity] is None for i in range(self._span()))

    def _skip_gap(self) -> None:
        """Drop up to the first frame that starts after the first gap, or everything if none does yet."""
        assert self._origin is not None
        past_gap, ended = False, False
        for i in range(self._span()):
            packet = self._packets[(self._origin + i) % self._capacity]
            if past_gap and ended and packet is not None:
                self.remove(i)
                return
            past_gap = past_gap or packet is None
            ended = past_gap and packet is not None and bool(packet.marker)
        self.remove(self._span())


class LowLatencyH264Encoder(H264Encoder):
    """x264 with a preset for live video, one reference, no B-frames; the bitrate is changed without a new encoder."""

    codec: Any

    def __init__(self) -> None:
        super().__init__()
        self._most_bps = self._bps = video_bps.get()

    @property
    def target_bitrate(self) -> int:
        """Bits per second: the setting, or less while the viewer's REMB says that less arrives."""
        return self._bps

    @target_bitrate.setter
    def target_bitrate(self, bps: int) -> None:
        self._bps = max(LEAST_BPS, min(bps, self._most_bps))

    def _encode_frame(self, frame: av.VideoFrame, force_keyframe: bool) -> Iterator[bytes]:
        if self.codec is not None and (frame.width, frame.height) != (self.codec.width, self.codec.height):
            self.codec = None
        if self.codec is None:
            self.codec = _x264(frame.width, frame.height, self.target_bitrate)
        elif abs(self.target_bitrate - self.codec.bit_rate) > 0.1 * self.codec.bit_rate:
            self.codec.bit_rate = self.target_bitrate  # libx264 takes it over with the next frame
        frame.pict_type = PictureType.I if force_keyframe else PictureType.NONE
        data = b"".join(bytes(packet) for packet in self.codec.encode(frame))
        if data:
            yield from self._split_bitstream(data)


def _x264(width_px: int, height_px: int, bitrate: int) -> Any:
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = width_px, height_px, "yuv420p"
    codec.bit_rate = bitrate
    codec.framerate = fractions.Fraction(MAX_FPS, 1)
    codec.time_base = fractions.Fraction(1, 90_000)
    codec.options = {"preset": "veryfast", "tune": "zerolatency", "bf": "0", "level": "31", "g": "600"}
    codec.profile = "Baseline"
    return codec


class _CodecLoop:
    """Stands in for the loop where the sender asks for its default executor."""

    def __init__(self, loop: asyncio.AbstractEventLoop, codecs: Executor) -> None:
        self._loop = loop
        self._codecs = codecs

    def run_in_executor(self, executor: None, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        return self._loop.run_in_executor(self._codecs, function, *arguments)


def use_codecs(sender: RTCRtpSender, codecs: Executor) -> None:
    """Let `sender` encode on `codecs`."""
    sender._RTCRtpSender__loop = _CodecLoop(asyncio.get_running_loop(), codecs)  # type: ignore[attr-defined]  # private


def low_latency_encoder(codec: RTCRtpCodecParameters) -> Encoder:
    """The encoder a sender gets for `codec`."""
    return LowLatencyH264Encoder() if codec.mimeType.lower() == "video/h264" else get_encoder(codec)


def apply() -> None:
    """Install the patches; again is fine. Raises ConfigurationError when aiortc is not as expected."""
    _check()
    aiortc.rtcrtpreceiver.JitterBuffer = MarkerJitterBuffer  # type: ignore[attr-defined]  # patched on purpose
    aiortc.rtcrtpsender.get_encoder = low_latency_encoder  # type: ignore[attr-defined]  # patched on purpose
    aiortc.rtcrtpreceiver.RTCRtpReceiver._RTCRtpReceiver__stop_decoder = _stop_decoder  # type: ignore[attr-defined]  # private
    aioice.ice.get_host_addresses = _host_addresses
    _accept_profiles()


def _stop_decoder(receiver: Any) -> None:
    if receiver._RTCRtpReceiver__decoder_thread is not None:
        receiver._RTCRtpReceiver__decoder_queue.put(None)
        receiver._RTCRtpReceiver__decoder_thread = None


def _host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    hosts = ice_hosts.get()
    return _gather_all(use_ipv4, use_ipv6) if hosts is None else list(hosts)


def _accept_profiles() -> None:
    known = {codec.parameters.get("profile-level-id") for codec in CODECS["video"]}
    payload_type = max(codec.payloadType for codec in CODECS["video"] if codec.payloadType is not None) + 1
    feedback = [RTCRtcpFeedback("nack"), RTCRtcpFeedback("nack", "pli"), RTCRtcpFeedback("goog-remb")]
    for profile in RECEIVE_PROFILES:
        if profile in known:
            continue
        parameters: Any = {"level-asymmetry-allowed": "1", "packetization-mode": "1", "profile-level-id": profile}
        codec = RTCRtpCodecParameters(
            "video/H264", 90_000, payloadType=payload_type, rtcpFeedback=feedback, parameters=parameters
        )
        CODECS["video"].append(codec)
        payload_type += 1


def _check() -> None:
    """Compare what is about to be replaced with what the patches were written against."""
    expected: dict[str, bool] = {
        "JitterBuffer.add": list(inspect.signature(JitterBuffer.add).parameters) == ["self", "packet"],
        "JitterBuffer._remove_frame": list(inspect.signature(JitterBuffer._remove_frame).parameters)
        == ["self", "sequence_number"],
        "H264Encoder._encode_frame": list(inspect.signature(H264Encoder._encode_frame).parameters)
        == ["self", "frame", "force_keyframe"],
        "RTCRtpSender.__loop": {"_RTCRtpSender__loop", "run_in_executor"}
        <= set(RTCRtpSender._next_encoded_frame.__code__.co_names),
        "RTCRtpReceiver.__stop_decoder": hasattr(aiortc.rtcrtpreceiver.RTCRtpReceiver, "_RTCRtpReceiver__stop_decoder"),
        "rtcrtpreceiver.JitterBuffer": hasattr(aiortc.rtcrtpreceiver, "JitterBuffer"),
        "rtcrtpsender.get_encoder": hasattr(aiortc.rtcrtpsender, "get_encoder"),
        "aioice get_host_addresses": _takes(_gather_all, "use_ipv4", "use_ipv6"),
    }
    changed = [name for name, same in expected.items() if not same]
    if changed:
        raise ConfigurationError(
            f"aiortc {aiortc.__version__} is not the version this server knows (changed: {', '.join(changed)}); "
            "install aiortc 1.16"
        )


def _takes(function: Callable[..., Any], *names: str) -> bool:
    return tuple(inspect.signature(function).parameters) == names
