"""What a painter is: S(src; z), the teacher of a style."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Painter(Protocol):
    """A random painting y = S(src; z) whose whole randomness is the field z.

    Deterministic: the same source and the same z give the same painting. The model is trained with this very z as its
    noise (coupled noise), so a painter must depend on z locally: a stroke at a pixel comes from the z around it. And the
    model is a convolution, so a painter must be one too in kind: no lattice fixed to the canvas, no coordinates.
    """

    @property
    def name(self) -> str:
        """The style's name as users write it."""
        ...

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """`src` [B,3,H,W] in [-1,1] and `noise` [B,3,H,W] ~ N(0,1) give the painting, [B,3,H,W] in [-1,1].

        `scale` in [0.5, 2] multiplies the size of strokes, dots and lines. Sides are at least 64 px.
        """
        ...
