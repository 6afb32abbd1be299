"""The shipped styles through the real transition and the real engine: mixtures lie between, and no change jumps.

Frames are what a viewer would get: a look a frame at 30 fps, from `Transition`, styled and quantised by the CPU engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from cmstream.core.clock import NS_PER_MS, NS_PER_S
from cmstream.core.frame import Rgb
from cmstream.core.look import Look, Transition
from cmstream.engine.base import EngineInput
from cmstream.engine.cpu import CpuEngine
from cmstream.models.registry import load
from cmstream.training.exhibit import photographs

SIDE_PX, FPS, SECONDS = 192, 30, 1
PAIRS = [("oil", "ink"), ("watercolour", "neon"), ("comic", "pencil")]


@pytest.fixture(scope="module")
def engine() -> Iterator[CpuEngine]:
    engine = CpuEngine(load("painter"), dtype="float32", threads=1, warm_up_px=((SIDE_PX, SIDE_PX),))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def photograph() -> Rgb:
    picture = dict(photographs(SIDE_PX))["astronaut"]
    pixels: Rgb = ((picture[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
    return pixels


def look(*styles: str, seed: int = 1) -> Look:
    """Equal parts of `styles`."""
    return Look(tuple((style, 1 / len(styles)) for style in styles), 1.0, ((seed, 1.0),))


def shown(engine: CpuEngine, photograph: Rgb, *looks: Look) -> list[Rgb]:
    batches = [engine.submit([EngineInput(1, photograph, each, SIDE_PX, SIDE_PX)]) for each in looks]
    return [batch.result(60)[0].rgb for batch in batches]


def apart(first: Rgb, second: Rgb) -> float:
    """Root mean square difference in levels of 255."""
    return float(np.sqrt(np.square(first.astype(np.float64) - second).mean()))


def statistics(rgb: Rgb) -> np.ndarray:
    """What a style is known by: mean and spread of each colour, and the energy of fine and of coarser strokes. In levels."""
    picture = rgb.astype(np.float64)
    grey = picture.mean(2)
    energies = [
        np.hypot(grey[step:, step:] - grey[:-step, :-step], grey[step:, :-step] - grey[:-step, step:]) for step in (1, 4)
    ]
    return np.concatenate([picture.mean((0, 1)), picture.std((0, 1)), [energy.mean() for energy in energies]])


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_half_and_half_is_nearer_to_both_styles_than_they_are_to_each_other(
    engine: CpuEngine, photograph: Rgb, first: str, second: str
) -> None:
    looks = (look(first), look(second), look(first, second))
    one, other, half = (statistics(rgb) for rgb in shown(engine, photograph, *looks))
    whole = float(np.linalg.norm(one - other))
    assert float(np.linalg.norm(half - one)) < 0.8 * whole
    assert float(np.linalg.norm(half - other)) < 0.8 * whole


def frames_of(transition: Transition, before: int = 3, after: int = 3) -> list[Look]:
    """The looks of every frame at `FPS`, from some before it starts to some after it ended."""
    last = FPS * transition.duration_ns // NS_PER_S + after
    return [transition.at(transition.start_ns + frame * NS_PER_S // FPS) for frame in range(-before, last + 1)]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_second_from_one_style_to_another_has_no_jump(engine: CpuEngine, photograph: Rgb, first: str, second: str) -> None:
    transition = Transition(look(first), look(second), 5 * NS_PER_S, SECONDS * NS_PER_S)
    frames = shown(engine, photograph, *frames_of(transition))
    changes = [apart(a, b) for a, b in pairwise(frames)]
    # An even change would be a thirtieth of the way at each frame.
    assert max(changes) < 3 * apart(frames[0], frames[-1]) / FPS
    assert changes[:3] == changes[-3:] == [0, 0, 0]


def test_strength_stroke_size_and_seed_change_without_a_jump_too(engine: CpuEngine, photograph: Rgb) -> None:
    start = look("oil")
    ends = (Look(start.style, 0.2, start.seeds), Look(start.style, 1.0, start.seeds, 1.7), look("oil", seed=9))
    for end in ends:
        frames = shown(engine, photograph, *frames_of(Transition(start, end, 0, NS_PER_S)))
        changes = [apart(a, b) for a, b in pairwise(frames)]
        assert max(changes) < 3 * apart(frames[0], frames[-1]) / FPS, end


def test_a_change_without_a_transition_would_not_pass(engine: CpuEngine, photograph: Rgb) -> None:
    """The bound means something: the same change at once breaks it."""
    transition = Transition(look("oil"), look("ink"), 0, round(20 * NS_PER_MS))
    frames = shown(engine, photograph, *frames_of(transition))
    assert max(apart(a, b) for a, b in pairwise(frames)) > 10 * apart(frames[0], frames[-1]) / FPS
