"""The jitter buffer against aiortc's, packet by packet: markers, gaps, reordering, restarts."""

from __future__ import annotations

import numpy as np
import pytest
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket

from cmstream.core.clock import NS_PER_MS
from cmstream.transport.rtc.jitter_buffer import GIVE_UP_MS, MarkerJitterBuffer, VideoFrameData

FRAME_TICKS = 3000


def packet(sequence_number: int, frame: int, *, last: bool, ssrc: int = 1) -> RtpPacket:
    made = RtpPacket(
        payload_type=96,
        sequence_number=sequence_number & 0xFFFF,
        timestamp=frame * FRAME_TICKS,
        marker=int(last),
        ssrc=ssrc,
    )
    made._data = b"%d;" % sequence_number  # type: ignore[attr-defined]  # what the receiver's depayload leaves there
    return made


def after_frames(count: int, *, start: int = 0) -> MarkerJitterBuffer:
    """A buffer that has emitted `count` frames of one packet each."""
    buffer = MarkerJitterBuffer(capacity=512, is_video=True)
    for number in range(count):
        assert buffer.add(packet(start + number, number, last=True))[1] is not None
    return buffer


class Clock:
    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def pass_ms(self, passed_ms: float) -> None:
        self.now_ns += round(passed_ms * NS_PER_MS)

    def pass_with(self, buffer: MarkerJitterBuffer, passed_ms: float) -> None:
        """While old packets come again, which change nothing: the receiver does not stand still."""
        for _ in range(4):
            self.pass_ms(passed_ms / 4)
            assert buffer.add(packet(0, 0, last=True)) == (False, None)


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
    buffer = MarkerJitterBuffer(capacity=512, is_video=True, now_ns=clock)
    buffer.add(packet(0, 0, last=True))
    told, emitted = [], []
    for sequence_number in range(2, 12):  # number 1 is lost
        pli, frame = buffer.add(packet(sequence_number, sequence_number, last=True))
        told.append(pli)
        emitted.append(frame is not None)
        clock.pass_ms(GIVE_UP_MS / 4)
    assert sum(told) == 1
    assert told.index(True) == 4
    assert not any(emitted[:4])
    assert emitted[-1]


def test_a_retransmission_in_time_loses_nothing() -> None:
    clock = Clock()
    buffer = MarkerJitterBuffer(capacity=512, is_video=True, now_ns=clock)
    buffer.add(packet(0, 0, last=True))
    buffer.add(packet(2, 2, last=True))
    clock.pass_ms(GIVE_UP_MS / 2)
    pli, frame = buffer.add(packet(1, 1, last=True))
    assert not pli
    assert isinstance(frame, VideoFrameData)
    # Both are whole now and leave together: the newer to be shown, the older first through the decoder.
    assert ([before.data for before in frame.earlier], frame.data) == ([b"1;"], b"2;")
    assert frame.first_ns == 0
    assert frame.earlier[0].first_ns == GIVE_UP_MS / 2 * NS_PER_MS


def test_a_gap_is_waited_for_as_long_as_whoever_asks_says_and_what_follows_it_is_told() -> None:
    clock = Clock()
    buffer = MarkerJitterBuffer(capacity=512, is_video=True, now_ns=clock)
    buffer.patience_ns = lambda: 200 * NS_PER_MS
    buffer.add(packet(0, 0, last=True))
    buffer.add(packet(2, 2, last=True))
    clock.pass_with(buffer, 196)
    assert buffer.add(packet(3, 3, last=True)) == (False, None)
    clock.pass_ms(4)
    pli, frame = buffer.add(packet(4, 4, last=True))
    assert pli
    assert isinstance(frame, VideoFrameData)
    assert [one.after_gap for one in (*frame.earlier, frame)] == [True, False]
    _, following = buffer.add(packet(5, 5, last=True))
    assert isinstance(following, VideoFrameData)
    assert not following.after_gap


def test_a_second_gap_is_given_its_own_time() -> None:
    clock = Clock()
    buffer = MarkerJitterBuffer(capacity=512, is_video=True, now_ns=clock)
    buffer.add(packet(0, 0, last=True))
    buffer.add(packet(2, 2, last=True))
    clock.pass_with(buffer, GIVE_UP_MS * 0.9)
    assert buffer.add(packet(1, 1, last=True))[1] is not None
    buffer.add(packet(4, 4, last=True))
    clock.pass_with(buffer, GIVE_UP_MS * 0.9)
    assert buffer.add(packet(5, 5, last=True)) == (False, None)
    clock.pass_ms(GIVE_UP_MS * 0.2)
    assert buffer.add(packet(6, 6, last=True))[0]


def test_a_gap_inside_a_frame_loses_that_frame_and_no_whole_one_after_it() -> None:
    clock = Clock()
    buffer = MarkerJitterBuffer(capacity=512, is_video=True, now_ns=clock)
    buffer.add(packet(0, 0, last=True))
    buffer.add(packet(1, 1, last=False))  # 2 is lost
    buffer.add(packet(3, 1, last=True))
    clock.pass_with(buffer, GIVE_UP_MS * 0.9)
    clock.pass_ms(GIVE_UP_MS * 0.1)
    pli, frame = buffer.add(packet(4, 2, last=True))
    assert pli
    assert frame is not None
    assert frame.data == b"4;"


@pytest.mark.parametrize("start", [0, 40_000, 65_500])
def test_under_random_loss_every_frame_comes_out_in_order_whole_and_at_most_once(start: int) -> None:
    clock, random = Clock(), np.random.default_rng(start)
    buffer = MarkerJitterBuffer(capacity=512, is_video=True, now_ns=clock)
    lost_of: dict[int, int] = {}
    shown: list[int] = []
    for frame in range(400):
        for part in range(3):
            if frame and random.random() < 0.02:
                lost_of[frame] = part
                continue
            _, emitted = buffer.add(packet(start + 3 * frame + part, frame, last=part == 2))
            if isinstance(emitted, VideoFrameData):
                for each in [*emitted.earlier, emitted]:
                    number = each.timestamp // FRAME_TICKS
                    assert each.data == b"".join(b"%d;" % (start + 3 * number + i) for i in range(3))
                    shown.append(number)
        clock.pass_ms(1000 / 30)
    assert shown == sorted(set(shown))
    assert not set(shown) & lost_of.keys()
    # What is missing is what was lost, and what a gap held up when it was given up: three frames each.
    assert len(shown) >= 400 - 5 * len(lost_of)
    assert shown[-1] >= 396


@pytest.mark.parametrize("late", [1, 99, 100, 128, 511])
@pytest.mark.parametrize("start", [0, 65_000])
def test_a_duplicate_or_a_retransmission_that_comes_too_late_changes_nothing(start: int, late: int) -> None:
    buffer = after_frames(600, start=start)
    assert buffer.add(packet(start + 600, 600, last=False)) == (False, None)
    assert buffer.add(packet(start + 600 - late, 600 - late, last=True)) == (False, None)
    pli, frame = buffer.add(packet(start + 601, 600, last=True))
    assert not pli
    assert frame is not None
    assert frame.data == b"%d;%d;" % (start + 600, start + 601)  # the half frame that was waiting is still there


def test_stock_aiortc_still_takes_a_late_retransmission_for_a_restart() -> None:
    stock = JitterBuffer(capacity=512, is_video=True)
    for number in range(130):
        stock.add(packet(number, number, last=True))
    assert stock.add(packet(1, 1, last=True))[0]  # if this fails, upstream has cured it


def test_a_late_packet_does_not_prolong_the_wait_for_another() -> None:
    clock = Clock()
    buffer = MarkerJitterBuffer(capacity=512, is_video=True, now_ns=clock)
    buffer.add(packet(0, 0, last=True))
    buffer.add(packet(2, 2, last=True))
    clock.pass_with(buffer, GIVE_UP_MS * 0.9)
    clock.pass_ms(GIVE_UP_MS * 0.1)
    pli, frame = buffer.add(packet(3, 3, last=True))
    assert pli
    assert frame is not None
    assert frame.data == b"3;"


def test_where_the_receiver_stood_still_what_comes_next_is_looked_at_before_anything_is_given_up() -> None:
    clock = Clock()
    buffer = MarkerJitterBuffer(capacity=512, is_video=True, now_ns=clock)
    buffer.add(packet(0, 0, last=True))
    buffer.add(packet(2, 2, last=True))
    clock.pass_ms(1000)
    assert buffer.add(packet(3, 3, last=True)) == (False, None)
    pli, frame = buffer.add(packet(1, 1, last=True))  # it was in the socket
    assert not pli
    assert isinstance(frame, VideoFrameData)
    assert [one.data for one in (*frame.earlier, frame)] == [b"1;", b"2;", b"3;"]


@pytest.mark.parametrize("back", [512, 29_900, 0x8000])
def test_a_sender_that_jumps_back_beyond_any_retransmission_is_followed_at_once(back: int) -> None:
    buffer = after_frames(10, start=40_000)
    answers = [buffer.add(packet(40_010 - back + number, number, last=True)) for number in range(10)]
    assert [pli for pli, _ in answers] == [True] + [False] * 9
    assert all(frame is not None for _, frame in answers)


@pytest.mark.parametrize("jump", [-511, -1, 1, 300, 30_000])
def test_another_sender_starts_over_wherever_its_numbers_begin(jump: int) -> None:
    buffer = after_frames(600)
    buffer.add(packet(600, 600, last=False))  # never completed
    answers = [buffer.add(packet(600 + jump + number, number, last=True, ssrc=2)) for number in range(10)]
    assert [pli for pli, _ in answers] == [True] + [False] * 9
    assert [frame and frame.data for _, frame in answers] == [b"%d;" % (600 + jump + number) for number in range(10)]


def test_audio_is_left_to_aiortc() -> None:
    buffer = MarkerJitterBuffer(capacity=16, prefetch=0, is_video=False)
    buffer.add(packet(0, 0, last=False))
    frame = buffer.add(packet(1, 1, last=False))[1]
    assert frame is not None
    assert not isinstance(frame, VideoFrameData)


def test_padding_is_no_frame_and_the_frames_around_it_are_whole() -> None:
    buffer = after_frames(2)
    for sequence_number in (2, 3):  # browsers without RTX send it after a frame, under that frame's timestamp
        padding = packet(sequence_number, 1, last=False)
        padding._data = b""  # type: ignore[attr-defined]  # as the receiver leaves it for a packet without payload
        assert buffer.add(padding) == (False, None)
    frame = buffer.add(packet(4, 2, last=True))[1]
    assert isinstance(frame, VideoFrameData)
    assert (frame.data, frame.timestamp, frame.earlier) == (b"4;", 2 * FRAME_TICKS, [])


def test_a_frame_of_nothing_is_passed_over() -> None:
    buffer = after_frames(1)
    empty = packet(1, 1, last=True)
    empty._data = b""  # type: ignore[attr-defined]  # as above
    assert buffer.add(empty) == (False, None)
    assert buffer.add(packet(2, 2, last=True))[1] is not None
