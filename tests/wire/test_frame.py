"""cmstream/wire/frame.py (its checks are tested through the server: tests/transport/grpc/test_refusals.py)"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from cmstream.core.errors import InvalidFrame
from cmstream.core.frame import Drop, DropReason
from cmstream.core.trace import Stage, Trace
from cmstream.v1.frame_pb2 import FrameDropped, SourceFrame, StageTiming, StyledFrame, TimeBase
from cmstream.wire.frame import (
    MAX_FRAME_BYTES,
    drop_message,
    drop_of,
    raw_rgb,
    stages_ms_of,
    time_base_message,
    time_base_of,
    timings_of,
)


def test_every_stage_and_reason_of_core_has_its_number_on_the_wire() -> None:
    trace = Trace(0)
    for at_ms, stage in enumerate(Stage, start=1):
        trace = trace.mark(stage, at_ms * 1_000_000)
    total_us, timings = timings_of(trace)
    assert total_us == len(Stage) * 1000
    assert stages_ms_of(StyledFrame(stage_timings=timings)) == dict.fromkeys(Stage, 1.0)
    for reason in DropReason:
        for by in (None, 0, 9):
            assert drop_of(FrameDropped.FromString(drop_message(Drop(3, reason, by)).SerializeToString())) == Drop(
                3, reason, by
            )


def test_rounded_durations_still_sum_to_the_rounded_total() -> None:
    trace = Trace(10_999)
    for index in range(7):
        trace = trace.mark(list(Stage)[index], 10_999 + (index + 1) * 1_499)
    total_us, timings = timings_of(trace)
    assert sum(timing.duration_us for timing in timings) == total_us == 7 * 1_499 // 1000


def test_a_stage_of_a_later_version_is_left_out() -> None:
    later = StyledFrame(stage_timings=[StageTiming(stage=99, duration_us=5), StageTiming(stage=4, duration_us=5)])  # type: ignore[arg-type]
    assert stages_ms_of(later) == {Stage.INFER: 0.005}


def test_time_bases_travel_exactly_and_have_a_default() -> None:
    assert time_base_of(SourceFrame()) == Fraction(1, 90_000)
    assert time_base_of(SourceFrame(time_base=time_base_message(Fraction(1001, 30_000)))) == Fraction(1001, 30_000)
    assert time_base_of(SourceFrame(time_base=TimeBase(numerator=2, denominator=60))) == Fraction(1, 30)
    for bad in (Fraction(0), Fraction(-1, 3), Fraction(1, 2**33)):
        with pytest.raises(InvalidFrame, match="time base"):
            time_base_message(bad)


def test_raw_bytes_become_a_picture_without_a_copy_and_cannot_be_written_to() -> None:
    rgb = raw_rgb(SourceFrame(width=2, height=1), memoryview(bytes([1, 2, 3, 4, 5, 6])))
    assert rgb.tolist() == [[[1, 2, 3], [4, 5, 6]]]
    assert not rgb.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        rgb[0, 0, 0] = np.uint8(9)


def test_full_hd_fits_the_stated_limit() -> None:
    assert 1920 * 1080 * 3 <= MAX_FRAME_BYTES < 2**23
