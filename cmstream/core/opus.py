"""Opus packets as they travel through: never decoded. What their first bytes say of their length (RFC 6716, 3.1 and 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

from cmstream.core.errors import InvalidInput

OPUS_HZ = 48_000
"""What Opus timestamps count in, whatever is inside (RFC 7587, 4.1)."""

MAX_SAMPLES = OPUS_HZ * 120 // 1000  # RFC 6716, 3.4 [R5]
_SILK_SAMPLES = (480, 960, 1920, 2880)
_HYBRID_SAMPLES = (480, 960)
_CELT_SAMPLES = (120, 240, 480, 960)


@dataclass(frozen=True, slots=True)
class OpusPacket:
    """One packet. `timestamp` counts 1/48000 s and rises through a stream; `captured_ns` is on the server's clock."""

    data: bytes
    timestamp: int
    captured_ns: int
    """When its first sample was captured."""
    samples: int
    """Its length in 1/48000 s."""


def samples_of(data: bytes) -> int:
    """The length of an Opus packet in 1/48000 s. Raises InvalidInput for what is none."""
    if not data:
        raise InvalidInput("an Opus packet has at least one byte")
    samples = _frame_samples(data[0] >> 3) * _frames(data)
    if not 0 < samples <= MAX_SAMPLES:
        raise InvalidInput(f"an Opus packet of {samples} samples is none: they last up to 120 ms")
    return samples


def _frame_samples(configuration: int) -> int:
    if configuration < 12:
        return _SILK_SAMPLES[configuration & 3]
    if configuration < 16:
        return _HYBRID_SAMPLES[configuration & 1]
    return _CELT_SAMPLES[configuration & 3]


def _frames(data: bytes) -> int:
    code = data[0] & 3
    if code == 0:
        return 1
    if code < 3:
        return 2
    return data[1] & 63 if len(data) > 1 else 0
