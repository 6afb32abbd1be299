"""Pictures and sounds to record, and what is in a file afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import av
import numpy as np

from cmstream.core.clock import NS_PER_S
from cmstream.core.frame import Rgb
from cmstream.core.opus import OPUS_HZ, OpusPacket
from cmstream.transport.recording.destination import LimitedFile

MB = 1_000_000
STEP = 960


def moving(index: int, width_px: int = 64, height_px: int = 48) -> Rgb:
    """A smooth texture that moves, so that no two pictures are alike and none is cheap."""
    ramp = np.arange(width_px) + 3 * index + np.arange(height_px)[:, None]
    return np.stack([ramp % 256, (2 * ramp) % 256, (255 - ramp) % 256], 2).astype(np.uint8)


def plain(level: int, width_px: int = 64, height_px: int = 48) -> Rgb:
    return np.full((height_px, width_px, 3), level, np.uint8)


def tone(count: int, began_ns: int = 0) -> list[OpusPacket]:
    """So many packets of 20 ms of a 440 Hz tone, captured one after the other from `began_ns` on."""
    return [replace(packet, captured_ns=packet.captured_ns + began_ns) for packet in _tone()[:count]]


@cache
def _tone(count: int = 500) -> list[OpusPacket]:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.bit_rate = OPUS_HZ, 64_000
    encoder.layout, encoder.format = "stereo", "s16"
    encoder.open()
    packets: list[OpusPacket] = []
    index = 0
    while len(packets) < count:
        wave = 9_000 * np.sin(2 * np.pi * 440 * (index * STEP + np.arange(STEP)) / OPUS_HZ)
        frame = av.AudioFrame.from_ndarray(np.repeat(wave.astype(np.int16), 2)[None], format="s16", layout="stereo")
        frame.sample_rate = OPUS_HZ
        index += 1
        for packet in encoder.encode(frame):
            at = len(packets) * STEP
            packets.append(OpusPacket(bytes(packet), at, at * NS_PER_S // OPUS_HZ, STEP))
    return packets[:count]


@dataclass(frozen=True)
class Film:
    """What a player finds in a file: pictures with the seconds at which they are shown, and seconds of sound."""

    times_s: list[float]
    pictures: list[Rgb]
    sound_s: float
    sound_began_s: float

    @property
    def steps_ms(self) -> list[float]:
        pairs = zip(self.times_s, self.times_s[1:], strict=False)
        return [1000 * (after - before) for before, after in pairs]


def film(path: Path) -> Film:
    """Decodes all of a file, also of one that was cut off."""
    times_s: list[float] = []
    pictures: list[Rgb] = []
    samples, sound_began_s = 0, -1.0
    with av.open(str(path)) as container:
        try:
            for frame in container.decode():
                assert frame.time is not None
                if isinstance(frame, av.VideoFrame):
                    times_s.append(frame.time)
                    pictures.append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
                elif isinstance(frame, av.AudioFrame):
                    samples += frame.samples
                    sound_began_s = frame.time if sound_began_s < 0 else sound_began_s
        except av.InvalidDataError:
            pass  # a last packet that is not whole
    return Film(times_s, pictures, samples / OPUS_HZ, sound_began_s)


def roomy(path: Path) -> LimitedFile:
    return LimitedFile(path, 100 * MB, 0)
