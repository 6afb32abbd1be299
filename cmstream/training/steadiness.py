"""Does it keep still when the camera does, and do its strokes move with what moves? Two frames, and nothing estimated.

Read both figures beside the painter's own. Pure functions; pictures are [B,3,H,W] in [-1,1].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from cmstream.training.contestants import Paint
from cmstream.training.motion import warped
from cmstream.training.sharpness import rms

SENSOR_NOISE = 0.02
"""Standard deviation of the noise of a still camera, of pictures in [-1,1]: two and a half levels of 255."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A clip of two frames without sensor noise, and the noise that moves with them."""

    before: Tensor  # [B,3,S,S]
    after: Tensor  # [B,3,S,S]
    noise: tuple[Tensor, Tensor]
    """Of either frame, [B,3,S,S] ~ N(0,1): the second carried along from the first."""
    flow_px: Tensor  # [B,2,S,S], see `motion.Clip`
    seen: Tensor  # [B,S,S] bool


def still_frames(picture: Tensor, count: int) -> list[Tensor]:
    """`count` frames of a still camera: `picture` with sensor noise of its own on each; always the same."""
    return [(picture + SENSOR_NOISE * _noise(picture, 101 + frame)).clamp(-1, 1) for frame in range(count)]


def flicker(paint: Paint, picture: Tensor, noise: Tensor) -> float:
    """Change of the output from one frame of a still camera to the next, over the change of the source.

    The frames differ in sensor noise only and are painted with the same `noise`.
    """
    frames = still_frames(picture, 2)
    first, second = (paint(frame, noise) for frame in frames)
    return rms(first - second) / rms(frames[0] - frames[1])


def warping_error(paint: Paint, clip: Moved) -> float:
    """Root mean square difference of the second output from the first warped along the exact flow, where it was seen.

    Lai et al. 2018, "Learning Blind Video Temporal Consistency", eq. 10, with known flow and occlusion, and the root.
    """
    before, after = (paint(frame, noise) for frame, noise in zip((clip.before, clip.after), clip.noise, strict=True))
    seen = clip.seen[:, None].float()
    square = (after - warped(before, clip.flow_px)).square().mean(1, keepdim=True)
    return float(torch.sqrt((square * seen).sum() / seen.sum().clamp(min=1)))


def _noise(like: Tensor, seed: int) -> Tensor:
    return torch.randn(like.shape, generator=Generator().manual_seed(seed))
