"""The decoder thread: it keeps up by leaving out, asks for keyframes, and ends."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any

import av
import pytest
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from cmstream.core.clock import FakeClock
from cmstream.transport.rtc import decoder_thread
from cmstream.transport.rtc.decoder_thread import ASK_AGAIN_MS, MAX_WAITING, EncodedTask, is_keyframe, run_decoder
from cmstream.transport.rtc.encoders import LowLatencyH264Encoder
from cmstream.transport.rtc.jitter_buffer import VideoFrameData
from tests.transport.rtc.test_encoders import picture

H264 = RTCRtpCodecParameters("video/H264", 90_000)


class Desk:
    """What the thread is given, and the frames it handed over, oldest first."""

    def __init__(self) -> None:
        self.encoded: queue.Queue[EncodedTask | None] = queue.Queue()
        self.decoded: asyncio.Queue[Any] = asyncio.Queue()
        self.failed = threading.Event()

    def give(self, *frames: JitterFrame) -> None:
        for frame in frames:
            self.encoded.put((H264, frame))

    async def run(self) -> list[Any]:
        """Let the thread work off everything, and return what waits for the track."""
        self.encoded.put(None)
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=run_decoder, args=(loop, self.encoded, self.decoded, self.failed))
        thread.start()
        await asyncio.to_thread(thread.join, 10)
        assert not thread.is_alive()
        await asyncio.sleep(0)
        return [self.decoded.get_nowait() for _ in range(self.decoded.qsize())]


def encoded(count: int, *, keyframes: tuple[int, ...] = (0,)) -> list[VideoFrameData]:
    encoder = LowLatencyH264Encoder(2_500_000)
    made = []
    for index in range(count):
        units = list(encoder._encode_frame(picture(index), index in keyframes))
        made.append(VideoFrameData(b"".join(b"\x00\x00\x00\x01" + unit for unit in units), 3000 * index, index))
    return made


async def test_only_the_newest_decoded_frame_waits_and_then_the_end() -> None:
    desk = Desk()
    desk.give(*encoded(4))
    frame, end = await desk.run()
    assert isinstance(frame, av.VideoFrame)
    assert frame.opaque in (2, 3)  # when its first packet came; decoders may hold one frame back
    assert end is None
    assert not desk.failed.is_set()


async def test_frames_that_became_whole_together_are_all_decoded_and_handed_over_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handed: list[int] = []
    real = decoder_thread.DecoderThread._hand_over

    def note(self: Any, frame: Any) -> None:
        handed.append(frame.opaque if frame is not None else -1)
        real(self, frame)

    monkeypatch.setattr(decoder_thread.DecoderThread, "_hand_over", note)
    first, second, third, fourth = encoded(4)
    fourth.earlier = [second, third]
    desk = Desk()
    desk.give(first, fourth)
    await desk.run()
    assert handed in ([0, 1, 2, 3, -1], [0, 1, 2, -1])  # decoders may hold one frame back
    assert not desk.failed.is_set()


async def asked_after(passing_ms: float, *frames: VideoFrameData) -> bool:
    """Whether a keyframe was asked for, where so much passes between frames."""
    clock = FakeClock()

    class Slow(decoder_thread.DecoderThread):
        def _decode_one(self, codec: RTCRtpCodecParameters, encoded: JitterFrame) -> None:
            self._now_ns = clock.now_ns
            super()._decode_one(codec, encoded)
            clock.advance_ms(passing_ms)

    desk = Desk()
    desk.give(*frames)
    desk.encoded.put(None)
    await asyncio.to_thread(Slow(asyncio.get_running_loop(), desk.encoded, desk.decoded, desk.failed).run)
    return desk.failed.is_set()


async def test_after_a_gap_the_keyframe_is_asked_for_again_until_it_comes() -> None:
    first, _, third, fourth, fifth = encoded(5, keyframes=(0, 3))
    third.after_gap = True  # the receiver asks at once, by itself
    assert not await asked_after(ASK_AGAIN_MS, first, third, fourth, fifth), "the keyframe came in time"
    assert not await asked_after(ASK_AGAIN_MS / 4, first, third, fifth), "it may still be on its way"
    assert await asked_after(ASK_AGAIN_MS, first, third, fifth)


async def test_a_thread_that_falls_behind_skips_to_the_next_keyframe_and_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    real = decoder_thread.DecoderThread._decode

    def note(self: Any, codec: RTCRtpCodecParameters, frame: VideoFrameData) -> None:
        decoded.append(frame.first_ns)
        real(self, codec, frame)

    monkeypatch.setattr(decoder_thread.DecoderThread, "_decode", note)
    desk = Desk()
    count = MAX_WAITING + 8
    desk.give(*encoded(count, keyframes=(0, MAX_WAITING + 4)))
    await desk.run()
    assert decoded == [0, *range(MAX_WAITING + 4, count)]  # the first is a keyframe too
    assert desk.failed.is_set()


async def test_a_damaged_frame_asks_for_a_keyframe_and_the_next_one_is_shown() -> None:
    desk = Desk()
    desk.give(VideoFrameData(b"\x00\x00\x00\x01\x65garbage", 0, 0), *encoded(3))
    frame, end = await desk.run()
    assert isinstance(frame, av.VideoFrame)
    assert end is None
    assert desk.failed.is_set()


async def test_a_fault_of_the_thread_still_ends_the_track(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(codec: RTCRtpCodecParameters) -> None:
        raise ValueError("no such codec")

    monkeypatch.setattr(decoder_thread, "get_decoder", broken)
    desk = Desk()
    desk.give(*encoded(1))
    assert await desk.run() == [None]


def test_keyframes_are_told_apart() -> None:
    key, delta = (frame.data for frame in encoded(2))
    assert is_keyframe("H264", key)
    assert not is_keyframe("H264", delta)
    assert is_keyframe("VP8", b"\x10\x00")
    assert not is_keyframe("VP8", b"\x11\x00")
    assert not is_keyframe("VP8", b"")
    assert not is_keyframe("H264", b"\x00\x00\x01")
