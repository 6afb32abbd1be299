"""What every conversation is given, and the limits that clients are told."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

from cmstream.core.clock import Clock
from cmstream.core.frame import MAX_SIDE_PX, MIN_SIDE_PX
from cmstream.core.metrics import Metrics
from cmstream.session.registry import Registry
from cmstream.session.swaps import Swaps
from cmstream.settings import Settings
from cmstream.v1.control_pb2 import Limits
from cmstream.wire.frame import MAX_FRAME_BYTES


@dataclass(frozen=True, slots=True)
class Services:
    """What every call is given."""

    registry: Registry
    swaps: Swaps
    metrics: Metrics
    clock: Clock
    codecs: Executor
    limits: Limits
    stall_timeout_s: float
    """A client that takes nothing for so long is given up."""


def limits_of(settings: Settings) -> Limits:
    """The limits that this server tells its clients."""
    return Limits(
        window_frames=settings.grpc.window_frames,
        max_frame_bytes=MAX_FRAME_BYTES,
        min_side_px=MIN_SIDE_PX,
        max_side_px=MAX_SIDE_PX,
        working_size_px=settings.engine.size_px,
        max_streams=settings.streams.max_streams,
    )
