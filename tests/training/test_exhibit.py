"""What is measured on: photographs, scenes of every family, clips that move; the same each time."""

from __future__ import annotations

import torch

from cmstream.training.clutter import FAMILIES
from cmstream.training.exhibit import LEAST_MOTION_PX, PHOTOGRAPHS, clips, exhibits


def test_there_are_three_photographs_and_as_many_scenes_of_every_family_as_asked() -> None:
    shown = list(exhibits(64, 2, 0))
    assert [each.group for each in shown] == [PHOTOGRAPHS] * 3 + [family for family in FAMILIES for _ in range(2)]
    assert len({each.name for each in shown}) == len(shown)
    for each in shown:
        assert each.picture.shape == (1, 3, 64, 64)
        assert -1 <= float(each.picture.min()) < float(each.picture.max()) <= 1


def test_scenes_are_the_seed_s_and_more_of_them_leave_the_first_as_they_are() -> None:
    few, many, other = (
        {each.name: each.picture for each in exhibits(64, scenes, seed)} for scenes, seed in ((1, 0), (2, 0), (1, 1))
    )
    assert all(torch.equal(few[name], many[name]) for name in few)
    assert not torch.equal(few["night 0"], other["night 0"])
    assert not torch.equal(many["paper 0"], many["paper 1"])


def test_every_clip_moves_and_its_noise_is_white_and_carried() -> None:
    found = list(clips(64, 4, 0))
    assert [name.split()[0] for name, _ in found[:2]] != [found[0][0].split()[0]] * 2
    for _, clip in found:
        assert float(clip.flow_px.norm(dim=1).mean()) >= LEAST_MOTION_PX
        before, after = clip.noise
        assert abs(float(after.std()) - 1) < 0.05
        still = (clip.flow_px.round() == 0).all(1) & clip.seen
        # Of what stayed in its place nearly all; what moves over it may have claimed the rest.
        assert float((before == after).all(1)[still].float().mean()) > 0.8
