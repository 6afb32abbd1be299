"""The measures measure what they say, and the shipped model keeps what its card promises."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from cmstream.cli.measure import table
from cmstream.models.registry import embedded_path
from cmstream.models.weights import load_painter
from cmstream.training.exhibit import Exhibit, Row, exhibit, photographs
from cmstream.training.measures import Paint, Scores, detail_energy, edge_f1, one_step, score, several_steps, sitter
from cmstream.training.painters import Oil
from cmstream.training.painters.fields import blur
from cmstream.training.wasserstein import sliced_wasserstein

pytestmark = pytest.mark.timeout(240)  # every style, photograph and rival once: half a minute on a quiet machine


@pytest.fixture(scope="module")
def shown() -> Exhibit:
    return exhibit(load_painter(embedded_path("painter")), load_painter(embedded_path("painter_regression")), 192, 0)


def test_the_painter_itself_scores_perfectly_and_blur_and_identity_do_not() -> None:
    (_, photograph), *_ = photographs(128)
    oil = Oil()
    paints: dict[str, Paint] = {
        "painter": oil.paint,
        "identity": lambda src, noise: src,
        "blurred": lambda src, noise: blur(oil.paint(src, noise), 3.0),
    }
    with torch.inference_mode():
        subject = sitter(oil, photograph, 0)
        scores = {kind: score(paint, subject)[0] for kind, paint in paints.items()}
    assert scores["painter"].psnr_db > 100
    assert scores["painter"].detail_ratio == pytest.approx(1)
    assert scores["painter"].stroke_correlation == pytest.approx(1, abs=1e-4)
    assert scores["painter"].diversity == pytest.approx(1)
    assert scores["blurred"].detail_ratio < 0.1
    assert scores["identity"].diversity == 0
    assert scores["identity"].edge_f1 == pytest.approx(1)
    assert scores["identity"].flicker == pytest.approx(1)
    assert scores["painter"].wasserstein < 0.5 * min(scores["identity"].wasserstein, scores["blurred"].wasserstein)


def test_equal_distributions_of_patches_are_near_and_the_distance_grows_with_blur() -> None:
    noise = torch.randn((8, 3, 96, 96), generator=Generator().manual_seed(0))
    near = sliced_wasserstein(noise[:4], noise[4:])
    distances = [sliced_wasserstein(blur(noise[:4], sigma_px), noise[4:]) for sigma_px in (0.4, 0.8, 2.0)]
    assert near < 0.08
    assert near < distances[0] < distances[1] < distances[2]


def test_detail_is_what_a_blur_takes_away() -> None:
    noise = torch.randn((1, 3, 64, 64), generator=Generator().manual_seed(0))
    assert detail_energy(torch.full((1, 3, 64, 64), 0.4)) == pytest.approx(0, abs=1e-9)
    assert detail_energy(blur(noise, 3.0)) < 0.02 * detail_energy(noise)


def test_edges_elsewhere_do_not_match() -> None:
    bar = torch.zeros(1, 3, 64, 64)
    bar[..., 20:24] = 1
    assert edge_f1(bar, bar) == pytest.approx(1)
    assert edge_f1(bar.roll(24, 3), bar) < 0.1


def test_one_step_has_the_painter_s_strokes_in_every_style_and_regression_has_not(shown: Exhibit) -> None:
    for style in load_painter(embedded_path("painter")).spec.styles:
        assert 0.6 <= shown.mean(style, "one step", "detail_ratio") <= 1.2, style
        assert shown.mean(style, "one step", "stroke_correlation") > 0.6, style
        assert shown.mean(style, "one step", "wasserstein") < shown.mean(style, "identity", "wasserstein"), style
    assert shown.mean("oil", "one step", "detail_ratio") >= 2 * shown.mean("oil", "regression", "detail_ratio")
    assert shown.mean("oil", "one step", "psnr_db") >= shown.mean("oil", "regression", "psnr_db") + 4


def test_two_seeds_give_two_paintings_and_the_regression_only_one(shown: Exhibit) -> None:
    assert all(row.scores.diversity > 0.7 for row in shown.rows if row.model == "one step")
    assert all(row.scores.diversity == 0 for row in shown.rows if row.model == "regression")


def test_bfloat16_keeps_the_strokes() -> None:
    (_, photograph), *_ = photographs(256)
    model = load_painter(embedded_path("painter"))
    with torch.inference_mode():
        subject = sitter(Oil(), photograph, 0)
        exact, _ = score(one_step(model, "oil"), subject)
        rounded, _ = score(one_step(model.to(torch.device("cpu"), torch.bfloat16), "oil"), subject)
    assert rounded.psnr_db == pytest.approx(exact.psnr_db, abs=0.3)
    assert rounded.detail_ratio == pytest.approx(exact.detail_ratio, abs=0.03)


def test_one_of_several_steps_is_the_served_step() -> None:
    (_, photograph), *_ = photographs(64)
    model = load_painter(embedded_path("painter"))
    noise = torch.randn(photograph.shape, generator=Generator().manual_seed(0))
    with torch.inference_mode():
        served = one_step(model, "oil")(photograph, noise)
        assert torch.equal(several_steps(model, "oil", 1)(photograph, noise), served)
        assert not torch.equal(several_steps(model, "oil", 2)(photograph, noise), served)


def test_the_sheet_shows_painter_and_one_step_for_each_style_and_photograph(shown: Exhibit) -> None:
    styles = load_painter(embedded_path("painter")).spec.styles
    assert shown.sheet.shape == (len(styles) * 192, 6 * 192, 3)
    (_, astronaut), *_ = photographs(192)
    with torch.inference_mode():
        painting = sitter(Oil(), astronaut, 0).paintings[0]
    assert abs(shown.sheet[:192, :192].astype(float) - (painting[0].permute(1, 2, 0) + 1).numpy() * 127.5).max() <= 1


def test_the_table_has_a_line_for_each_style_and_model_with_the_mean_over_photographs() -> None:
    rows = tuple(
        Row(style, name, model, Scores(psnr, 0.5, 0.5, 0.1, 0.5, 0.5, 0.5), 20.0)
        for style in ("oil", "ink")
        for name, psnr in (("a", 20.0), ("b", 30.0))
        for model in ("one step", "identity")
    )
    lines = table(rows).splitlines()
    assert len(lines) == 2 + 4
    assert lines[2] == "| oil | one step | 25.0 | 0.50 | 0.50 | 0.10 | 0.50 | 0.50 | 0.50 | 20 |"
