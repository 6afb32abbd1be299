"""Changes that the server tells of: of parameters that were asked for, and of its model. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cmstream.core.model_info import ModelInfo
from cmstream.v1.control_pb2 import ParametersAccepted
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


def update_of(message: ParametersAccepted) -> Update:
    """The acknowledgement as data."""
    return Update(json_of(message.parameters), message.first_frame_id)
