"""H.264 on an NVIDIA GPU, and whether it works here. PyAV lists the encoder on every machine, so only encoding tells.

Datacentre GPUs like the H100, H200 and A100 have no encoder at all.
"""

from __future__ import annotations

import fractions
from typing import Any, Literal

import av

from cmstream.core.errors import ConfigurationError
from cmstream.transport.rtc.encoders import LowLatencyH264Encoder, Opener, live_h264, open_x264

PROBE_PX, PROBE_BPS = 256, 1_000_000
FORCED = 2  # the frame of the probe that is asked to be a keyframe

EncoderName = Literal["auto", "x264", "nvenc"]


def open_nvenc(width_px: int, height_px: int, bps: int) -> Any:
    """NVENC for live video, for the rates that `open_x264` is opened for. Raises av.FFmpegError or ValueError without one."""
    options = {
        "preset": "p3",
        "tune": "ull",  # ultra low latency
        "rc": "cbr",
        "zerolatency": "1",
        "delay": "0",
        "forced-idr": "1",  # else a keyframe that is asked for is no IDR, and a viewer cannot begin there
        "profile": "baseline",
    }
    codec = live_h264("h264_nvenc", width_px, height_px, bps, options)
    codec.open()
    return codec


def nvenc_problem(opener: Opener = open_nvenc) -> str | None:
    """Encode some frames as they are encoded for viewers. Returns why that does not work here, None when it does."""
    encoder = LowLatencyH264Encoder(PROBE_BPS, [opener])
    try:
        kinds = [_kinds(encoder, index) for index in range(FORCED + 2)]
    except (av.FFmpegError, ValueError) as error:
        return str(error).split("; ")[0]
    if not all(kinds):
        return "it holds frames back"
    if [5 in kind for kind in kinds] != [index in (0, FORCED) for index in range(len(kinds))]:
        return "it makes no keyframe when one is asked for"
    return None


def h264_openers(wanted: EncoderName) -> list[Opener]:
    """Who encodes H.264 here, best first. Raises ConfigurationError where NVENC is demanded and does not work."""
    if wanted == "x264":
        return [open_x264]
    problem = nvenc_problem()
    if problem is None:
        return [open_nvenc, open_x264]
    if wanted == "nvenc":
        raise ConfigurationError(f"rtc.encoder is nvenc, which does not work here ({problem}); set it to auto or x264")
    return [open_x264]


def _kinds(encoder: LowLatencyH264Encoder, index: int) -> set[int]:
    """The types of the NAL units of a grey frame (H.264, 7.4.1)."""
    frame = av.VideoFrame(PROBE_PX, PROBE_PX, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([96 + index]) * plane.buffer_size)
    frame.pts, frame.time_base = index * 3000, fractions.Fraction(1, 90_000)
    return {unit[0] & 31 for unit in encoder._encode_frame(frame, index == FORCED)}
