"""What counts as still: a noisy camera on a tripod does, a pointer that moves does not."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from cmstream.core.cells import Cells, cells_of
from cmstream.core.clock import NS_PER_S
from cmstream.core.frame import Rgb
from cmstream.scheduler.stillness import REFRESH_NS, Shown, is_still
from cmstream.training.camera import Camera, develop, expose

TYPICAL, HEAVY = 0.0096, 0.016  # the median of `draw_cameras`, and its three quarters
PHOTOS = ("astronaut", "coffee", "chelsea")


@cache
def photo(name: str, width_px: int = 640, height_px: int = 480) -> Rgb:
    return np.asarray(cv2.resize(getattr(data, name)(), (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8)


def takes(rgb: Rgb, count: int, noise_level: float, compression: float = 0.0) -> list[Rgb]:
    """`count` frames that one camera takes of a scene in which nothing moves."""
    one = torch.ones(1)
    camera = Camera(one, one, torch.ones(1, 3), 0 * one, noise_level * one, compression * one)
    generator = torch.Generator().manual_seed(1)
    light = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
    clean = develop(light, camera)
    frames = [expose(clean, camera, generator)[0] for _ in range(count)]
    return [(frame.permute(1, 2, 0) * 255).round().byte().numpy() for frame in frames]


def with_square(rgb: Rgb, x: int, y: int, side_px: int, change: int) -> Rgb:
    changed = rgb.astype(np.int16)
    changed[y : y + side_px, x : x + side_px] += change
    return changed.clip(0, 255).astype(np.uint8)


def stills(frames: list[Rgb]) -> float:
    """The share of frames that show what the first one shows."""
    first, *others = map(cells_of, frames)
    return float(np.mean([is_still(first, other) for other in others]))


@pytest.mark.parametrize("name", PHOTOS)
def test_a_camera_that_rests_is_still_in_spite_of_its_noise(name: str) -> None:
    assert stills(takes(photo(name), 12, TYPICAL)) >= 0.9
    assert stills(takes(photo(name), 12, TYPICAL, compression=0.3)) >= 0.9
    assert stills(takes(photo(name), 12, 0.0, compression=0.3)) == 1


@pytest.mark.parametrize("name", PHOTOS)
def test_a_small_thing_that_moves_is_seen_through_typical_noise(name: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(12):
        (x, y), (dx, dy) = rng.integers(20, 440, 2), rng.integers(4, 20, 2)
        scene = photo(name)
        here, there = with_square(scene, x, y, 10, 100), with_square(scene, x + dx, y + dy, 10, 100)
        before, after = takes(here, 1, TYPICAL)[0], takes(there, 2, TYPICAL)[1]
        assert not is_still(cells_of(before), cells_of(after)), f"from {x}, {y} by {dx}, {dy}"


@given(st.integers(0, 630), st.integers(0, 470), st.sampled_from(PHOTOS))
@settings(max_examples=60)
def test_without_noise_ten_pixels_that_change_a_little_are_seen_wherever_they_are(x: int, y: int, name: str) -> None:
    scene = (photo(name) // 2 + 40).astype(np.uint8)
    assert not is_still(cells_of(scene), cells_of(with_square(scene, x, y, 10, 8)))


@pytest.mark.parametrize("size_px", [(1280, 720), (1920, 1080)])
def test_a_letter_that_is_typed_and_a_caret_that_blinks_are_seen(size_px: tuple[int, int]) -> None:
    screen = np.full((size_px[1], size_px[0], 3), 250, np.uint8)
    for change in ("e", "."):
        typed = screen.copy()
        cv2.putText(typed, change, (301, 203), cv2.FONT_HERSHEY_PLAIN, 1.0, (20, 20, 20), 1, cv2.LINE_AA)
        assert not is_still(cells_of(screen), cells_of(typed)), change
    caret = screen.copy()
    caret[200:218, 310:312] = 0
    assert not is_still(cells_of(screen), cells_of(caret))


def test_light_that_changes_everywhere_is_seen_through_noise() -> None:
    frames = takes(photo("coffee"), 4, TYPICAL)
    for levels in (2, -2):
        lit = [(frame.astype(np.int16) + levels).clip(0, 255).astype(np.uint8) for frame in frames]
        assert not is_still(cells_of(frames[0]), cells_of(lit[1]))


def test_light_that_changes_in_one_corner_is_seen_through_noise() -> None:
    frames = takes(photo("coffee"), 2, TYPICAL)
    lit = frames[1].astype(np.int16)
    lit[:160, :200] += 4
    assert not is_still(cells_of(frames[0]), cells_of(lit.clip(0, 255).astype(np.uint8)))


@given(st.floats(8, 60), st.integers(0, 100))
@settings(max_examples=20)
def test_what_is_too_noisy_to_be_judged_is_never_still(sigma: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = (rng.normal(0, sigma, (3, 48, 64)).astype(np.float32) for _ in range(2))
    assert not is_still(before, after)


@given(st.integers(16, 300), st.integers(16, 300), st.integers(0, 1000))
@settings(max_examples=40)
def test_a_picture_shows_what_it_shows_at_every_size(width_px: int, height_px: int, seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3)).astype(np.uint8)
    assert is_still(cells_of(rgb), cells_of(rgb.copy()))
    assert not is_still(cells_of(rgb), cells_of(~rgb))


def shown(cells: Cells, frame_id: int = 0, alike: str = "look", since_ns: int = 0) -> Shown:
    return Shown(frame_id, cells, (alike,), since_ns)


def test_slow_changes_add_up_for_they_are_held_against_what_was_styled() -> None:
    scene = (photo("coffee") // 2 + 20).astype(np.uint8)
    first = shown(cells_of(scene))
    steps = [shown(cells_of((scene + step).astype(np.uint8)), step) for step in range(1, 4)]
    assert [first.covers(step, 0) for step in steps] == [False] * 3
    ramp = [cells_of(scene) + np.float32(0.1 * step) for step in range(1, 12)]
    covered = [first.covers(shown(cells), 0) for cells in ramp]
    assert covered[:4] == [True] * 4
    assert covered[6:] == [False] * 5


def test_another_look_or_size_is_never_the_same_and_a_still_picture_is_styled_anew_after_a_while() -> None:
    cells = cells_of(photo("coffee"))
    first = shown(cells, since_ns=NS_PER_S)
    assert first.covers(shown(cells, 1), NS_PER_S + REFRESH_NS - 1)
    assert not first.covers(shown(cells, 1), NS_PER_S + REFRESH_NS)
    assert not first.covers(shown(cells, 1, alike="another look"), NS_PER_S)
