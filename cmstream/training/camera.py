"""What a webcam does to a scene: saturation, tone curve, defocus, sensor noise, compression. Pure functions of tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cmstream.training.painters.fields import blur

BLOCK_PX = 8

# ITU-T T.81 (JPEG), annex K: the luminance table, at quality 50, in steps of 1/255.
_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
# RGB to YCbCr (ITU-R BT.601), chroma around zero.
_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera for each of B scenes."""

    gamma: Tensor  # [B]
    saturation: Tensor  # [B]
    tint: Tensor  # [B,3], white balance, about 1
    defocus: Tensor  # [B] in [0,1]
    noise_level: Tensor  # [B], 0: none
    compression: Tensor  # [B] quantiser relative to JPEG quality 50, 0: none


def draw_cameras(count: int, generator: Generator) -> Camera:
    """Random cameras; half of them do not compress, a quarter is free of noise."""
    device = generator.device
    draw = torch.rand(7, count, generator=generator, device=device)
    level = (draw[3] * 4 / 3 - 1 / 3).clamp(min=0)
    return Camera(
        gamma=0.65 + 0.75 * draw[0],
        saturation=0.35 + 0.8 * draw[1],
        tint=1 + 0.05 * torch.randn(count, 3, generator=generator, device=device).clamp(-2, 2),
        defocus=(draw[2] * 2 - 1).clamp(min=0),
        noise_level=0.05 * level**1.5,
        compression=torch.where(draw[4] < 0.5, 0.0, torch.exp(math.log(0.15) + (math.log(1.6 / 0.15)) * draw[5])),
    )


def develop(light: Tensor, camera: Camera) -> Tensor:
    """The picture of `light` [B,3,H,W] that a camera without noise and compression takes, in [0,1]."""
    grey = light.mean(1, keepdim=True)
    toned = torch.lerp(grey, light * camera.tint[:, :, None, None], _of(camera.saturation))
    toned = toned.clamp(1e-4, 1) ** _of(camera.gamma)
    return torch.lerp(toned, blur(toned, 1.2), _of(camera.defocus))


def expose(clean: Tensor, camera: Camera, generator: Generator) -> Tensor:
    """`clean` [B,3,H,W] in [0,1] as the camera really gives it, in [0,1]; `generator` makes the sensor noise."""
    noisy = clean + _of(camera.noise_level) * sensor_noise(clean, generator)
    return compress(noisy.clamp(0, 1), camera.compression)


def sensor_noise(picture: Tensor, generator: Generator) -> Tensor:
    """Noise of about unit variance as it leaves a webcam: grain in luma, blotches in chroma, most in mid tones. [B,3,H,W]."""
    count, _, height, width = picture.shape
    device = picture.device
    luma = torch.randn(count, 1, height, width, generator=generator, device=device)
    # Demosaicing and denoising leave neighbours correlated.
    luma = luma * 0.8 + 0.6 * luma.roll(1, 3)
    half = (count, 2, (height + 1) // 2, (width + 1) // 2)
    chroma = F.interpolate(torch.randn(half, generator=generator, device=device), scale_factor=2.0)[..., :height, :width]
    red, blue = chroma.unbind(1)
    colour = torch.stack([red, -0.5 * red - 0.2 * blue, blue], 1) * 0.5
    shot = 0.5 + picture.mean(1, keepdim=True).clamp(0, 1).sqrt()
    return (luma + colour) * shot


def compress(picture: Tensor, strength: Tensor) -> Tensor:
    """What quantising the cosine transform of 8 x 8 blocks leaves of `picture` [B,3,H,W] in [0,1].

    `strength` [B] scales JPEG's table; scenes where it is 0 are returned as they are. Chroma is quantised twice as hard.
    """
    height, width = picture.shape[2:]
    padded = F.pad(picture, (0, -width % BLOCK_PX, 0, -height % BLOCK_PX), "replicate")
    device = picture.device
    to_ycc, cosines = torch.tensor(_YCC, device=device), _cosines(device)
    # Both transforms in one product: [B,3,h,8,w,8] -> [B,c,h,w,8,8].
    count, channels, tall, wide = padded.shape
    blocks = padded.view(count, channels, tall // BLOCK_PX, BLOCK_PX, wide // BLOCK_PX, BLOCK_PX).transpose(3, 4)
    ycc = torch.einsum("cd,bdhwyx->bchwyx", to_ycc, blocks)
    spectrum = cosines @ ycc @ cosines.T
    weight = torch.tensor([1.0, 2.0, 2.0], device=device)
    table = torch.tensor(_TABLE, device=device, dtype=torch.float32) / 255
    step = (strength.clamp(min=1e-3)[:, None, None, None, None, None] * weight[:, None, None, None, None]) * table
    coded = cosines.T @ ((spectrum / step).round() * step) @ cosines
    rgb = torch.einsum("cd,bdhwyx->bchwyx", torch.linalg.inv(to_ycc), coded)
    joined = rgb.transpose(3, 4).flatten(4, 5).flatten(2, 3)[..., :height, :width]
    return torch.where(_of(strength) > 0, joined, picture).clamp(0, 1)


def _cosines(device: torch.device) -> Tensor:
    """The orthonormal DCT-II: [8,8]."""
    order = torch.arange(BLOCK_PX, device=device, dtype=torch.float32)
    basis = torch.cos(math.pi / BLOCK_PX * (order + 0.5) * order[:, None]) * math.sqrt(2 / BLOCK_PX)
    basis[0] *= math.sqrt(0.5)
    return basis


def _of(values: Tensor) -> Tensor:
    return values[:, None, None, None]
