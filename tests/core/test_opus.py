"""How long an Opus packet is, held against what libopus itself encodes, and against anything at all."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.core.errors import InvalidInput
from cmstream.core.opus import MAX_SAMPLES, OPUS_HZ, samples_of


@pytest.mark.parametrize("frame_ms", ["2.5", "5", "10", "20", "40", "60"])
@pytest.mark.parametrize("application", ["voip", "audio"])
@pytest.mark.parametrize("bit_rate", [12_000, 96_000])
def test_the_length_of_what_libopus_makes_is_read_from_its_first_byte(frame_ms: str, application: str, bit_rate: int) -> None:
    encoder: av.AudioCodecContext = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = OPUS_HZ, "stereo", "s16", bit_rate
    encoder.options = {"application": application, "frame_duration": frame_ms}
    encoder.open()
    noise = np.random.default_rng(1).integers(-9000, 9000, (1, 2 * encoder.frame_size), np.int16)
    frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="stereo")
    frame.sample_rate = OPUS_HZ
    packets = [bytes(packet) for _ in range(4) for packet in encoder.encode(frame)]
    assert packets
    assert {samples_of(packet) for packet in packets} == {round(float(frame_ms) * OPUS_HZ / 1000)}


@pytest.mark.parametrize("data", [b"", b"\x03", b"\xff\x00", b"\xfb\x3f"], ids=["empty", "no count", "no frames", "too long"])
def test_what_is_no_packet_is_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="Opus packet"):
        samples_of(data)


@given(st.binary(max_size=40))
def test_any_bytes_have_a_possible_length_or_are_refused(data: bytes) -> None:
    try:
        assert 0 < samples_of(data) <= MAX_SAMPLES
    except InvalidInput:
        pass
