"""The measures measure what they say, and the shipped model keeps what its card promises."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from cmstream.cli.measure import table
from cmstream.models.base import Model, ModelInput
from cmstream.models.registry import embedded_path
from cmstream.models.weights import load_painter
from cmstream.training.exhibit import Exhibit, Row, exhibit, photographs
from cmstream.training.measures import Scores, detail_energy, edge_f1, score, sitter
from cmstream.training.painters import Oil
from cmstream.training.painters.fields import blur


class Fixed:
    """A model that is any function of source and noise."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._like = load_painter(embedded_path("painter"))
        self.spec = self._like.spec

    def to(self, device: torch.device, dtype: torch.dtype) -> Model:
        return self

    def stylize(self, batch: ModelInput) -> Tensor:
        painting = Oil().paint(batch.src, batch.noise)
        return {"painter": painting, "identity": batch.src, "blurred": blur(painting, 3.0)}[self._kind]


@pytest.fixture(scope="module")
def shown() -> Exhibit:
    names = {"one step": "painter", "regression": "painter_regression"}
    return exhibit({label: load_painter(embedded_path(name)) for label, name in names.items()}, "oil", 384, 0)


def _of(shown: Exhibit, model: str) -> list[Scores]:
    return [row.scores for row in shown.rows if row.model == model]


def test_the_painter_itself_scores_perfectly_and_blur_and_identity_do_not() -> None:
    (_, photograph), *_ = photographs(128)
    with torch.inference_mode():
        subject = sitter(Oil(), photograph, 0)
        scores = {kind: score(Fixed(kind), subject)[0] for kind in ("painter", "identity", "blurred")}
    assert scores["painter"].psnr_db > 100
    assert scores["painter"].detail_ratio == pytest.approx(1)
    assert scores["painter"].stroke_correlation == pytest.approx(1, abs=1e-4)
    assert scores["painter"].diversity == pytest.approx(1)
    assert scores["blurred"].detail_ratio < 0.1
    assert scores["identity"].diversity == 0
    assert scores["identity"].edge_f1 == pytest.approx(1)


def test_detail_is_what_a_blur_takes_away() -> None:
    noise = torch.randn((1, 3, 64, 64), generator=Generator().manual_seed(0))
    assert detail_energy(torch.full((1, 3, 64, 64), 0.4)) == pytest.approx(0, abs=1e-9)
    assert detail_energy(blur(noise, 3.0)) < 0.02 * detail_energy(noise)


def test_edges_elsewhere_do_not_match() -> None:
    bar = torch.zeros(1, 3, 64, 64)
    bar[..., 20:24] = 1
    assert edge_f1(bar, bar) == pytest.approx(1)
    assert edge_f1(bar.roll(24, 3), bar) < 0.1


def test_one_step_has_the_painter_s_strokes_and_regression_does_not(shown: Exhibit) -> None:
    # The acceptance of the first version: at least 0.6 of the painting's detail, at least twice the regression's.
    for one_step, regression in zip(_of(shown, "one step"), _of(shown, "regression"), strict=True):
        assert 0.6 <= one_step.detail_ratio <= 1.2
        assert one_step.detail_ratio >= 2 * regression.detail_ratio
        assert one_step.psnr_db >= regression.psnr_db + 4
        assert one_step.stroke_correlation > 0.75


def test_two_seeds_give_two_paintings_and_the_regression_only_one(shown: Exhibit) -> None:
    assert all(scores.diversity > 0.8 for scores in _of(shown, "one step"))
    assert all(scores.diversity == 0 for scores in _of(shown, "regression"))


def test_bfloat16_keeps_the_strokes() -> None:
    (_, photograph), *_ = photographs(256)
    model = load_painter(embedded_path("painter"))
    with torch.inference_mode():
        subject = sitter(Oil(), photograph, 0)
        exact, _ = score(model, subject)
        rounded, _ = score(model.to(torch.device("cpu"), torch.bfloat16), subject)
    assert rounded.psnr_db == pytest.approx(exact.psnr_db, abs=0.3)
    assert rounded.detail_ratio == pytest.approx(exact.detail_ratio, abs=0.03)


def test_the_sheet_shows_source_painter_one_step_and_regression_for_each_photograph(shown: Exhibit) -> None:
    assert shown.sheet.shape == (3 * 384, 4 * 384, 3)
    (_, astronaut), *_ = photographs(384)
    source = (astronaut[0].permute(1, 2, 0) + 1) * 127.5
    assert abs(shown.sheet[:384, :384].astype(float) - source.numpy()).max() <= 1


def test_the_table_has_every_row_and_the_means() -> None:
    rows = tuple(
        Row(name, model, Scores(psnr, 0.5, 0.5, 0.5, 0.5))
        for name, psnr in (("a", 20.0), ("b", 30.0))
        for model in ("one step", "regression")
    )
    lines = table(rows).splitlines()
    assert len(lines) == 2 + 4 + 2
    assert "| **mean** | one step | 25.0 | 0.50 |" in lines[-2]
