"""The effective look of one frame, and timed transitions between looks. Pure functions.

A look is what the engine needs: style weights, strength, stroke size, and a unit-norm mixture of seeds. Mixing independent
normal fields with coefficients of unit norm leaves a standard normal field, so a change of seed is a slerp (Shoemake 1985).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from cmstream.core.clock import NS_PER_MS
from cmstream.core.params import FIXED, NOISE_MOTION, STROKE_SCALE, Params, StyleMix
from cmstream.core.prompting import Prompting, blended, prompting_of

SeedMix: TypeAlias = tuple[tuple[int, float], ...]

MAX_SEEDS = 4
NEGLIGIBLE = 0.02


@dataclass(frozen=True, slots=True)
class Look:
    """`style` weights sum to 1; `seeds` are (seed, coefficient) with squares that sum to 1; `strength` in [0,1].

    `stroke_scale` multiplies the size of strokes; 1 is the style's own. `noise_motion` is FIXED or FOLLOW.
    """

    style: StyleMix
    strength: float
    seeds: SeedMix
    stroke_scale: float = 1.0
    noise_motion: str = FIXED
    prompting: Prompting | None = None
    """Of models that hear prompts."""


def look_of(params: Params) -> Look:
    """The look once a transition to `params` is over."""
    scale, motion = params.extra.get(STROKE_SCALE, 1.0), params.extra.get(NOISE_MOTION, FIXED)
    return Look(params.style, params.strength, ((params.seed, 1.0),), scale, motion, prompting_of(params.extra))


@dataclass(frozen=True, slots=True)
class Transition:
    """From one look to another over `duration_ns`, starting at `start_ns`."""

    before: Look
    after: Look
    start_ns: int
    duration_ns: int

    def at(self, now_ns: int) -> Look:
        """The look at `now_ns`: `before` at the start, exactly `after` from the end on."""
        elapsed_ns = now_ns - self.start_ns
        if elapsed_ns >= self.duration_ns:
            return self.after
        part = max(0.0, elapsed_ns / self.duration_ns)
        return Look(
            _blend_styles(self.before.style, self.after.style, part),
            self.before.strength + part * (self.after.strength - self.before.strength),
            _slerp_seeds(self.before.seeds, self.after.seeds, part),
            self.before.stroke_scale ** (1 - part) * self.after.stroke_scale**part,
            self.after.noise_motion,
            blended(self.before.prompting, self.after.prompting, part),
        )


def start_transition(before: Look, params: Params, now_ns: int) -> Transition:
    """The transition that `params` asks for, from the look shown at `now_ns`."""
    return Transition(before, look_of(params), now_ns, round(params.transition_ms * NS_PER_MS))


def _blend_styles(before: StyleMix, after: StyleMix, part: float) -> StyleMix:
    if before == after:
        return after
    weights = {name: (1 - part) * weight for name, weight in before}
    for name, weight in after:
        weights[name] = weights.get(name, 0.0) + part * weight
    return tuple((name, weight) for name, weight in weights.items() if weight > 0)


def _slerp_seeds(before: SeedMix, after: SeedMix, part: float) -> SeedMix:
    if before == after:
        return after
    angle = part * math.pi / 2
    mixed = {seed: math.cos(angle) * c for seed, c in before}
    for seed, c in after:
        mixed[seed] = mixed.get(seed, 0.0) + math.sin(angle) * c
    kept = sorted(((s, c) for s, c in mixed.items() if abs(c) >= NEGLIGIBLE), key=lambda sc: -abs(sc[1]))[:MAX_SEEDS]
    norm = math.sqrt(math.fsum(c * c for _, c in kept))
    return tuple((seed, c / norm) for seed, c in kept)
