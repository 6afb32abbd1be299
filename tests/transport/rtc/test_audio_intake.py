"""A publisher's Opus packets as the server numbers them: through wrap, loss, reordering, pauses and rubbish."""

from __future__ import annotations

import pytest

from cmstream.core.clock import NS_PER_MS, FakeClock
from cmstream.core.metrics import Metrics
from cmstream.core.opus import OPUS_HZ, OpusPacket
from cmstream.transport.rtc.audio_intake import AudioIntake

DATA = b"\xfc\x00"  # one CELT frame of 20 ms, stereo
STEP = 960


class Heard:
    def __init__(self) -> None:
        self.clock, self.metrics = FakeClock(), Metrics()
        self.packets: list[OpusPacket] = []
        self.intake = AudioIntake(self.packets.append, self.clock, self.metrics)

    def send(self, rtp_timestamp: int, data: bytes = DATA, after_ms: float = 20) -> None:
        self.clock.advance_ms(after_ms)
        self.intake.take(data, rtp_timestamp % 2**32)

    def steps(self) -> list[int]:
        times = [packet.timestamp for packet in self.packets]
        return [after - before for before, after in zip(times, times[1:], strict=False)]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_timestamps_rise_evenly_where_rtp_timestamps_wrap(heard: Heard) -> None:
    for index in range(6):
        heard.send(2**32 - 3 * STEP + index * STEP)
    assert heard.steps() == [STEP] * 5
    assert [packet.data for packet in heard.packets] == [DATA] * 6, "as they came"


def test_a_packet_is_captured_its_own_length_before_it_came(heard: Heard) -> None:
    heard.send(7)
    assert heard.clock.now_ns() - heard.packets[0].captured_ns == 20 * NS_PER_MS


def test_a_lost_packet_leaves_a_gap_and_one_that_was_overtaken_keeps_its_place(heard: Heard) -> None:
    for timestamp in (0, 3 * STEP, 2 * STEP, 4 * STEP):
        heard.send(timestamp)
    first = heard.packets[0].timestamp
    assert [packet.timestamp - first for packet in heard.packets] == [0, 3 * STEP, 2 * STEP, 4 * STEP]


def test_after_a_pause_sound_goes_on_as_late_as_it_is(heard: Heard) -> None:
    heard.send(0)
    heard.send(77_000_000, after_ms=60_000)  # begun anew somewhere else
    heard.send(77_000_000 + STEP)
    assert heard.steps() == [60 * OPUS_HZ, STEP]
    assert heard.clock.now_ns() - heard.packets[-1].captured_ns == 20 * NS_PER_MS


def test_the_next_publisher_of_a_stream_goes_on_where_the_last_one_ended(heard: Heard) -> None:
    heard.send(123_456)
    heard.clock.advance_ms(5_000)
    heard.intake = AudioIntake(heard.packets.append, heard.clock, heard.metrics)
    heard.send(0)
    assert heard.steps() == [round(5.02 * OPUS_HZ)]


def test_what_is_no_opus_is_counted_and_changes_nothing(heard: Heard) -> None:
    heard.send(0)
    heard.send(999_999_999, data=b"")
    heard.send(STEP, data=b"\xff\x00", after_ms=0)
    heard.send(STEP, after_ms=0)
    assert heard.steps() == [STEP]
    dropped = heard.metrics.registry.get_sample_value("cmstream_audio_packets_dropped_total", {"reason": "malformed"})
    assert dropped == 2
