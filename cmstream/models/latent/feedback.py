"""What a stream painted last, led into what it paints next where the source stood still. Pure functions of tensors.

The state is a value: a `Memory` goes in with a frame and the next one comes out, and nobody here keeps it. Both of its halves
are blended with one weight, so the painted latent always belongs to the source latent that is remembered beside it:

    w = f exp(-(d / CHANGE)²),   source' = source + w (remembered source - source),   painted' likewise

with d the change since the remembered source. What changes slowly adds up in d until it is let through, and w < 1 makes the
result a mixture of pictures that were painted, whatever the network does: of flicker that is independent from frame to
frame, the share (1 - f) / (1 + f) of the variance is left where nothing moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

CHANGE = 0.35
"""A change of the source that lets most of the new picture through, in latents of about unit variance."""
MAX_FEEDBACK = 0.95
"""More would take seconds to forget what was painted once."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one stream, or a batch of them. float32; NaN where nothing is remembered."""

    source: Tensor  # [B,C,h,w], latents of what was painted from
    painted: Tensor  # [B,C,h,w], latents of what was painted

    def row(self, index: int) -> Memory:
        """Of one stream of the batch, in memory of its own."""
        return Memory(self.source[index : index + 1].clone(), self.painted[index : index + 1].clone())


@dataclass(frozen=True, slots=True)
class Past:
    """What the rows of a batch remember, and how much of it they want."""

    memory: Memory
    feedback: Tensor  # [B] in [0, MAX_FEEDBACK], 0 where nothing is remembered


def past_of(memories: Sequence[Memory | None], feedback: Sequence[float], latent: Tensor) -> Past:
    """The past of a batch whose source latents are `latent` [B,C,h,w]; what was painted at another size is forgotten.

    Raises ValueError for a feedback outside of 0 … MAX_FEEDBACK.
    """
    for one in feedback:
        if not 0 <= one <= MAX_FEEDBACK:
            raise ValueError(f"feedback must be 0 to {MAX_FEEDBACK}, not {one}")
    kept = [one if one is not None and one.source.shape[1:] == latent.shape[1:] else None for one in memories]
    nothing = torch.full_like(latent[:1], torch.nan, dtype=torch.float32)
    source = torch.cat([nothing if one is None else one.source.to(nothing) for one in kept])
    painted = torch.cat([nothing if one is None else one.painted.to(nothing) for one in kept])
    wanted = [0.0 if one is None else share for one, share in zip(kept, feedback, strict=True)]
    return Past(Memory(source, painted), torch.tensor(wanted, device=latent.device))


def steadied(source: Tensor, painted: Tensor, past: Past) -> Memory:
    """What to show, as `painted`, and what to remember: the same. Latents [B,C,h,w] -> float32.

    With no feedback it is `source` and `painted` to the bit, and so it is where what is remembered is no number.
    """
    source, painted = source.float(), painted.float()  # a twentieth of a small change is less than bfloat16 can add
    known = torch.isfinite(past.memory.source + past.memory.painted).all(1, keepdim=True)
    before = Memory(torch.where(known, past.memory.source, source), torch.where(known, past.memory.painted, painted))
    weight = past.feedback[:, None, None, None] * stillness(source, before.source)
    return Memory(torch.lerp(source, before.source, weight), torch.lerp(painted, before.painted, weight))


def stillness(source: Tensor, remembered: Tensor) -> Tensor:
    """1 where nothing changed, down to 0 where everything did, [B,1,h,w]. A latent pixel is judged with its eight neighbours.

    What a network paints into a pixel depends on the pixels around it; and a mean over more of them tells a change from noise.
    """
    change = (source - remembered).square().mean(1, keepdim=True)
    around = F.avg_pool2d(change, 3, stride=1, padding=1, count_include_pad=False)
    return torch.exp(-around / CHANGE**2)
