"""The atlas: periodic textures that layers are covered with, drawn anew for every batch of scenes.

Clouds and grain change a layer's brightness and have zero mean and unit variance. Patterns (stripes, checks, bricks, windows,
text) are masks in [0,1] of where a second colour, the ink, shows.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

TEXTURE_PX = 128
CLOUDS = 4
GRAINS = 10
"""The atlas' first rows are smooth, the next rough; from GRAINS on they are patterns."""
PATTERNS = 10
TEXT = GRAINS + PATTERNS - 2
"""The last two rows are written pages."""


def draw_atlas(generator: Generator) -> Tensor:
    """[GRAINS+PATTERNS,TEXTURE_PX,TEXTURE_PX], periodic in both directions."""
    noise = _noise(generator)
    return torch.cat([noise, _patterns(noise[3]), _pages(generator)])


def sheet(atlas: Tensor) -> Tensor:
    """The atlas as one tall picture with a wrapped margin around each texture, for `sample`: [1,1,T*(P+2),P+2]."""
    return F.pad(atlas[None], (1, 1, 1, 1), mode="circular").reshape(1, 1, -1, atlas.shape[-1] + 2)


def sample(sheet: Tensor, texture: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Texture `texture` [B] at `u`, `v` [B,H,W], in periods: [B,H,W]. One call for all, whatever each shows."""
    side_px = sheet.shape[-1]
    count = sheet.shape[-2] // side_px
    scale, margin = 2 * (side_px - 2) / side_px, 2 / side_px - 1
    x = (u - u.floor()) * scale + margin
    y = ((v - v.floor()) * scale + margin + 1 + 2 * texture[:, None, None]) / count - 1
    grid = torch.stack([x, y], -1).flatten(0, 1)[None]
    return F.grid_sample(sheet, grid, align_corners=False).reshape(u.shape)


def _noise(generator: Generator) -> Tensor:
    """Power-law noise from cloudy to grainy; the last three folded into veins, leaves and cells."""
    device = generator.device
    white = torch.randn(GRAINS, TEXTURE_PX, TEXTURE_PX, generator=generator, device=device)
    fy, fx = torch.fft.fftfreq(TEXTURE_PX, device=device), torch.fft.rfftfreq(TEXTURE_PX, device=device)
    frequency = torch.hypot(fy[:, None], fx[None]).clamp(min=1 / TEXTURE_PX)
    powers = [2.4, 2.0, 1.8, 1.6, 1.4, 1.1, 0.8, 1.7, 1.3, 1.3]
    power = torch.tensor(powers, device=device)[:, None, None]
    spectrum = torch.fft.rfft2(white) / frequency**power
    # What folds is band-limited below, or one fold would span the texture.
    spectrum[7:] *= 1 - torch.exp(-((frequency * 14) ** 2))
    noise = _normal(torch.fft.irfft2(spectrum, s=(TEXTURE_PX, TEXTURE_PX)))
    noise[7] = -noise[7].abs().sqrt()
    noise[8] = torch.tanh(3 * noise[8])
    noise[9] = (2 * noise[9]).sin()
    return _normal(noise)


def _normal(noise: Tensor) -> Tensor:
    return (noise - noise.mean((1, 2), keepdim=True)) / noise.std((1, 2), keepdim=True)


def _patterns(wobble: Tensor) -> Tensor:
    """Stripes, checks, dots, bricks, windows, weave, slats, scales: [8,P,P] in [0,1]."""
    axis = torch.arange(TEXTURE_PX, device=wobble.device) * (1 / TEXTURE_PX)
    y, x = torch.meshgrid(axis, axis, indexing="ij")

    def wave(phase: Tensor) -> Tensor:
        return torch.sin(2 * math.pi * phase)

    def edge(level: Tensor) -> Tensor:
        return torch.sigmoid(5 * level)

    odd = (torch.remainder(y * 8, 2) >= 1).float() * 0.5
    brick = torch.minimum(_gap(y * 8, 0.1), _gap(x * 4 + odd, 0.06))
    window = _gap(x * 8, 0.25) * _gap(y * 6, 0.3)
    weave = torch.where(wave(x * 8) * wave(y * 8) > 0, wave(x * 32), wave(y * 32))
    scales = torch.hypot(torch.remainder(x * 8 + odd, 1) - 0.5, torch.remainder(y * 8, 1)) * 1.2
    return torch.stack(
        [
            edge(wave(x * 8 + 0.05 * wobble)),
            edge(wave(x * 6) * wave(y * 6) * 2),
            edge(wave(x * 8) + wave(y * 8) - 0.9),
            1 - brick,
            window,
            edge(weave * 0.5),
            edge(wave(y * 16 + 0.03 * wobble) - 0.4),
            scales.clamp(0, 1),
        ]
    )


def _gap(phase: Tensor, joint: float) -> Tensor:
    """0 in the joint at the start of each period, 1 elsewhere, with an edge of about a texel."""
    return ((torch.remainder(phase, 1) - joint).clamp(min=0) * 12).clamp(max=1)


def _pages(generator: Generator) -> Tensor:
    """Two pages of invented letters, the second of twice the size: [2,P,P] of 0 and 1."""
    device = generator.device
    glyphs = _glyphs(24, generator)
    rows, columns = TEXTURE_PX // 12, TEXTURE_PX // 6
    letters = torch.randint(0, 24, (2, rows, columns), generator=generator, device=device)
    lengths = (0.4 + 0.8 * torch.rand(2, rows, 1, generator=generator, device=device)) * columns
    written = torch.rand(2, rows, columns, generator=generator, device=device) > 0.17
    written &= torch.arange(columns, device=device) < lengths
    page = glyphs[letters] * written[..., None, None]  # [2,rows,columns,12,6]
    page = F.pad(page.transpose(2, 3).reshape(2, rows * 12, columns * 6), (1, 1, 4, 4))
    small, large = page[:, :TEXTURE_PX, :TEXTURE_PX]
    large = large[: TEXTURE_PX // 2, : TEXTURE_PX // 2].repeat_interleave(2, 0).repeat_interleave(2, 1)
    return torch.stack([small, large])


def _glyphs(count: int, generator: Generator) -> Tensor:
    """Letters of stems, bars and diagonals in 5 x 8 texels, with the space between and below: [count,12,6]."""
    strokes = torch.zeros(8, 12, 6, device=generator.device)
    for stroke, (rows, columns) in enumerate(_STROKES):
        strokes[stroke, rows, columns] = 1
    for step in range(8):
        strokes[7, 2 + step, step * 5 // 8] = 1
    chosen = torch.rand(count, 8, generator=generator, device=generator.device) < 0.38
    chosen[torch.arange(count), torch.arange(count) % 3] = True
    return torch.einsum("gs,shw->ghw", chosen.float(), strokes).clamp(max=1)


# Stems left, middle and right, then bars at the top, the middle and the foot, and a descender.
_STROKES = (
    (slice(2, 10), slice(0, 1)),
    (slice(4, 10), slice(2, 3)),
    (slice(4, 10), slice(4, 5)),
    (slice(2, 3), slice(0, 4)),
    (slice(6, 7), slice(0, 5)),
    (slice(9, 10), slice(0, 4)),
    (slice(9, 12), slice(4, 5)),
)
