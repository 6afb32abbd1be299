"""The picture that the benchmark sends moves, and has no jump where it begins anew."""

from __future__ import annotations

import numpy as np

from cmstream.bench.clip import FRAMES, clip
from cmstream.core.frame import check_rgb


def test_the_clip_moves_all_the_way_round_without_a_jump() -> None:
    frames = clip(96)
    assert len(frames) == FRAMES
    assert all(check_rgb(frame).shape == (96, 96, 3) for frame in frames)
    steps = [np.abs(after.astype(int) - before).mean() for before, after in zip(frames, (*frames[1:], frames[0]), strict=True)]
    assert min(steps) > 1
    assert steps[-1] < 1.2 * max(steps[:-1])
