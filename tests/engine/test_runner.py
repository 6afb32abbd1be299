"""The forms of one painter paint one picture, whatever the look."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.engine.candidates import candidates, reference
from cmstream.engine.moving_noise import Places
from cmstream.engine.patch_order import PatchOrder
from cmstream.engine.runner import Runner, tensor_of
from tests.engine.painters import small_painter

MODEL = small_painter()
NAMES = ("PyTorch float32", "PyTorch bfloat16", "OpenVINO float32", "OpenVINO bfloat16")
LOOKS = {
    "one style": Look((("oil", 1.0),), 1.0, ((0, 1.0),)),
    "a part of the strength": Look((("ink", 1.0),), 0.4, ((0, 1.0),)),
    "a mixture of large strokes": Look((("oil", 0.3), ("ink", 0.7)), 1.0, ((0, 1.0),), 1.8),
}


@pytest.fixture(scope="module")
def runners() -> dict[str, Runner]:
    found = [runner for dtype in ("float32", "bfloat16") for runner in candidates(MODEL, dtype=dtype)]
    return {runner.name: runner for runner in found}


def picture(width_px: int = 64, height_px: int = 48, seed: int = 0) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), np.uint8)


def noise(width_px: int = 64, height_px: int = 48, seed: int = 0) -> torch.Tensor:
    return torch.randn(3, height_px, width_px, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("name", NAMES)
def test_it_paints_what_the_model_s_definition_paints(runners: dict[str, Runner], name: str, look: Look) -> None:
    expected = reference(MODEL).style(picture(), noise(), look).astype(float)
    error = runners[name].style(picture(), noise(), look) - expected
    assert expected.std() > 20, "a picture, not a constant"
    assert np.sqrt(np.square(error).mean()) < (0.1 if "float32" in name else 1.5)


def test_a_frame_that_nobody_may_write_to_is_copied_and_any_other_is_not() -> None:
    source = picture()
    assert tensor_of(source).data_ptr() == source.ctypes.data
    source.flags.writeable = False
    copied = tensor_of(source)
    assert copied.data_ptr() != source.ctypes.data
    assert np.array_equal(copied.numpy(), source)


@pytest.mark.parametrize("name", NAMES)
def test_strength_0_returns_every_byte_there_is(runners: dict[str, Runner], name: str) -> None:
    source = np.arange(256, dtype=np.uint8).repeat(9).reshape(16, 48, 3)
    assert np.array_equal(runners[name].style(source, noise(48, 16), Look((("oil", 1.0),), 0.0, ((0, 1.0),))), source)


@pytest.mark.parametrize("name", NAMES)
def test_noise_size_and_source_may_change_from_frame_to_frame(runners: dict[str, Runner], name: str) -> None:
    look = LOOKS["one style"]

    def painted(seed: int, width_px: int) -> Rgb:
        return runners[name].style(picture(width_px), noise(width_px, seed=seed), look)

    first, other = painted(0, 64), painted(1, 64)
    assert painted(0, 32).shape == (48, 32, 3)
    assert not np.array_equal(first, other)
    assert np.array_equal(painted(0, 64), first), "the result is its own memory, and nothing of a frame stays"


@pytest.mark.parametrize("name", NAMES)
def test_streams_that_take_turns_keep_their_own_noise_until_they_are_forgotten(runners: dict[str, Runner], name: str) -> None:
    look, runner = LOOKS["one style"], runners[name]
    fields = [noise(seed=seed) for seed in range(2)]
    places = Places(np.arange(64 * 48)[::-1].copy(), PatchOrder(48, 64))
    alone = [runner.style(picture(), places.carry(field), look) for field in fields]
    for _ in range(2):
        for stream_id, field in enumerate(fields):
            together = runner.style(picture(), field, look, places=places, stream_id=stream_id)
            assert np.array_equal(together, alone[stream_id])
    for stream_id in (0, 1, 77):
        runner.forget(stream_id)
    assert np.array_equal(runner.style(picture(), fields[1], look, places=places), alone[1])
