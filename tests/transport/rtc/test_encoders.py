"""Encoders for viewers: nothing is held back, the bitrate is kept, keyframes come when asked for."""

from __future__ import annotations

import fractions

import av
import numpy as np
import pytest
from aiortc.codecs.h264 import H264Decoder, h264_depayload
from aiortc.codecs.vpx import vp8_depayload
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from cmstream.transport.rtc.encoders import LowLatencyH264Encoder, SteadyVp8Encoder, live_encoder

FRAME_TICKS = 3000
MOST_BPS = 2_500_000


def depayloaded(codec: str, payloads: list[bytes]) -> bytes:
    """The frame that the payloads of one encode carry."""
    depayload = h264_depayload if codec.endswith("H264") else vp8_depayload
    return b"".join(depayload(payload) for payload in payloads)


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
    encoder = LowLatencyH264Encoder(MOST_BPS)
    keys = [has_idr(encoder.encode(picture(i), force_keyframe=i == 5)[0]) for i in range(8)]
    assert keys == [i in (0, 5) for i in range(8)]


def test_the_bitrate_follows_the_viewer_and_small_changes_need_no_new_encoder() -> None:
    encoder = LowLatencyH264Encoder(MOST_BPS)
    encoder.encode(picture(0))
    first = encoder.codec
    encoder.target_bitrate = 300_000
    encoder.encode(picture(1))
    assert encoder.codec is not first  # more than half less: the limit of single frames must shrink with it
    second = encoder.codec
    encoder.target_bitrate = 400_000
    payloads, _ = encoder.encode(picture(2))
    assert encoder.codec is second
    assert not has_idr(payloads)
    encoder.target_bitrate = 10**9
    assert encoder.target_bitrate == 2_500_000  # never above the setting


def test_a_change_of_size_starts_anew_with_a_keyframe() -> None:
    encoder = LowLatencyH264Encoder(MOST_BPS)
    encoder.encode(picture(0))
    assert has_idr(encoder.encode(picture(1, 256))[0])


def test_what_is_encoded_decodes_to_the_same_picture() -> None:
    encoder, decoder = LowLatencyH264Encoder(MOST_BPS), H264Decoder()
    units = b"".join(b"\x00\x00\x00\x01" + unit for unit in encoder._encode_frame(picture(3), True))
    decoded = decoder.decode(JitterFrame(units, 0)) + decoder.codec.decode(None)
    (frame,) = decoded
    assert isinstance(frame, av.VideoFrame)
    error = frame.to_ndarray(format="rgb24").astype(int) - picture(3).to_ndarray(format="rgb24").astype(int)
    assert np.abs(error).mean() < 30


def moving(index: int, fps: int, side_px: int = 256) -> av.VideoFrame:
    """Fine texture that slides over the picture: as hard to encode as paint is."""
    rgb = np.random.default_rng(1).integers(0, 256, (side_px // 2, side_px // 2, 3), np.uint8).repeat(2, 0).repeat(2, 1)
    frame = av.VideoFrame.from_ndarray(np.roll(rgb, (5 * index, 3 * index), (0, 1)), format="rgb24")
    frame.pts, frame.time_base = index * 90_000 // fps, fractions.Fraction(1, 90_000)
    return frame


@pytest.mark.parametrize("fps", [10, 15, 30])
@pytest.mark.parametrize("bps", [600_000, 2_000_000])
def test_the_bitrate_is_kept_at_every_frame_rate(fps: int, bps: int) -> None:
    encoder = LowLatencyH264Encoder(MOST_BPS)
    encoder.target_bitrate = bps
    sizes = [sum(len(payload) for payload in encoder.encode(moving(i, fps))[0]) for i in range(6 * fps)]
    spent_bps = 8 * sum(sizes[2 * fps :]) / 4  # the first two seconds hold the keyframe, and the frame rate is being learned
    assert spent_bps == pytest.approx(bps, rel=0.25)
    # No frame holds the line up for long: a quarter of a second is the size of the buffer x264 is told of.
    assert 8 * max(sizes[1:]) <= 0.3 * bps


def test_vp8_is_not_begun_anew_by_every_small_change_of_bitrate() -> None:
    encoder = live_encoder(RTCRtpCodecParameters("video/VP8", 90_000), MOST_BPS)
    assert isinstance(encoder, SteadyVp8Encoder)
    encoder.encode(picture(0))
    first = encoder.codec
    encoder.target_bitrate = 2_000_000
    encoder.encode(picture(1))
    assert encoder.codec is first
    encoder.target_bitrate = 600_000
    encoder.encode(picture(2))
    assert encoder.target_bitrate == 600_000
    assert encoder.codec is not first


@pytest.mark.parametrize("codec", ["video/H264", "video/VP8"])
def test_every_frame_decodes_at_its_own_size_when_the_size_walks_down_and_up(codec: str) -> None:
    encoder = live_encoder(RTCRtpCodecParameters(codec, 90_000), MOST_BPS)
    decoder = av.CodecContext.create("h264" if codec.endswith("H264") else "vp8", "r")
    decoded: list[av.VideoFrame] = []
    sides_px = [384] * 3 + [240] * 3 + [384] * 3
    levels = [20 + 20 * index for index in range(len(sides_px))]  # a colour for each, so that none can pass for another
    for index, (side_px, level) in enumerate(zip(sides_px, levels, strict=True)):
        frame = av.VideoFrame.from_ndarray(np.full((side_px, side_px, 3), level, np.uint8), format="rgb24")
        frame.pts, frame.time_base = index * FRAME_TICKS, fractions.Fraction(1, 90_000)
        decoded += decoder.decode(av.Packet(depayloaded(codec, encoder.encode(frame)[0])))
    decoded += decoder.decode(None)
    assert [frame.width for frame in decoded] == sides_px
    assert [float(frame.to_ndarray(format="rgb24").mean()) for frame in decoded] == pytest.approx(levels, abs=6)


def test_there_is_an_encoder_for_what_viewers_are_offered_and_for_nothing_else() -> None:
    assert isinstance(live_encoder(RTCRtpCodecParameters("video/H264", 90_000), MOST_BPS), LowLatencyH264Encoder)
    with pytest.raises(ValueError, match="video/av1"):
        live_encoder(RTCRtpCodecParameters("video/AV1", 90_000), MOST_BPS)


@pytest.mark.parametrize(("side_px", "threads"), [(384, 1), (720, 2)])
def test_an_encoder_takes_few_threads_however_many_cores_there_are(side_px: int, threads: int) -> None:
    encoder = LowLatencyH264Encoder(MOST_BPS)
    encoder.encode(picture(0, side_px))
    assert encoder.codec.thread_count == threads
