"""What a stream answers to a change of its parameters. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

from cmstream.core.params import Params


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted change: the whole state, and the first frame id it applies to (ids at or above it)."""

    params: Params
    first_frame_id: int
