"""Changes that the server tells of: of parameters that were asked for, and of its model. Pure data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cmstream.core.errors import Unavailable
from cmstream.core.model_info import ModelInfo
from cmstream.v1.control_pb2 import ParametersAccepted
from cmstream.v1.style_service_pb2 import SwapModelResponse
from cmstream.wire.control import model_of
from cmstream.wire.values import json_of


@dataclass(frozen=True, slots=True)
class Update:
    """The whole accepted state, and the first frame id it applies to: to that and all above, to none below."""

    params: Mapping[str, Any]
    first_frame_id: int


@dataclass(frozen=True, slots=True)
class ModelChange:
    """Another model, the whole state in its words, and the first frame id that it styles."""

    model: ModelInfo
    params: Mapping[str, Any]
    first_frame_id: int


@dataclass(frozen=True, slots=True)
class ModelSwap:
    """The server's new model, and by stream the first frame id that it styles."""

    model: ModelInfo
    first_frame_ids: Mapping[str, int]


def swap_of(response: SwapModelResponse, on_doing: Callable[[str], None] | None) -> ModelSwap | None:
    """The outcome of a change of model as data; None where it is under way, of which `on_doing` hears then."""
    if response.HasField("swapped"):
        return ModelSwap(model_of(response.swapped.model), dict(response.swapped.first_frame_ids))
    if on_doing is not None:
        on_doing(response.doing)
    return None


def no_outcome() -> Unavailable:
    """What is raised where a change of model ends without one."""
    return Unavailable("the server ended the call without an outcome; its capabilities say which model serves")


def update_of(message: ParametersAccepted) -> Update:
    """The acknowledgement as data."""
    return Update(json_of(message.parameters), message.first_frame_id)
