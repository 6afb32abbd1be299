"""Flow of clips whose motion is known: measured exactly, nothing from a still camera, and a cut is a cut."""

from __future__ import annotations

import numpy as np
import pytest

from cmstream.core.frame import Rgb
from cmstream.engine.flow import Field, Flow, FlowTracker, Luma
from tests.engine.clips import SIDE_PX, another_scene, camera, object_before_a_wall, with_noise


def followed(frames: list[Rgb]) -> list[Flow]:
    tracker = FlowTracker(frames[0].shape[1], frames[0].shape[0])
    flows = [tracker.track(frame) for frame in frames]
    return [flow for flow in flows if flow is not None]


@pytest.mark.parametrize("pan_px", [0.2, 0.7, 3.1])
def test_the_shifts_of_a_pan_add_up_to_its_way_however_slow_it_is(pan_px: float) -> None:
    flows = followed(camera(31, pan_px=pan_px))
    across, down = np.sum([np.median(flow.shift[:, 10:-10, 10:-10], axis=(1, 2)) for flow in flows], axis=0)
    assert across == pytest.approx(30 * pan_px, abs=0.75 + 0.02 * 30 * pan_px)  # the dead zone may still hold back a part
    assert abs(down) < 0.5


def test_a_zoom_moves_each_point_by_its_distance_from_the_centre() -> None:
    tracker = FlowTracker(SIDE_PX, SIDE_PX)
    first, second = camera(2, zoom=0.05)
    assert tracker.track(first) is None
    flow = tracker.track(second)
    assert flow is not None
    x = (np.arange(96) + 0.5) * SIDE_PX / 96 - SIDE_PX / 2
    assert np.median(np.abs(flow.shift[0] - 0.05 * x[None, :])) < 0.2
    assert np.median(np.abs(flow.shift[1] - 0.05 * x[:, None])) < 0.2


@pytest.mark.parametrize("noise", [0.0, 2.5, 8.0])
def test_a_still_camera_gives_no_flow_at_all_whatever_its_noise(noise: float) -> None:
    assert followed(camera(100, noise=noise)) == []


def test_exposure_that_swings_is_no_motion() -> None:
    random = np.random.default_rng(0)
    (frame,) = camera(1, noise=0.0)
    swinging = [with_noise(frame * np.float32(1 + 0.05 * np.sin(index)), 2.5, random) for index in range(40)]
    assert followed(swinging) == []


def test_an_object_moves_and_the_wall_behind_it_does_not() -> None:
    flows = followed(object_before_a_wall(11, step_px=(3.0, 1.0)))
    shift = np.sum([flow.shift[:, 25:30, 25:30] for flow in flows[:3]], axis=0)  # around the disc's centre
    assert np.median(shift[0]) == pytest.approx(9, abs=1)
    assert np.median(shift[1]) == pytest.approx(3, abs=1)
    assert all((flow.shift[:, 75:, :] == 0).all() for flow in flows)


def test_an_object_is_followed_to_a_fraction_of_its_step_however_long_it_moves() -> None:
    tracker, moved = FlowTracker(SIDE_PX, SIDE_PX), []
    for index, frame in enumerate(object_before_a_wall(16, step_px=(3.0, 2.0))):
        flow, centre = tracker.track(frame), round((60 + 3 * (index - 1)) / 2)
        if flow is not None:
            moved.append(np.median(flow.shift[:, 25 + index : 35 + index, centre - 5 : centre + 5], axis=(1, 2)))
    assert len(moved) == 15
    assert np.sum(moved, axis=0) == pytest.approx([45, 30], rel=0.1)


def two_objects(count: int) -> list[Rgb]:
    """One disc in the upper half goes right, one in the lower half left."""
    right, left = (object_before_a_wall(count, step_px=step, radius_px=24) for step in ((2.0, 0.0), (-2.0, 0.0)))
    return [np.concatenate([one[:96], other[:96]]) for one, other in zip(right, left, strict=True)]


def test_two_objects_that_go_different_ways_each_go_their_own() -> None:
    flows = followed(two_objects(8))
    above, below = (
        np.sum([np.median(flow.shift[0, rows, 26:34]) for flow in flows]) for rows in (slice(26, 34), slice(74, 82))
    )
    assert above == pytest.approx(14, abs=4)
    assert below == pytest.approx(-14, abs=4)


def test_another_scene_is_a_cut_and_the_one_after_it_is_followed_anew() -> None:
    tracker = FlowTracker(SIDE_PX, SIDE_PX)
    other = another_scene()
    assert tracker.track(camera(1)[0]) is None
    cut = tracker.track(other)
    assert cut is not None
    assert cut.is_cut
    assert tracker.track(other) is None


@pytest.mark.parametrize(("width_px", "height_px"), [(16, 16), (16, 2048), (2048, 16), (1024, 576), (130, 98)])
def test_every_working_size_can_be_followed(width_px: int, height_px: int) -> None:
    random = np.random.default_rng(0)
    tracker = FlowTracker(width_px, height_px)
    for _ in range(3):
        flow = tracker.track(random.integers(0, 256, (height_px, width_px, 3), np.uint8))
        assert flow is None or np.isfinite(flow.shift).all()


def test_patches_are_matched_only_where_one_motion_leaves_something_open(monkeypatch: pytest.MonkeyPatch) -> None:
    matched: list[tuple[int, ...]] = []
    patches = FlowTracker._patches

    def counted(tracker: FlowTracker, anchor: Luma, luma: Luma) -> Field:
        matched.append(anchor.shape)
        return patches(tracker, anchor, luma)

    monkeypatch.setattr(FlowTracker, "_patches", counted)
    assert len(followed(camera(10, pan_px=1.5))) == 9
    assert matched == []
    assert len(followed(object_before_a_wall(8, step_px=(3.0, 1.0), radius_px=20))) == 7
    assert len(matched) <= 2, "to find it, and then it goes on as before"
    assert all(height * width < 96 * 96 / 2 for height, width in matched)
    matched.clear()
    followed(two_objects(4))
    assert len(matched) >= 3


def test_a_camera_that_sets_out_as_an_object_went_before_it_is_followed_as_a_camera() -> None:
    object_first = object_before_a_wall(8, step_px=(2.0, 0.0), radius_px=20, noise=0.0)
    last, random = object_first[-1], np.random.default_rng(0)
    still = np.pad(last, ((0, 0), (48, 0), (0, 0)), "symmetric")
    panning = [still[:, 48 - 2 * index : 48 - 2 * index + SIDE_PX] for index in range(1, 24)]
    tracker, shifts = FlowTracker(SIDE_PX, SIDE_PX), []
    for frame in [*object_first, *panning]:
        flow = tracker.track(with_noise(frame, 2.5, random))
        shifts.append(None if flow is None else np.median(flow.shift[0, 10:-10, 10:-10]))
    assert shifts[7] == pytest.approx(0, abs=0.1)
    assert shifts[-8:] == pytest.approx([2.0] * 8, abs=0.2)
