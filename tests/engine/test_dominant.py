"""The dominant motion: exact where patches are not, blind to what moves otherwise, and calm where nothing can be seen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from cmstream.engine.dominant import AT_REST, DominantMotion, gradient

SHAPE = (96, 96)


def seen_through(matrix: list[list[float]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A blurred photograph whose points moved by `matrix`."""
    cat = data.chelsea()  # type: ignore[no-untyped-call]  # scikit-image annotates none of its samples
    photograph = cv2.GaussianBlur(cv2.resize(cat[:, 80:380, 1], (160, 160), interpolation=cv2.INTER_AREA), (5, 5), 0)
    moved = cv2.warpAffine(photograph.astype(np.float32), np.array(matrix, float), (128, 128), flags=cv2.INTER_CUBIC)
    return np.ascontiguousarray(moved[16:112, 16:112])


STILL = seen_through([[1, 0, 0], [0, 1, 0]])


def test_half_a_point_is_measured_to_some_hundredths() -> None:
    found = DominantMotion(SHAPE).fit(STILL, seen_through([[1, 0, 0.5], [0, 1, -0.25]]), AT_REST)
    assert np.abs(found.flow[0] - 0.5).max() < 0.08
    assert np.abs(found.flow[1] + 0.25).max() < 0.08


def test_a_quarter_that_moves_otherwise_does_not_disturb_it() -> None:
    moved = seen_through([[1, 0, 0.5], [0, 1, 0]])
    moved[:48, :48] = seen_through([[1, 0, -3], [0, 1, 2]])[:48, :48]
    found = DominantMotion(SHAPE).fit(STILL, moved, AT_REST)
    assert np.median(np.abs(found.flow[0] - 0.5)) < 0.1
    assert np.median(np.abs(found.flow[1])) < 0.1


def test_gain_and_offset_are_exposure_and_no_motion() -> None:
    found = DominantMotion(SHAPE).fit(STILL, STILL * np.float32(0.8) + 20, AT_REST)
    assert np.abs(found.flow).max() < 0.05
    assert np.abs(found.exposed - (STILL * 0.8 + 20)).max() < 2


@pytest.mark.parametrize("level", [0.0, 128.0])
def test_a_picture_without_texture_says_nothing_and_breaks_nothing(level: float) -> None:
    flat = np.full(SHAPE, level, np.float32)
    found = DominantMotion(SHAPE).fit(flat, flat, AT_REST)
    assert np.abs(found.flow).max() < 1e-3
    assert np.isfinite(found.exposed).all()


def test_a_part_of_the_picture_is_fitted_alone_with_its_mean_and_how_far_it_differs() -> None:
    moved = seen_through([[1, 0, 0.5], [0, 1, 0]])
    moved[:48] = seen_through([[1.02, 0, -1], [0, 1.02, -1]])[:48]  # grows around (34, 34) in points of the picture
    where = np.zeros(SHAPE, bool)
    where[4:44, 4:92] = True
    part = DominantMotion(SHAPE).fit_within(where, STILL, moved, AT_REST, gradient(STILL))
    assert part is not None
    local = DominantMotion(SHAPE).flow(part.motion)[:, 4:44:2, 4:92:2]
    assert part.mean == pytest.approx(local.mean(axis=(1, 2)), abs=1e-3)
    assert part.span == pytest.approx(np.ptp(local, axis=(1, 2)).max(), abs=1e-3)
    assert part.span == pytest.approx(0.02 * 86, abs=0.2)


def test_too_few_points_have_no_motion() -> None:
    where = np.zeros(SHAPE, bool)
    where[:8, :8] = True
    assert DominantMotion(SHAPE).fit_within(where, STILL, STILL, AT_REST, gradient(STILL)) is None


def test_what_is_beyond_the_picture_says_nothing() -> None:
    entering = seen_through([[1, 0, 3], [0, 1, 0]])
    found = DominantMotion(SHAPE).fit(STILL, entering, np.array([[2.5, 0, 0], [0, 0, 0]], np.float32))
    assert np.abs(found.flow[0] - 3).max() < 0.1


def test_a_picture_in_which_points_were_displaced_is_the_one_they_came_from() -> None:
    motion = np.array([[2, 0, 0], [-1, 0, 0]], np.float32)
    box = np.s_[10:30, 20:60]
    shown = DominantMotion(SHAPE).displaced(STILL, motion, box)
    assert np.abs(shown - STILL[9:29, 22:62]).max() < 1e-2


def test_gain_and_offset_can_be_told_apart_at_any_level_of_a_flat_picture() -> None:
    """They are the same there, but for their damping."""
    finder = DominantMotion(SHAPE)
    for level in range(0, 256, 3):
        flat, other = np.full(SHAPE, level, np.float32), np.full(SHAPE, 255 - level, np.float32)
        found = finder.fit(flat, other, AT_REST)
        assert np.abs(found.flow).max() < 1e-3
        assert np.abs(found.exposed - other).max() < 1
