"""Colours as photographs have them: mostly of low saturation, a few strong, and the tones of skin and hair."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

# Each row: hue range (turns), greatest saturation, value range, weight.
PHOTO = (
    (0.00, 1.00, 0.08, 0.02, 1.00, 4.0),  # neutral: walls, asphalt, paper, shadow
    (0.05, 0.12, 0.45, 0.05, 0.85, 2.5),  # earth and wood
    (0.02, 0.09, 0.50, 0.35, 0.95, 1.5),  # skin, brick, sand
    (0.18, 0.36, 0.60, 0.08, 0.65, 2.0),  # foliage
    (0.54, 0.64, 0.45, 0.40, 1.00, 2.0),  # sky, water, denim
    (0.00, 1.00, 0.95, 0.20, 1.00, 1.2),  # things made to be seen
)
PAPER = ((0.85, 1.60, 0.35, 0.75, 1.00, 3.0), (0.00, 1.00, 0.75, 0.55, 0.95, 2.0))
NIGHT = ((0.55, 0.80, 0.70, 0.01, 0.15, 5.0), (0.00, 0.16, 0.70, 0.80, 1.00, 1.0), (0.45, 0.95, 0.90, 0.60, 1.00, 1.0))


def draw_palette(rows: tuple[tuple[float, ...], ...], count: int, colours: int, generator: Generator) -> Tensor:
    """Random colours of a table such as `PHOTO`: [count,colours,3] in [0,1]."""
    device = generator.device
    table = torch.tensor(rows, device=device)
    family = torch.multinomial(table[:, 5].expand(count, -1), colours, replacement=True, generator=generator)
    draw = torch.rand(3, count, colours, generator=generator, device=device)
    low, high, most, dark, bright = table[family, :5].unbind(-1)
    return hsv_to_rgb(low + (high - low) * draw[0], most * draw[1], dark + (bright - dark) * draw[2])


def draw_skin(count: int, generator: Generator) -> Tensor:
    """Skin from deep brown to pale, along the line that melanin draws: [count,3] in [0,1]."""
    device = generator.device
    pale, deep = torch.tensor([0.94, 0.76, 0.66], device=device), torch.tensor([0.27, 0.16, 0.11], device=device)
    mix = torch.rand(count, 1, generator=generator, device=device)
    jitter = 0.03 * torch.randn(count, 3, generator=generator, device=device)
    # Between the ends skin is redder than their mean.
    red = torch.tensor([0.06, -0.01, -0.04], device=device) * 4 * mix * (1 - mix)
    return (torch.lerp(pale, deep, mix) + red + jitter).clamp(0, 1)


def draw_hair(count: int, generator: Generator) -> Tensor:
    """Hair: black, brown, blond, red or grey: [count,3] in [0,1]."""
    device = generator.device
    tones = torch.tensor(
        [(0.05, 0.04, 0.04), (0.2, 0.12, 0.08), (0.36, 0.24, 0.14), (0.72, 0.56, 0.36), (0.52, 0.26, 0.13), (0.66, 0.65, 0.64)],
        device=device,
    )
    pick = torch.multinomial(torch.tensor([4.0, 4, 2, 2, 1, 1], device=device), count, replacement=True, generator=generator)
    return (tones[pick] * (0.7 + 0.6 * torch.rand(count, 1, generator=generator, device=device))).clamp(0, 1)


def hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """HSV (hue in turns) to RGB in closed form: channel n is v - v s max(0, min(k, 4 - k, 1)), k = (n + 6h) mod 6."""
    k = torch.remainder(torch.tensor([5.0, 3.0, 1.0], device=hue.device) + hue[..., None] * 6, 6)
    ramp = torch.minimum(k, 4 - k).clamp(0, 1)
    return value[..., None] * (1 - saturation[..., None] * ramp)
