"""Edges on the device are those that ControlNets were trained with."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from cmstream.core.frame import Rgb
from cmstream.models.latent.edges import HIGH, LOW, canny

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea")


def tensor_of(rgb: Rgb) -> Tensor:
    return torch.from_numpy(rgb).permute(2, 0, 1)[None] / 127.5 - 1


def by_opencv(rgb: Rgb) -> Tensor:
    return torch.from_numpy(cv2.Canny(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), LOW, HIGH) > 0)


def photographs() -> dict[str, Rgb]:
    return {name: np.ascontiguousarray(getattr(data, name)()[:256, :320]) for name in PHOTOGRAPHS}


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_they_are_opencvs(name: str) -> None:
    rgb = photographs()[name]
    ours, theirs = canny(tensor_of(rgb))[0, 0].bool(), by_opencv(rgb)
    both = float((ours & theirs).sum())
    assert both / float(theirs.sum()) > 0.97
    assert both / float(ours.sum()) > 0.99
    assert 0.005 < float(ours.float().mean()) < 0.3


def test_a_map_is_three_times_one_channel_of_zeros_and_ones() -> None:
    found = canny(tensor_of(photographs()["chelsea"]))
    assert found.shape == (1, 3, 256, 320)
    assert set(found.flatten().tolist()) == {0.0, 1.0}
    assert torch.equal(found[:, 0], found[:, 2])


def test_a_plain_picture_has_none_and_a_square_its_outline() -> None:
    rgb = np.full((64, 64, 3), 40, np.uint8)
    assert not canny(tensor_of(rgb)).any()
    rgb[20:40, 20:40] = 220
    ys, xs = canny(tensor_of(rgb))[0, 0].nonzero(as_tuple=True)
    assert (int(ys.min()), int(ys.max()), int(xs.min()), int(xs.max())) in {
        (19, 39, 19, 39),
        (20, 40, 20, 40),
        (19, 40, 19, 40),
    }
    assert not canny(tensor_of(rgb))[0, 0, 24:36, 24:36].any()


def test_rows_of_a_batch_know_nothing_of_each_other() -> None:
    both = torch.cat([tensor_of(rgb) for rgb in list(photographs().values())[:2]])
    found = canny(both)
    for row in (0, 1):
        assert torch.equal(found[row : row + 1], canny(both[row : row + 1]))


def test_no_value_is_looked_at_on_the_way() -> None:
    """On `meta` there are none: asking for one is an error, as it would be while a graph is captured."""
    assert canny(torch.empty(2, 3, 64, 48, device="meta", dtype=torch.float16)).shape == (2, 3, 64, 48)
