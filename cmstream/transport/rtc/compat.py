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
| a lost packet is asked for once; the request or its answer may be lost as well | `nacks`: again and again, on a timer |
| a sender makes an object of every packet and remembers 128 | `outbound`: shared payloads, 1024 |
| receiver reports change nothing | they go to the feed, and with it to the bitrate |
| the playout-delay extension is unknown | it is negotiated, and sent with keyframes |
| sound is always decoded and encoded anew | `audio_intake`, `audio_feed`: its packets pass as they are |
| Opus is answered without a word on stereo and error correction, so nobody sends them | both are asked for (RFC 7587, 7) |
| ICE gathers on every interface, and on none of a machine that has only loopback | on `ice_hosts`, or at least on loopback |
| it takes random ports, and tells no address of a NAT | `ice_gathering` |
| a certificate of X.509 version 2 cannot be parsed: no OBS 30 on Linux connects | `peer_identity`: it is hashed as it is |
| a publisher that answers no consent checks, as ffmpeg, is cut off after 30 s of media | `consent`: media are enough |
| nobody is told when a peer was last heard of, and consent (RFC 7675) ends only after 30 s or more | `listen` |
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import queue
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import aioice.ice
import aiortc
import aiortc.rtcrtpreceiver
from aioice import Candidate
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.clock import current_ntp_time
from aiortc.codecs import CODECS, HEADER_EXTENSIONS
from aiortc.codecs.h264 import H264Encoder
from aiortc.jitterbuffer import JitterBuffer
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpparameters import (
    RTCRtcpFeedback,
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpSendParameters,
)
from aiortc.rtcrtpsender import RTCEncodedFrame
from aiortc.rtp import (
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
    pack_header_extensions,
)

from cmstream.core.clock import Clock
from cmstream.core.errors import ConfigurationError
from cmstream.transport.rtc.audio_feed import AudioFeed
from cmstream.transport.rtc.audio_intake import AudioIntake, Tap
from cmstream.transport.rtc.consent import keep_asking
from cmstream.transport.rtc.decoder_thread import run_decoder
from cmstream.transport.rtc.feed import Feed
from cmstream.transport.rtc.gathering import Gathering
from cmstream.transport.rtc.jitter_buffer import MarkerJitterBuffer
from cmstream.transport.rtc.nacks import Nacks
from cmstream.transport.rtc.outbound import PLAYOUT_DELAY_URI, Negotiated, Outbound
from cmstream.transport.rtc.peer_identity import validate

log = logging.getLogger(__name__)

RECEIVE_PROFILES = ("4d001f", "64001f", "640c1f")
LOOPBACK = ("127.0.0.1",)
SENDER_NAMES = {
    *("_run_rtp", "_ssrc", "_rtx_ssrc", "_send_keyframe", "target_bitrate", "_RTCRtpSender__encoder", "_RTCRtpSender__rtt"),
    *("_RTCRtpSender__rtp_started", "_RTCRtpSender__rtp_exited", "_RTCRtpSender__ntp_timestamp"),
    *("_RTCRtpSender__rtp_timestamp", "_RTCRtpSender__packet_count", "_RTCRtpSender__octet_count"),
}

ice_hosts: ContextVar[tuple[str, ...] | None] = ContextVar("ice_hosts", default=None)
"""The addresses to gather on in this context; None means all of the machine's."""

ice_gathering: ContextVar[Gathering | None] = ContextVar("ice_gathering", default=None)
"""Ports and further addresses of sessions in this context; None is as aioice does it."""

_gather_all = aioice.ice.get_host_addresses
_component_candidates = aioice.ice.Connection.get_component_candidates
_stun_datagram_received = aioice.ice.StunProtocol.datagram_received
_run_rtcp = RTCRtpReceiver._run_rtcp
_NackGenerator = aiortc.rtcrtpreceiver.NackGenerator
_decoder_worker = aiortc.rtcrtpreceiver.decoder_worker
_validate_peer_identity = RTCDtlsTransport._validate_peer_identity


def apply() -> None:
    """Install the patches; again is fine. Raises ConfigurationError when aiortc is not as expected."""
    _check()
    patched: Any = aiortc.rtcrtpreceiver
    patched.JitterBuffer = MarkerJitterBuffer
    patched.NackGenerator = Nacks
    patched.decoder_worker = run_decoder
    patched.RTCRtpReceiver._RTCRtpReceiver__stop_decoder = _stop_decoder
    patched.RTCRtpReceiver._run_rtcp = _run_receiver
    secured: Any = RTCDtlsTransport
    secured._validate_peer_identity = validate
    gathered: Any = aioice.ice
    gathered.get_host_addresses = _host_addresses
    gathered.Connection.get_component_candidates = _gather
    gathered.StunProtocol.datagram_received = _datagram_received
    _accept_profiles()
    _know_playout_delay()
    _ask_for_stereo()


def feed_sender(sender: RTCRtpSender, feed: Feed, clock: Clock, playout_delay_ms: int | None = None) -> None:
    """Let `sender` send the encoded frames of `feed`, which hears of keyframes that are asked for, of loss and of REMB."""
    patched: Any = sender
    start, hear = sender.send, sender._handle_rtcp_packet
    outbound: Outbound | None = None

    async def send(parameters: RTCRtpSendParameters) -> None:
        nonlocal outbound
        if outbound is None:
            agreed = Negotiated.of(parameters)
            outbound = Outbound(feed, sender._ssrc, sender._rtx_ssrc, agreed, clock, playout_delay_ms)
        await start(parameters)

    async def run(codec: RTCRtpCodecParameters) -> None:
        assert outbound is not None
        await _run_fed(patched, outbound)

    async def handle(packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
            if outbound is not None:
                await outbound.again(packet.lost, patched.transport._send_rtp)
            return
        await hear(packet)
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            rtt_s: float | None = patched._RTCRtpSender__rtt
            for report in packet.reports:
                if report.ssrc == sender._ssrc:
                    feed.reported(report.fraction_lost / 256, None if rtt_s is None else 1000 * rtt_s)

    patched.send = send
    patched._run_rtp = run
    patched._handle_rtcp_packet = handle
    patched._send_keyframe = feed.ask_keyframe
    patched._RTCRtpSender__encoder = feed  # only for its `target_bitrate`


async def _run_fed(sender: Any, outbound: Outbound) -> None:
    """In place of `RTCRtpSender._run_rtp`."""

    def sent() -> None:
        sender._RTCRtpSender__ntp_timestamp = current_ntp_time()
        sender._RTCRtpSender__rtp_timestamp = outbound.timestamp
        sender._RTCRtpSender__packet_count = outbound.packets
        sender._RTCRtpSender__octet_count = outbound.octets

    sender._RTCRtpSender__rtp_started.set()
    try:
        await outbound.run(sender.transport._send_rtp, sent)
    except (asyncio.CancelledError, ConnectionError, MediaStreamError):
        pass
    except Exception:
        log.exception("a sender ended")
    finally:
        if sender.track:
            sender.track.stop()
        sender._RTCRtpSender__encoder = None
        sender._RTCRtpSender__rtp_exited.set()  # `RTCRtpSender.stop` waits for it


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


def listen(connection: RTCPeerConnection, heard: Callable[[], None]) -> None:
    """Call `heard` at every datagram that comes to `connection` from now on: reports, media, and what ICE asks and answers."""
    for transceiver in connection.getTransceivers():
        ice: Any = transceiver.sender.transport.transport._connection
        ice.cmstream_heard = heard


def trust_media(connection: RTCPeerConnection) -> None:
    """Never end `connection`, not connected yet, because consent checks go unanswered: call it off when no media come."""
    for transceiver in connection.getTransceivers():
        ice: Any = transceiver.sender.transport.transport._connection
        ice.query_consent = partial(keep_asking, ice)


def _datagram_received(protocol: Any, data: bytes, addr: tuple[Any, ...]) -> None:
    """In place of `StunProtocol.datagram_received`."""
    heard: Callable[[], None] | None = getattr(protocol.receiver, "cmstream_heard", None)
    if heard is not None:
        heard()
    _stun_datagram_received(protocol, data, addr)


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


async def _run_receiver(receiver: Any) -> None:
    """In place of `RTCRtpReceiver._run_rtcp`: beside its reports, what is missing is asked for."""
    nacks: Nacks | None = receiver._RTCRtpReceiver__nack_generator
    if nacks is None:
        await _run_rtcp(receiver)
        return
    receiver._RTCRtpReceiver__jitter_buffer.patience_ns = lambda: nacks.patience_ns
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(nacks.run(receiver._send_rtcp_nack))
        await _run_rtcp(receiver)  # until it is cancelled, which it swallows
        asking.cancel()


async def _gather(connection: Any, component: int, addresses: list[str], timeout: int = 5) -> list[Candidate]:
    """In place of aioice's `Connection.get_component_candidates`."""
    gathering = ice_gathering.get()
    if gathering is None:
        return await _component_candidates(connection, component, addresses, timeout)
    relayed = partial(_component_candidates, connection, component, [], timeout)
    return await gathering.component_candidates(connection, component, addresses, timeout, relayed)


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


def _know_playout_delay() -> None:
    if all(extension.uri != PLAYOUT_DELAY_URI for extension in HEADER_EXTENSIONS["video"]):
        taken = {extension.id for extensions in HEADER_EXTENSIONS.values() for extension in extensions}
        free = next(number for number in range(1, 15) if number not in taken)
        HEADER_EXTENSIONS["video"].append(RTCRtpHeaderExtensionParameters(id=free, uri=PLAYOUT_DELAY_URI))


def _ask_for_stereo() -> None:
    for codec in CODECS["audio"]:
        if codec.mimeType == "audio/opus":
            codec.parameters = {"minptime": "10", "useinbandfec": "1", "stereo": "1", "sprop-stereo": "1"}


def _check() -> None:
    """Compare what is about to be replaced with what the patches were written against."""
    receiver_names, sender_names = _names_in(RTCRtpReceiver), _names_in(RTCRtpSender)
    expected: dict[str, bool] = {
        "JitterBuffer.add": _takes(JitterBuffer.add, "self", "packet"),
        "JitterBuffer._remove_frame": _takes(JitterBuffer._remove_frame, "self", "sequence_number"),
        "H264Encoder._encode_frame": _takes(H264Encoder._encode_frame, "self", "frame", "force_keyframe"),
        "RTCRtpSender._next_encoded_frame": _takes(RTCRtpSender._next_encoded_frame, "self", "codec")
        and "_next_encoded_frame" in sender_names,
        "RTCEncodedFrame": _takes(RTCEncodedFrame, "payloads", "timestamp", "audio_level"),
        "RTCRtpSender.send": _takes(RTCRtpSender.send, "self", "parameters"),
        "RTCRtpSender._run_rtp": _takes(RTCRtpSender._run_rtp, "self", "codec") and sender_names >= SENDER_NAMES,
        "RTCRtpSender._handle_rtcp_packet": _takes(RTCRtpSender._handle_rtcp_packet, "self", "packet")
        and {"fraction_lost", "reports", "lost"} <= sender_names,
        "RTCRtpSendParameters": {"codecs", "headerExtensions", "muxId"} <= set(RTCRtpSendParameters.__dataclass_fields__),
        "rtp.pack_header_extensions": _takes(pack_header_extensions, "extensions"),
        "RTCDtlsTransport._send_rtp": _takes(RTCDtlsTransport._send_rtp, "self", "data"),
        "RTCDtlsTransport._validate_peer_identity": _takes(_validate_peer_identity, "self", "remoteParameters")
        and {"_ssl", "_set_state"} <= set(_validate_peer_identity.__code__.co_names),
        "HEADER_EXTENSIONS": "video" in HEADER_EXTENSIONS,
        "RTCRtpReceiver.__stop_decoder": {"_RTCRtpReceiver__decoder_thread", "_RTCRtpReceiver__decoder_queue"} <= receiver_names
        and hasattr(RTCRtpReceiver, "_RTCRtpReceiver__stop_decoder"),
        "RTCRtpReceiver._enabled": "_enabled" in receiver_names,
        "RTCRtpReceiver.__jitter_buffer": "_RTCRtpReceiver__jitter_buffer" in receiver_names,
        "rtcrtpreceiver.decoder_worker": _takes(_decoder_worker, "loop", "input_q", "output_q", "decode_error")
        and "decoder_worker" in receiver_names,
        "rtcrtpreceiver.JitterBuffer": hasattr(aiortc.rtcrtpreceiver, "JitterBuffer") and "JitterBuffer" in receiver_names,
        "rtcrtpreceiver.NackGenerator": _takes(_NackGenerator.add, "self", "packet")
        and {"NackGenerator", "missing", "_RTCRtpReceiver__nack_generator"} <= receiver_names,
        "RTCRtpReceiver._run_rtcp": _takes(_run_rtcp, "self") and "_run_rtcp" in receiver_names,
        "RTCRtpReceiver._send_rtcp_nack": _takes(RTCRtpReceiver._send_rtcp_nack, "self", "media_ssrc", "lost"),
        "aioice Connection.get_component_candidates": _takes(_component_candidates, "self", "component", "addresses", "timeout")
        and "_protocols" in _component_candidates.__code__.co_names,
        "aioice Connection.query_consent": {"_nominated", "build_request", "request"}
        <= set(aioice.ice.Connection.query_consent.__code__.co_names),
        "aioice StunProtocol.datagram_received": _takes(_stun_datagram_received, "self", "data", "addr")
        and "receiver" in _stun_datagram_received.__code__.co_names,
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
