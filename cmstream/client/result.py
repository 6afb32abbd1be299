"""A styled frame as a client gets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from cmstream.core.errors import InvalidFrame
from cmstream.core.frame import Rgb
from cmstream.core.picture import decode_picture
from cmstream.core.trace import Stage
from cmstream.v1.frame_pb2 import PIXEL_FORMAT_JPEG, PIXEL_FORMAT_RGB24, StyledFrame
from cmstream.wire.frame import US_PER_MS, stages_ms_of, time_base_of
from cmstream.wire.values import json_of


@dataclass(frozen=True, slots=True)
class Result:
    """The styled twin of source frame `frame_id`, at the server's working resolution.

    `params` are those that made it; `stages_ms` say where the server's `total_ms` went; `round_trip_ms` is from sending
    the source frame to receiving this. `repeat_of` is set where nothing moved and nothing was styled: the earlier frame
    whose picture this is once more.
    """

    frame_id: int
    rgb: Rgb
    pts: int
    time_base: Fraction
    params: Mapping[str, Any]
    stages_ms: Mapping[Stage, float]
    total_ms: float
    round_trip_ms: float
    repeat_of: int | None = None


def result_of(message: StyledFrame, data: memoryview, round_trip_ms: float) -> Result:
    """The message and its picture's `data` as one; blocks while a JPEG is decoded.

    Raises InvalidFrame if the server sent what it must not.
    """
    return Result(
        message.frame_id,
        _rgb(message, data),
        message.pts,
        time_base_of(message),
        json_of(message.parameters),
        stages_ms_of(message),
        message.total_us / US_PER_MS,
        round_trip_ms,
        message.repeat_of if message.HasField("repeat_of") else None,
    )


def _rgb(message: StyledFrame, data: memoryview) -> Rgb:
    if message.pixel_format == PIXEL_FORMAT_JPEG:
        return decode_picture(bytes(data))
    if message.pixel_format != PIXEL_FORMAT_RGB24 or len(data) != message.width * message.height * 3:
        raise InvalidFrame(f"the server sent frame {message.frame_id} in a format that this client does not know")
    return np.frombuffer(data, np.uint8).reshape(message.height, message.width, 3)
