"""What a network may hear of a frame beside its prompt: edges to keep, and a picture to look like. Tensors, one row a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Edges:
    """What a ControlNet hears, and how much of it to keep: 0 … 2, where 0 is nothing at all."""

    map: Tensor  # [B,3,H,W] in [0,1], at the size of the frame
    scale: Tensor  # [B]


@dataclass(frozen=True, slots=True)
class Likeness:
    """What an IP-Adapter hears of pictures, and how much to follow it: 0 … 1, where 0 is nothing at all."""

    picture: Tensor  # [B,1,D], or [B,1,L,D] where the adapter hears more of a picture than one vector
    against: Tensor  # like `picture`: what classifier-free guidance leads away from
    scale: Tensor  # [B]

    def to(self, device: torch.device, dtype: torch.dtype) -> Likeness:
        """Moved; the scale keeps its precision."""
        return Likeness(self.picture.to(device, dtype), self.against.to(device, dtype), self.scale.to(device))


@dataclass(frozen=True, slots=True)
class Hints:
    """Either, both or neither."""

    edges: Edges | None = None
    likeness: Likeness | None = None

    def twice(self) -> Hints:
        """For rows that are evaluated with the negative prompt and then with the prompt: edges are kept by both."""
        edges, likeness = self.edges, self.likeness
        return Hints(
            None if edges is None else Edges(torch.cat([edges.map, edges.map]), edges.scale.repeat(2)),
            None
            if likeness is None
            else Likeness(
                torch.cat([likeness.against, likeness.picture]),
                torch.cat([likeness.against, likeness.against]),
                likeness.scale.repeat(2),
            ),
        )


def hinted_together(each: Sequence[Hints | None]) -> Hints | None:
    """Of a batch; a row without something hears nothing of it, at scale 0. None where no row hears anything."""
    edges = _edges([None if one is None else one.edges for one in each])
    likeness = _likenesses([None if one is None else one.likeness for one in each])
    return None if edges is None and likeness is None else Hints(edges, likeness)


def _edges(each: Sequence[Edges | None]) -> Edges | None:
    first = next((one for one in each if one is not None), None)
    if first is None:
        return None
    none = Edges(torch.zeros_like(first.map[:1]), torch.zeros_like(first.scale[:1]))
    found = [one or none for one in each]
    return Edges(torch.cat([one.map for one in found]), torch.cat([one.scale for one in found]))


def _likenesses(each: Sequence[Likeness | None]) -> Likeness | None:
    first = next((one for one in each if one is not None), None)
    if first is None:
        return None
    nothing = torch.zeros_like(first.picture[:1])
    none = Likeness(nothing, nothing, torch.zeros_like(first.scale[:1]))
    found = [one or none for one in each]
    return Likeness(
        torch.cat([one.picture for one in found]),
        torch.cat([one.against for one in found]),
        torch.cat([one.scale for one in found]),
    )
