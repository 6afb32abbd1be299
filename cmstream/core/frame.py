"""Frames: a source frame as a transport decoded it, and the styled frame that comes back. Pure data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cmstream.core.errors import InvalidFrame
from cmstream.core.trace import Trace

if TYPE_CHECKING:  # parameters may be pictures, whose check knows the sizes below
    from cmstream.core.params import Params

Rgb: TypeAlias = NDArray[np.uint8]  # [H,W,3] RGB, C-contiguous; whoever receives one must not write to it

MIN_SIDE_PX = 16
MAX_SIDE_PX = 4096


class DropReason(StrEnum):
    """Why a frame was not delivered. Every drop is counted under exactly one of these."""

    SUPERSEDED = "superseded"  # a newer source frame took its place in the mailbox
    SLOW_SINK = "slow_sink"  # a newer styled frame took its place before the viewer was ready
    ENGINE_FAILED = "engine_failed"
    LATE = "late"  # it waited for the engine longer than its latency budget
    CLOSED = "closed"  # its stream closed or drained before it was styled
    UNWATCHED = "unwatched"  # nobody viewed the stream, so it was not styled


@dataclass(frozen=True, slots=True)
class Frame:
    """One source frame. `frame_id` strictly increases within a stream; `pts` counts in `time_base`."""

    frame_id: int
    rgb: Rgb
    pts: int
    time_base: Fraction
    trace: Trace


@dataclass(frozen=True, slots=True)
class StyledFrame:
    """The styled twin of the source frame `frame_id`, at the working resolution, with the parameters that made it."""

    frame_id: int
    rgb: Rgb
    pts: int
    time_base: Fraction
    params: Params
    trace: Trace
    repeat_of: int | None = None
    """Where nothing had changed: the frame whose picture this is once more."""


@dataclass(frozen=True, slots=True)
class Drop:
    """A frame that will not be delivered; `superseded_by` is the id of the newer frame, where there is one."""

    frame_id: int
    reason: DropReason
    superseded_by: int | None = None


OnDrop: TypeAlias = Callable[[Drop], None]
"""Who wants to hear of every frame that is not delivered."""


def check_rgb(rgb: Rgb) -> Rgb:
    """`rgb` itself if it is [H,W,3] uint8 with sides in range. Raises InvalidFrame."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise InvalidFrame(f"a frame must be [height, width, 3] uint8 RGB, not {list(rgb.shape)} {rgb.dtype}")
    check_size(rgb.shape[1], rgb.shape[0])
    return np.ascontiguousarray(rgb)


def check_size(width_px: int, height_px: int) -> None:
    """Raises InvalidFrame unless both sides are in [MIN_SIDE_PX, MAX_SIDE_PX]."""
    if not (MIN_SIDE_PX <= width_px <= MAX_SIDE_PX and MIN_SIDE_PX <= height_px <= MAX_SIDE_PX):
        raise InvalidFrame(
            f"a frame of {width_px}×{height_px} px is out of bounds; each side must be {MIN_SIDE_PX} to {MAX_SIDE_PX} px"
        )
