"""Faces: skin in the middle, eyes darker than skin, present in some scenes and absent in others."""

from __future__ import annotations

import torch
from torch import Generator

from cmstream.training.faces import HEAD, PRESENT, draw_faces
from cmstream.training.palette import PHOTO, draw_hair, draw_palette, draw_skin


def test_about_two_thirds_of_scenes_show_a_face_and_its_parts_stay_together() -> None:
    generator = Generator().manual_seed(1)
    faces = draw_faces(draw_palette(PHOTO, 300, 7, generator), generator)
    shown = faces.centre[:, HEAD, 0] > -1
    assert abs(float(shown.float().mean()) - PRESENT) < 0.08
    spread = (faces.centre[shown] - faces.centre[shown][:, HEAD : HEAD + 1]).abs()
    assert float(spread[spread < 5].max()) < 1.5
    assert set(faces.body) == {0}


def test_skin_runs_from_deep_to_pale_and_is_redder_than_blue() -> None:
    skin = draw_skin(500, Generator().manual_seed(2))
    assert float((skin[:, 0] > skin[:, 2]).float().mean()) > 0.99
    brightness = skin.mean(1)
    assert float(brightness.min()) < 0.3
    assert float(brightness.max()) > 0.7


def test_hair_has_every_tone() -> None:
    hair = draw_hair(500, Generator().manual_seed(3))
    assert float(hair.mean(1).min()) < 0.08
    assert float(hair.mean(1).max()) > 0.5
    assert torch.equal(hair, draw_hair(500, Generator().manual_seed(3)))
