"""Each cure of aiortc against the fault it cures. These fail when upstream changes under them."""

from __future__ import annotations

import fractions

import aiortc.rtcrtpreceiver
import av
import numpy as np
import pytest
from aiortc.codecs import CODECS
from aiortc.codecs.h264 import H264Decoder
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import RtpPacket

from cmstream.core.errors import ConfigurationError
from cmstream.transport.rtc import compat
from cmstream.transport.rtc.compat import GIVE_UP_S, LowLatencyH264Encoder, MarkerJitterBuffer

FRAME_TICKS = 3000


def packet(sequence_number: int, frame: int, *, last: bool) -> RtpPacket:
    made = RtpPacket(payload_type=96, sequence_number=sequence_number & 0xFFFF, timestamp=frame * FRAME_TICKS, marker=int(last))
    made._data = b"%d;" % sequence_number  # type: ignore[attr-defined]  # what the receiver's depayload leaves there
    return made


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_stock_aiortc_still_waits_for_the_next_frame() -> None:
    stock = JitterBuffer(capacity=512, is_video=True)
    assert stock.add(packet(0, 0, last=True)) == (False, None)  # if this fails, upstream has cured it: drop our cure


def test_a_frame_is_emitted_on_its_marker() -> None:
    buffer = MarkerJitterBuffer(capacity=512, is_video=True)
    assert buffer.add(packet(0, 0, last=False))[1] is None
    frame = buffer.add(packet(1, 0, last=True))[1]
    assert frame is not None
    assert (frame.data, frame.timestamp) == (b"0;1;", 0)


@pytest.mark.parametrize("start", [0, 65_533])
def test_packets_out_of_order_still_make_whole_frames(start: int) -> None:
    buffer = MarkerJitterBuffer(capacity=512, is_video=True)
    buffer.add(packet(start, 0, last=True))
    frames: list[JitterFrame | None] = []
    for sequence_number, last in [(3, True), (1, False), (2, False)]:
        frames.append(buffer.add(packet(start + sequence_number, 1, last=last))[1])
    assert frames[:2] == [None, None]
    assert frames[2] is not None
    assert frames[2].data == b"%d;%d;%d;" % (start + 1, start + 2, start + 3)


def test_a_sender_without_markers_is_read_as_stock_aiortc_does() -> None:
    buffer = MarkerJitterBuffer(capacity=512, is_video=True)
    buffer.add(packet(0, 0, last=False))
    frame = buffer.add(packet(1, 1, last=False))[1]
    assert frame is not None
    assert frame.data == b"0;"


def test_a_lost_packet_is_given_up_after_80_ms_with_a_request_for_a_keyframe() -> None:
    clock = Clock()
    buffer = MarkerJitterBuffer(capacity=512, is_video=True, now_s=clock)
    buffer.add(packet(0, 0, last=True))
    told, emitted = [], []
    for sequence_number in range(2, 12):  # number 1 is lost
        pli, frame = buffer.add(packet(sequence_number, sequence_number, last=True))
        told.append(pli)
        emitted.append(frame is not None)
        clock.now_s += GIVE_UP_S / 4
    assert sum(told) == 1
    assert told.index(True) == 4
    assert not any(emitted[:4])
    assert emitted[-1]


def test_a_retransmission_in_time_loses_nothing() -> None:
    clock = Clock()
    buffer = MarkerJitterBuffer(capacity=512, is_video=True, now_s=clock)
    buffer.add(packet(0, 0, last=True))
    buffer.add(packet(2, 2, last=True))
    clock.now_s = GIVE_UP_S / 2
    pli, frame = buffer.add(packet(1, 1, last=True))
    assert (pli, frame is not None and frame.data) == (False, b"1;")


def picture(level: int, side_px: int = 128) -> av.VideoFrame:
    rgb = np.random.default_rng(level).integers(0, 256, (side_px // 8, side_px // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    frame.pts, frame.time_base = level * FRAME_TICKS, fractions.Fraction(1, 90_000)
    return frame


def has_idr(payloads: list[bytes]) -> bool:
    """Whether a payload holds, starts or aggregates an IDR slice (RFC 6184: NAL types 5, 24 and 28)."""
    for payload in payloads:
        kind = payload[0] & 31
        if kind == 5 or (kind == 28 and payload[1] & 31 == 5):
            return True
        at = 1
        while kind == 24 and at + 2 < len(payload):
            size = int.from_bytes(payload[at : at + 2], "big")
            if payload[at + 2] & 31 == 5:
                return True
            at += 2 + size
    return False


def test_every_frame_leaves_the_encoder_at_once_and_keyframes_come_on_request() -> None:
    encoder = LowLatencyH264Encoder()
    keys = [has_idr(encoder.encode(picture(i), force_keyframe=i == 5)[0]) for i in range(8)]
    assert keys == [i in (0, 5) for i in range(8)]


def test_the_bitrate_follows_the_viewer_without_a_new_encoder() -> None:
    encoder = LowLatencyH264Encoder()
    encoder.encode(picture(0))
    first = encoder.codec
    encoder.target_bitrate = 300_000
    payloads, _ = encoder.encode(picture(1))
    assert encoder.codec is first
    assert encoder.codec.bit_rate == 300_000
    assert not has_idr(payloads)
    encoder.target_bitrate = 10**9
    assert encoder.target_bitrate == 2_500_000  # never above the setting


def test_a_change_of_size_starts_anew_with_a_keyframe() -> None:
    encoder = LowLatencyH264Encoder()
    encoder.encode(picture(0))
    assert has_idr(encoder.encode(picture(1, 256))[0])


def test_what_is_encoded_decodes_to_the_same_picture() -> None:
    encoder, decoder = LowLatencyH264Encoder(), H264Decoder()
    units = b"".join(b"\x00\x00\x00\x01" + unit for unit in encoder._encode_frame(picture(3), True))
    decoded = decoder.decode(JitterFrame(units, 0)) + decoder.codec.decode(None)
    (frame,) = decoded
    assert isinstance(frame, av.VideoFrame)
    error = frame.to_ndarray(format="rgb24").astype(int) - picture(3).to_ndarray(format="rgb24").astype(int)
    assert np.abs(error).mean() < 30


def test_main_and_high_profiles_are_received_and_applying_twice_adds_nothing() -> None:
    compat.apply()
    count = len(CODECS["video"])
    compat.apply()
    assert len(CODECS["video"]) == count
    profiles = {codec.parameters.get("profile-level-id") for codec in CODECS["video"]}
    assert {"42e01f", "4d001f", "64001f", "640c1f"} <= profiles
    types = [codec.payloadType for codec in CODECS["video"]]
    assert len(types) == len(set(types))
    assert max(number for number in types if number is not None) <= 127


def test_senders_get_our_encoder_for_h264_only() -> None:
    assert isinstance(compat.low_latency_encoder(RTCRtpCodecParameters("video/H264", 90_000)), LowLatencyH264Encoder)
    assert not isinstance(compat.low_latency_encoder(RTCRtpCodecParameters("video/VP8", 90_000)), LowLatencyH264Encoder)


def test_an_aiortc_that_changed_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(aiortc.rtcrtpreceiver, "JitterBuffer")
    with pytest.raises(ConfigurationError, match=r"rtcrtpreceiver\.JitterBuffer"):
        compat.apply()
