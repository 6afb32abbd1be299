"""One change of the model, from asking for it to its outcome. Pure data, written by `Swaps` on the event loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """Where a swap stands. Until `FINISHED`, the model before styles every frame; after `FAILED` or `CANCELLED`, it goes on."""

    LOADING = "loading"
    MOVING = "moving"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Swap:
    """`doing` says what is under way, `reason` why it failed and what to do, or that somebody called it off.

    `first_frame_ids` has, once finished, every stream's first frame that the new model styles.
    """

    model: str
    phase: Phase = Phase.LOADING
    doing: str = "loading the model"
    reason: str = ""
    first_frame_ids: Mapping[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether nothing is under way any more."""
        return self.phase not in (Phase.LOADING, Phase.MOVING)

    def as_json(self) -> dict[str, Any]:
        """As the JSON API shows it."""
        return {
            "model": self.model,
            "state": self.phase.value,
            "doing": self.doing,
            "reason": self.reason,
            "first_frame_ids": dict(self.first_frame_ids),
        }
