"""A run of 1 to 8 evaluations as numbers: every sampler is a table, one row per evaluation. Pure functions, double precision.

All of them work on x = a z + b n with a² + b² = 1 (z the latent, n normal noise), so that rows of different samplers,
strengths and steps share one batch. Euler's own x̂ = z + σ n is the same divided by √(1+σ²).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from cmstream.models.latent.family import Family, Sampler, Strengths

MAX_STEPS = 8
SCM_TOP = 1.57080
"""The greatest angle of SANA-Sprint, as its pipeline rounds π/2."""
LCM_SIGMA_DATA = 0.5
TRAILING = frozenset({Sampler.EULER, Sampler.ANCESTRAL, Sampler.DDIM})
"""Those whose timesteps are in equal steps down from that of strength."""
EXACT = 1e-9
"""So that a strength such as 0.7, which binary cannot hold, does not lose a step of the grid."""


@dataclass(frozen=True, slots=True)
class Step:
    """One evaluation at x = `signal` z + `noise` n, and where it leads:

    x0 from the prediction, y = `skip` x + `out` x0, next x = `to_y` y + `to_eps` ε + `to_noise` n' with fresh n'.
    """

    timestep: float
    """As the network hears it."""
    signal: float
    noise: float
    skip: float = 0.0
    out: float = 1.0
    to_y: float = 1.0
    to_eps: float = 0.0
    to_noise: float = 0.0


Plan = tuple[Step, ...]


def plan(family: Family, steps: int, strength: float, eta: float | None = None) -> Plan:
    """`steps` evaluations (1…8) from the noise level of `strength` (0…1) down; empty when there is no noise to remove.

    `eta` in place of the family's own, for TCD, which heeds it between evaluations.
    Where diffusers' pipeline can do it, this is what it does with n steps of which `strength` n = `steps` remain.
    """
    if not 1 <= steps <= MAX_STEPS:
        raise ValueError(f"steps must be 1 to {MAX_STEPS}, not {steps}")
    if family.sampler is Sampler.SCM:
        return _scm(steps, strength)
    if eta is not None:
        family = replace(family, eta=eta)
    times = timesteps(family, steps, strength)
    return tuple(_step(family, times, index) for index in range(len(times)))


def timesteps(family: Family, steps: int, strength: float) -> tuple[int, ...]:
    """Descending, at most `steps` of them: a low strength has no room for many different ones, nor has a short grid."""
    if family.grid:
        known = len(family.grid)
        chosen = [family.grid[known * index // steps] for index in range(steps)] if steps < known else family.grid
        found = [round(round((t + 1) * strength, 9)) - 1 for t in chosen]
    elif family.sampler in TRAILING:
        top = (family.top_timestep + 1) * strength
        found = [round(round(top * (1 - index / steps), 9)) - 1 for index in range(steps)]  # halves to even, as numpy
    else:
        found = [_on_grid(family, steps, strength, index) for index in range(steps)]
    return tuple(dict.fromkeys(t for t in found if t >= 0))


def _on_grid(family: Family, steps: int, strength: float, index: int) -> int:
    """Timestep `index` of `steps`, on the grid of `original_steps` that LCM and TCD were distilled on."""
    grid, spacing = family.original_steps, (family.top_timestep + 1) / family.original_steps
    if family.strengths is Strengths.SHORTENED:
        length = int(grid * strength + EXACT)
        return round(spacing * (length - math.floor(length * index / steps + EXACT))) - 1
    begun = 1 - strength + strength * index / steps
    return round(spacing * (grid - math.floor(grid * begun + EXACT))) - 1


def _step(family: Family, times: tuple[int, ...], index: int) -> Step:
    time = times[index]
    following = times[index + 1] if index + 1 < len(times) else None
    alpha = family.alphas[time]
    step = Step(time, math.sqrt(alpha), math.sqrt(1 - alpha))
    match family.sampler:
        case Sampler.LCM:
            return _lcm(family, step, None if following is None else family.alphas[following])
        case Sampler.TCD:
            return _tcd(family, step, following)
        case Sampler.ANCESTRAL if following is not None:
            return _ancestral(step, family.alphas[following])
        case Sampler.EULER | Sampler.DDIM if following is not None:
            return _deterministic(step, family.alphas[following])
        case Sampler.DDIM:
            return _deterministic(step, family.last_alpha)
    return step


def _deterministic(step: Step, to: float) -> Step:
    return replace(step, to_y=math.sqrt(to), to_eps=math.sqrt(1 - to))


def _lcm(family: Family, step: Step, to: float | None) -> Step:
    """Boundary scalings of arXiv:2310.04378 section 3, then noise again (algorithm 1 of arXiv:2303.01469)."""
    scaled = step.timestep * family.timestep_scaling
    norm = scaled**2 + LCM_SIGMA_DATA**2
    step = replace(step, skip=LCM_SIGMA_DATA**2 / norm, out=scaled / math.sqrt(norm))
    return step if to is None else replace(step, to_y=math.sqrt(to), to_noise=math.sqrt(1 - to))


def _tcd(family: Family, step: Step, following: int | None) -> Step:
    """arXiv:2402.19159 equation 31: to s = (1-γ) t', then noise up to t'. The last step ends at timestep 0, not before it."""
    middle = family.alphas[int((1 - family.eta) * (following or 0))]
    if following is None or family.eta == 0:
        return replace(step, to_y=math.sqrt(middle), to_eps=math.sqrt(1 - middle))
    ratio = family.alphas[following] / middle
    keep = math.sqrt(ratio)
    return replace(step, to_y=keep * math.sqrt(middle), to_eps=keep * math.sqrt(1 - middle), to_noise=math.sqrt(1 - ratio))


def _ancestral(step: Step, to: float) -> Step:
    """Karras's σ_up and σ_down, in coordinates where x has unit variance."""
    sigma, sigma_to, scale = step.noise / step.signal, math.sqrt((1 - to) / to), math.sqrt(to)
    up = math.sqrt(sigma_to**2 * (sigma**2 - sigma_to**2) / sigma**2)
    return replace(step, to_y=scale, to_eps=scale * math.sqrt(sigma_to**2 - up**2), to_noise=scale * up)


def _scm(steps: int, strength: float) -> Plan:
    """Angles in equal steps down to 0; the network hears sin/(cos+sin), SANA's own time."""
    if strength <= 0:
        return ()
    angles = [SCM_TOP * strength * (1 - index / steps) for index in range(steps)]
    return tuple(_turned(angle, to) for angle, to in zip(angles, [*angles[1:], None], strict=True))


def _turned(angle: float, to: float | None) -> Step:
    cos, sin = math.cos(angle), math.sin(angle)
    step = Step(sin / (cos + sin), cos, sin)
    return step if to is None else replace(step, to_y=math.cos(to), to_noise=math.sin(to))
