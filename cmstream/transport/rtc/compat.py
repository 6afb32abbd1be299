"""Every patch of aiortc and aioice, in one place. `apply` checks that what it replaces is still what it expects.

| fault of aiortc 1.14–1.16, aioice 0.13 | cure |
| --- | --- |
| a video frame is emitted on the first packet of the next one: +33 ms at 30 fps | `jitter_buffer`: on the marker bit |
| an unrecovered packet stalls video until 512 packets have come | `jitter_buffer`: given up after 80 ms, with a PLI |
| a retransmission 100 packets late counts as a restart, and all that waits is lost | `jitter_buffer`: it is ignored |
| encoded and decoded frames queue without bound | `decoder_thread`: bounded, newest wins |
| ending a receiver joins its decoder thread on the event loop | the thread ends by itself |
| every sender encodes for itself, on the loop's default executor | it takes frames that are encoded for all: `feed` |
| libx264 without preset: 10 ms at 512²; a new encoder at every change of bitrate | `encoders` |
| only H264 baseline is accepted | Main and High are received too |
| sound is always decoded and encoded anew | `audio_intake`, `audio_feed`: its packets pass as they are |
| Opus is answered without a word on stereo and error correction, so nobody sends them | both are asked for (RFC 7587, 7) |
| ICE gathers on every interface, and on none of a machine that has only loopback | on `ice_hosts`, or at least on loopback |
"""

from __future__ import annotations

import inspect
import queue
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import aioice.ice
import aiortc
import aiortc.rtcrtpreceiver
from aiortc import RTCRtpReceiver, RTCRtpSender
from aiortc.codecs import CODECS
from aiortc.codecs.h264 import H264Encoder
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpCodecParameters
from aiortc.rtcrtpsender import RTCEncodedFrame

from cmstream.core.errors import ConfigurationError
from cmstream.transport.rtc.audio_feed import AudioFeed
from cmstream.transport.rtc.audio_intake import AudioIntake, Tap
from cmstream.transport.rtc.decoder_thread import run_decoder
from cmstream.transport.rtc.feed import Feed
from cmstream.transport.rtc.jitter_buffer import MarkerJitterBuffer

RECEIVE_PROFILES = ("4d001f", "64001f", "640c1f")
LOOPBACK = ("127.0.0.1",)

ice_hosts: ContextVar[tuple[str, ...] | None] = ContextVar("ice_hosts", default=None)
"""The addresses to gather on in this context; None means all of the machine's."""

_gather_all = aioice.ice.get_host_addresses
_decoder_worker = aiortc.rtcrtpreceiver.decoder_worker


def apply() -> None:
    """Install the patches; again is fine. Raises ConfigurationError when aiortc is not as expected."""
    _check()
    patched: Any = aiortc.rtcrtpreceiver
    patched.JitterBuffer = MarkerJitterBuffer
    patched.decoder_worker = run_decoder
    patched.RTCRtpReceiver._RTCRtpReceiver__stop_decoder = _stop_decoder
    aioice.ice.get_host_addresses = _host_addresses
    _accept_profiles()
    _ask_for_stereo()


def feed_sender(sender: RTCRtpSender, feed: Feed) -> None:
    """Let `sender` send the encoded frames of `feed`, which hears of keyframes that are asked for and of REMB."""

    async def next_encoded_frame(codec: RTCRtpCodecParameters) -> RTCEncodedFrame:
        frame = await feed.next(codec.name)
        audio_level: Any = None
        return RTCEncodedFrame(frame.payloads, frame.timestamp, audio_level)

    patched: Any = sender
    patched._next_encoded_frame = next_encoded_frame
    patched._send_keyframe = feed.ask_keyframe
    patched._RTCRtpSender__encoder = feed  # only for its `target_bitrate`


def feed_sound(sender: RTCRtpSender, feed: AudioFeed) -> None:
    """Let `sender` send the packets of `feed`, which are encoded already."""

    async def next_encoded_frame(codec: RTCRtpCodecParameters) -> RTCEncodedFrame:
        packet = await feed.next()
        audio_level: Any = None
        return RTCEncodedFrame([packet.data], packet.timestamp, audio_level)

    patched: Any = sender
    patched._next_encoded_frame = next_encoded_frame


def take_sound(receiver: RTCRtpReceiver, intake: AudioIntake) -> None:
    """Hand what `receiver` gets to `intake` and decode nothing; its reports to the sender go on."""
    patched: Any = receiver
    patched._RTCRtpReceiver__jitter_buffer = Tap(intake.take)


def ignore(receiver: RTCRtpReceiver) -> None:
    """Throw away what `receiver` gets, before anything is decoded or queued."""
    receiver._enabled = False


def _stop_decoder(receiver: Any) -> None:
    """In place of `RTCRtpReceiver.__stop_decoder`: what still waits is dropped; the thread tells the track and ends."""
    if receiver._RTCRtpReceiver__decoder_thread is None:
        return
    receiver._RTCRtpReceiver__decoder_thread = None
    waiting: queue.Queue[Any] = receiver._RTCRtpReceiver__decoder_queue
    try:
        while True:
            waiting.get_nowait()
    except queue.Empty:
        waiting.put_nowait(None)


def _host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    hosts = ice_hosts.get()
    return list(hosts or _gather_all(use_ipv4, use_ipv6) or LOOPBACK)


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


def _ask_for_stereo() -> None:
    for codec in CODECS["audio"]:
        if codec.mimeType == "audio/opus":
            codec.parameters = {"minptime": "10", "useinbandfec": "1", "stereo": "1", "sprop-stereo": "1"}


def _check() -> None:
    """Compare what is about to be replaced with what the patches were written against."""
    receiver_names = _names_in(RTCRtpReceiver)
    expected: dict[str, bool] = {
        "JitterBuffer.add": _takes(JitterBuffer.add, "self", "packet"),
        "JitterBuffer._remove_frame": _takes(JitterBuffer._remove_frame, "self", "sequence_number"),
        "H264Encoder._encode_frame": _takes(H264Encoder._encode_frame, "self", "frame", "force_keyframe"),
        "RTCRtpSender._next_encoded_frame": _takes(RTCRtpSender._next_encoded_frame, "self", "codec")
        and {"_next_encoded_frame", "_send_keyframe", "_RTCRtpSender__encoder", "target_bitrate"} <= _names_in(RTCRtpSender),
        "RTCEncodedFrame": _takes(RTCEncodedFrame, "payloads", "timestamp", "audio_level"),
        "RTCRtpReceiver.__stop_decoder": {"_RTCRtpReceiver__decoder_thread", "_RTCRtpReceiver__decoder_queue"} <= receiver_names
        and hasattr(RTCRtpReceiver, "_RTCRtpReceiver__stop_decoder"),
        "RTCRtpReceiver._enabled": "_enabled" in receiver_names,
        "RTCRtpReceiver.__jitter_buffer": "_RTCRtpReceiver__jitter_buffer" in receiver_names,
        "rtcrtpreceiver.decoder_worker": _takes(_decoder_worker, "loop", "input_q", "output_q", "decode_error")
        and "decoder_worker" in receiver_names,
        "rtcrtpreceiver.JitterBuffer": hasattr(aiortc.rtcrtpreceiver, "JitterBuffer") and "JitterBuffer" in receiver_names,
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


def _names_in(cls: type) -> set[str]:
    """All global and attribute names that the methods of `cls` use."""
    return {name for method in vars(cls).values() if inspect.isfunction(method) for name in method.__code__.co_names}
