"""Frames on the wire. Everything that comes in is checked here before anybody looks at its bytes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from google.protobuf.struct_pb2 import Struct

from cmstream.core.errors import InvalidFrame
from cmstream.core.frame import Drop, DropReason, Rgb, StyledFrame, check_size
from cmstream.core.picture import decode_picture
from cmstream.core.picture_file import read_header
from cmstream.core.trace import Stage, Trace
from cmstream.v1 import frame_pb2 as pb
from cmstream.wire.errors import BadFrameField

MAX_FRAME_BYTES = 3 * 2**21  # 2 Mpixel raw, which holds 1920×1080; larger sources travel as JPEG
MAX_MESSAGE_BYTES = MAX_FRAME_BYTES + 2**16
DEFAULT_TIME_BASE = Fraction(1, 90_000)
MAX_FRAME_ID = 2**63 - 1
US_PER_MS = 1000

PIXEL_FORMATS = (pb.PIXEL_FORMAT_RGB24, pb.PIXEL_FORMAT_JPEG)

_STAGES = {stage: pb.Stage.Value(f"STAGE_{stage.name}") for stage in Stage}
_STAGES_BACK = {value: stage for stage, value in _STAGES.items()}
_REASONS = {reason: pb.DropReason.Value(f"DROP_REASON_{reason.name}") for reason in DropReason}
_REASONS_BACK = {value: reason for reason, value in _REASONS.items()}


def check_source(frame: pb.SourceFrame, data: memoryview) -> None:
    """Everything that can be said in no time of a source frame and its `data`. Raises InvalidFrame naming the field."""
    if frame.frame_id > MAX_FRAME_ID:
        raise BadFrameField("frame.frame_id", f"must be at most {MAX_FRAME_ID}")
    if frame.HasField("time_base") and not (frame.time_base.numerator and frame.time_base.denominator):
        raise BadFrameField("frame.time_base", "numerator and denominator must be at least 1")
    if len(data) > MAX_FRAME_BYTES:
        raise BadFrameField("frame.data", f"{len(data)} bytes are more than {MAX_FRAME_BYTES}; send JPEG or smaller frames")
    if frame.pixel_format == pb.PIXEL_FORMAT_RGB24:
        _check_raw(frame, data)
    elif frame.pixel_format != pb.PIXEL_FORMAT_JPEG:
        raise BadFrameField("frame.pixel_format", f"must be RGB24 (1) or JPEG (2), not {frame.pixel_format}")


def raw_rgb(frame: pb.SourceFrame, data: memoryview) -> Rgb:
    """[H,W,3] uint8, a view of the checked data of an RGB24 frame."""
    return np.frombuffer(data, np.uint8).reshape(frame.height, frame.width, 3)


def jpeg_rgb(frame: pb.SourceFrame, data: memoryview) -> Rgb:
    """[H,W,3] uint8 of the checked data of a JPEG frame. Blocking. Raises InvalidFrame."""
    file = bytes(data)
    _check_jpeg(frame, file)
    return decode_picture(file)


def time_base_of(frame: pb.SourceFrame | pb.StyledFrame) -> Fraction:
    """The frame's time base, or the default where it has none."""
    if not frame.HasField("time_base"):
        return DEFAULT_TIME_BASE
    return Fraction(frame.time_base.numerator, frame.time_base.denominator)


def time_base_message(time_base: Fraction) -> pb.TimeBase:
    """The time base as a message. Raises InvalidFrame if it is not positive or a part does not fit 32 bits."""
    if not 0 < time_base.numerator < 2**32 or not time_base.denominator < 2**32:
        raise InvalidFrame(f"a time base must be positive, in terms below 2^32, not {time_base}")
    return pb.TimeBase(numerator=time_base.numerator, denominator=time_base.denominator)


def styled_head(
    styled: StyledFrame, trace: Trace, pixel_format: pb.PixelFormat.ValueType, capture_time_us: int, parameters: Struct
) -> pb.StyledFrame:
    """A result without its data (see wire.envelope); `trace` ends with the last stage to be told of."""
    height_px, width_px = styled.rgb.shape[:2]
    total_us, timings = timings_of(trace)
    return pb.StyledFrame(
        frame_id=styled.frame_id,
        pixel_format=pixel_format,
        width=width_px,
        height=height_px,
        pts=styled.pts,
        time_base=time_base_message(styled.time_base),
        capture_time_us=capture_time_us,
        parameters=parameters,
        stage_timings=timings,
        total_us=total_us,
        repeat_of=styled.repeat_of,
    )


def timings_of(trace: Trace) -> tuple[int, list[pb.StageTiming]]:
    """(total, durations) in µs. Rounded as points in time, not as durations, so that they sum to the total."""
    timings: dict[Stage, int] = {}
    before_us = 0
    for stage, at_ns in trace.marks:
        at_us = max(before_us, (at_ns - trace.received_ns) // US_PER_MS)
        timings[stage] = timings.get(stage, 0) + at_us - before_us
        before_us = at_us
    return before_us, [pb.StageTiming(stage=_STAGES[stage], duration_us=took_us) for stage, took_us in timings.items()]


def stages_ms_of(frame: pb.StyledFrame) -> dict[Stage, float]:
    """Duration of every stage in ms; stages that this version does not know are left out."""
    known = ((_STAGES_BACK.get(timing.stage), timing.duration_us) for timing in frame.stage_timings)
    return {stage: took_us / US_PER_MS for stage, took_us in known if stage is not None}


def drop_message(drop: Drop) -> pb.FrameDropped:
    """A drop notice."""
    return pb.FrameDropped(frame_id=drop.frame_id, reason=_REASONS[drop.reason], superseded_by=drop.superseded_by)


def drop_of(message: pb.FrameDropped) -> Drop:
    """A drop notice as data; a reason that this version does not know reads as closed."""
    by = message.superseded_by if message.HasField("superseded_by") else None
    return Drop(message.frame_id, _REASONS_BACK.get(message.reason, DropReason.CLOSED), by)


def _check_raw(frame: pb.SourceFrame, data: memoryview) -> None:
    try:
        check_size(frame.width, frame.height)
    except InvalidFrame as error:
        raise BadFrameField("frame.width", str(error)) from None
    expected = frame.width * frame.height * 3
    if len(data) != expected:
        raise BadFrameField("frame.data", f"{len(data)} bytes; RGB24 of {frame.width}×{frame.height} px has exactly {expected}")


def _check_jpeg(frame: pb.SourceFrame, data: bytes) -> None:
    header = read_header(data)
    if header.format != "jpeg":
        raise BadFrameField("frame.data", f"must be a JPEG file, not {header.format.upper()}")
    for name, said, true in (("width", frame.width, header.width_px), ("height", frame.height, header.height_px)):
        if said not in (0, true):
            raise BadFrameField(f"frame.{name}", f"is {said}, but the JPEG says {true}; leave it 0 or make them agree")
