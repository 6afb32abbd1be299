"""What a server offers, as data."""

from __future__ import annotations

from dataclasses import dataclass

from cmstream.core.model_info import Listing, ModelInfo
from cmstream.v1.control_pb2 import Limits
from cmstream.v1.style_service_pb2 import GetCapabilitiesResponse
from cmstream.wire.control import listing_of, model_of


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Limits of one stream. `window_frames`: how many frames to have unanswered at once."""

    window_frames: int
    max_frame_bytes: int
    min_side_px: int
    max_side_px: int
    working_size_px: int
    max_streams: int


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The server's version, its models with their parameters, its limits, and the models that it may be changed to."""

    server_version: str
    models: tuple[ModelInfo, ...]
    limits: StreamLimits
    available_models: tuple[Listing, ...] = ()


def limits_of(message: Limits) -> StreamLimits:
    """The limits as data."""
    return StreamLimits(
        message.window_frames,
        message.max_frame_bytes,
        message.min_side_px,
        message.max_side_px,
        message.working_size_px,
        message.max_streams,
    )


def capabilities_of(message: GetCapabilitiesResponse) -> Capabilities:
    """The answer of GetCapabilities as data."""
    models = tuple(model_of(model) for model in message.models)
    available = tuple(listing_of(model) for model in message.available_models)
    return Capabilities(message.server_version, models, limits_of(message.limits), available)
