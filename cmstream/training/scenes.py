"""Dead-leaves scenes, the training pictures: occluding shapes of heavy-tailed size, rendered in batch on the given device.

Lee, Mumford & Huang 2001, "Occlusion models for natural images": such compositions share the statistics of photographs,
so nothing needs to be downloaded. A scene is first drawn as data (`Scenes`: where every layer is, its shape, colour and
texture) and only then rendered, and textures live in the layer's own coordinates: moving a layer moves all of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cmstream.training.painters.fields import blur
from cmstream.training.shapes import SHAPES, Local, Shape

ATLAS_PX = 256
ATLAS_SIZE = 12

# Hue ranges (turns), saturation and weight of what photographs show: neutral, earth and skin, foliage, sky, anything.
_FAMILIES = torch.tensor(
    [
        [0.00, 1.00, 0.10, 3.0],
        [0.03, 0.11, 0.60, 3.0],
        [0.18, 0.38, 0.55, 1.5],
        [0.54, 0.66, 0.55, 1.5],
        [0.00, 1.00, 0.95, 1.5],
    ]
)


@dataclass(frozen=True, slots=True)
class Scenes:
    """A batch of B scenes of K layers each, back to front. Lengths are fractions of the picture's side."""

    shapes: tuple[Shape, ...]  # K, shared by the batch so that a layer is one kernel
    textured: tuple[bool, ...]  # K
    centre: Tensor  # [B,K,2]
    angle: Tensor  # [B,K] radians
    radius: Tensor  # [B,K,2] along and across
    form: Tensor  # [B,K,8] in [0,1), what the shape makes of it
    colour: Tensor  # [B,K,3] in [0,1]
    shade: Tensor  # [B,K,2] change of brightness across the layer
    softness: Tensor  # [B,K] width of the edge
    texture: Tensor  # [B,K] long, which of the atlas
    texture_scale: Tensor  # [B,K,2]
    texture_gain: Tensor  # [B,K]
    atlas: Tensor  # [T,1,ATLAS_PX,ATLAS_PX], zero mean, unit variance, periodic
    backdrop: Tensor  # [B,3,2] two colours the background blends between
    gamma: Tensor  # [B]
    saturation: Tensor  # [B]
    defocus: Tensor  # [B] in [0,1]
    noise_level: Tensor  # [B]


def draw_scenes(count: int, layers: int, generator: Generator) -> Scenes:
    """`count` random scenes of `layers` layers; equal generators give equal scenes."""
    device = generator.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    palette = _palette(count, 7, generator)
    picks = torch.randint(0, 7, (count, layers), generator=generator, device=device)
    colour = palette.gather(1, picks[..., None].expand(-1, -1, 3))
    colour = (colour + 0.07 * torch.randn(colour.shape, generator=generator, device=device)).clamp(0, 1)
    # Radii of density r^-3 between the limits; mostly large at the back, else they would hide everything.
    largest, smallest = 0.3 + 0.35 * uniform(count, 1), 0.05
    radius = (smallest**-2 - uniform(count, layers) * (smallest**-2 - largest**-2)).rsqrt()
    radius = torch.where(uniform(count, 1) < 0.5, radius, largest / (1 + 9 * uniform(count, layers)))
    radius = torch.where(uniform(count, 1) < 0.7, radius.sort(1, descending=True).values, radius)
    aspect = torch.stack([torch.ones_like(radius), 0.3 + 0.7 * uniform(count, layers)], -1)
    blurred = uniform(count, layers) < 0.25
    kinds = torch.randint(0, len(SHAPES), (layers,), generator=generator, device=device).tolist()
    # Two textures in five are drawn out along the layer: fur, wood grain, brushed metal.
    along = torch.where(uniform(count, layers) < 0.4, 0.15, 1.0)
    return Scenes(
        shapes=tuple(SHAPES[kind] for kind in kinds),
        textured=tuple(bool(draw < 0.5) for draw in uniform(layers).tolist()),
        centre=uniform(count, layers, 2) * 1.2 - 0.1,
        angle=uniform(count, layers) * 2 * math.pi,
        radius=radius[..., None] * aspect,
        form=uniform(count, layers, 8),
        colour=colour,
        shade=torch.randn(count, layers, 2, generator=generator, device=device) * 0.12,
        softness=torch.where(blurred, 0.005 + 0.03 * uniform(count, layers) ** 2, 0.004),
        texture=torch.randint(0, ATLAS_SIZE, (count, layers), generator=generator, device=device),
        texture_scale=(0.5 + 3 * uniform(count, layers, 1) ** 2) * torch.stack([along, torch.ones_like(along)], -1),
        texture_gain=0.25 * uniform(count, layers) ** 1.5,
        atlas=_atlas(generator),
        backdrop=palette[:, :2].transpose(1, 2),
        gamma=0.6 + uniform(count),
        saturation=0.3 + 0.8 * uniform(count),
        defocus=(uniform(count) * 2 - 1).clamp(min=0),
        noise_level=0.025 * uniform(count) ** 2,
    )


def render(scenes: Scenes, size_px: int, generator: Generator) -> Tensor:
    """The pictures, [B,3,size_px,size_px] in [-1,1]; `generator` makes only the sensor noise."""
    axis = (torch.arange(size_px, device=scenes.angle.device) + 0.5) / size_px
    ys, xs = torch.meshgrid(axis, axis, indexing="ij")
    picture = _background(scenes, size_px)
    for index in range(len(scenes.shapes)):
        _lay(picture, scenes, index, xs, ys)
    return _expose(picture, scenes, generator) * 2 - 1


def _background(scenes: Scenes, size_px: int) -> Tensor:
    """Two colours blended by a smooth field, as a wall or sky behind: [B,3,H,W]."""
    fields = F.interpolate(scenes.atlas[scenes.texture[:, 0] % 4], size=(size_px, size_px), mode="bilinear", antialias=True)
    mix = torch.sigmoid(1.5 * fields)
    first, second = scenes.backdrop[:, :, 0, None, None], scenes.backdrop[:, :, 1, None, None]
    return torch.lerp(first, second, mix)


def _lay(picture: Tensor, scenes: Scenes, index: int, xs: Tensor, ys: Tensor) -> None:
    """Paint layer `index` of every scene over `picture`, in place."""

    def of(values: Tensor) -> Tensor:
        return values[:, index, None, None]

    dx, dy = xs - of(scenes.centre[..., 0]), ys - of(scenes.centre[..., 1])
    cos, sin = of(scenes.angle.cos()), of(scenes.angle.sin())
    along, across = scenes.radius[:, index, 0, None, None], scenes.radius[:, index, 1, None, None]
    local = Local(u=(cos * dx + sin * dy) / along, v=(cos * dy - sin * dx) / across)
    distance = scenes.shapes[index](local, scenes.form[:, index]) * across
    alpha = (0.5 - distance / of(scenes.softness)).clamp(0, 1)
    light = 1 + of(scenes.shade[..., 0]) * local.u.clamp(-2, 2) + of(scenes.shade[..., 1]) * local.v.clamp(-2, 2)
    if scenes.textured[index]:
        light = light + of(scenes.texture_gain) * _texture(scenes, index, cos * dx + sin * dy, cos * dy - sin * dx)
    paint = scenes.colour[:, index, :, None, None] * light[:, None]
    picture.lerp_(paint, alpha[:, None])


def _texture(scenes: Scenes, index: int, u: Tensor, v: Tensor) -> Tensor:
    """The layer's texture at its own coordinates `u`, `v` (fractions of the side): [B,H,W]."""
    scale = scenes.texture_scale[:, index, None, None, :]
    grid = torch.stack([u, v], -1) * scale + scenes.form[:, index, None, None, :2]
    wrapped = torch.remainder(grid, 1) * 2 - 1
    return F.grid_sample(scenes.atlas[scenes.texture[:, index]], wrapped, padding_mode="border", align_corners=False)[:, 0]


def _expose(picture: Tensor, scenes: Scenes, generator: Generator) -> Tensor:
    """What a camera does: saturation, tone curve, defocus, noise. [B,3,H,W] in [0,1]."""

    def of(values: Tensor) -> Tensor:
        return values[:, None, None, None]

    grey = picture.mean(1, keepdim=True)
    toned = torch.lerp(grey, picture, of(scenes.saturation)).clamp(1e-4, 1) ** of(scenes.gamma)
    focused = torch.lerp(toned, blur(toned, 1.2), of(scenes.defocus))
    sensor = torch.randn(picture.shape, generator=generator, device=picture.device)
    return (focused + of(scenes.noise_level) * sensor).clamp(0, 1)


def _palette(count: int, colours: int, generator: Generator) -> Tensor:
    """Colours as photographs have them, mostly of low saturation: [count,colours,3] in [0,1]."""
    device = generator.device
    families = _FAMILIES.to(device)
    family = torch.multinomial(families[:, 3].expand(count, -1), colours, replacement=True, generator=generator)
    draw = torch.rand(3, count, colours, generator=generator, device=device)
    low, high, most = (families[family, column] for column in range(3))
    hue, saturation, value = low + (high - low) * draw[0], most * draw[1], 0.03 + 0.97 * draw[2]
    # HSV to RGB in closed form: channel n is v - v s max(0, min(k, 4 - k, 1)), k = (n + 6h) mod 6.
    k = torch.remainder(torch.tensor([5.0, 3.0, 1.0], device=device) + hue[..., None] * 6, 6)
    ramp = torch.minimum(k, 4 - k).clamp(0, 1)
    return value[..., None] * (1 - saturation[..., None] * ramp)


def _atlas(generator: Generator) -> Tensor:
    """Periodic textures: power-law noise from cloudy to grainy, the last two turned into stripes."""
    device = generator.device
    white = torch.randn(ATLAS_SIZE, ATLAS_PX, ATLAS_PX, generator=generator, device=device)
    fy, fx = torch.fft.fftfreq(ATLAS_PX, device=device), torch.fft.rfftfreq(ATLAS_PX, device=device)
    frequency = torch.hypot(fy[:, None], fx[None]).clamp(min=1 / ATLAS_PX)
    power = torch.linspace(2.2, 0.4, ATLAS_SIZE, device=device)[:, None, None]
    noise: Tensor = torch.fft.irfft2(torch.fft.rfft2(white) / frequency**power, s=(ATLAS_PX, ATLAS_PX))
    noise = (noise - noise.mean((1, 2), keepdim=True)) / noise.std((1, 2), keepdim=True)
    phase = torch.arange(ATLAS_PX, device=device) * (2 * math.pi / ATLAS_PX)
    for row, periods in ((-1, 16), (-2, 32)):
        noise[row] = torch.tanh(3 * torch.sin(periods * phase + 0.5 * noise[1]))
    return noise[:, None]
