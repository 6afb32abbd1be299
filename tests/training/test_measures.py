"""The measures measure what they say, and the shipped model keeps what its card promises."""

from __future__ import annotations

from statistics import mean

import pytest
import torch

from cmstream.models.registry import embedded_path
from cmstream.models.weights import load_painter
from cmstream.training.baselines import FOLDER, open_baselines
from cmstream.training.contestants import Contestant, Paint, contestants, one_step
from cmstream.training.exhibit import Exhibit, clips, exhibits, photographs
from cmstream.training.measures import measure, score, sitter, work_of
from cmstream.training.painters import PAINTERS, Oil
from cmstream.training.painters.fields import blur
from cmstream.training.table import Cost, Setting, Table

pytestmark = pytest.mark.timeout(240)  # every style, photograph and rival once: half a minute on a quiet machine

PHOTOGRAPHS = tuple(Exhibit("photographs", name, picture) for name, picture in photographs(192))


@pytest.fixture(scope="module")
def shown() -> Table:
    """The embedded painter and what answers at once, in every style, on photographs."""
    model = load_painter(embedded_path("painter"))
    everyone = [each for each in contestants(model, open_baselines(FOLDER), 192) if each.evaluations <= 1]
    rows = [row for style in model.spec.styles for row in measure(style, everyone, PHOTOGRAPHS, (), 0, lambda who, work: None)]
    costs = {each.label: Cost(each.evaluations, each.gmac) for each in everyone}
    return Table(Setting(192, 0, 0, 0, {}), "this machine", costs, tuple(rows))


def value(table: Table, style: str, who: str, score: str) -> float:
    found = table.detail(style, who) if score == "detail" else table.mean(style, who, score)
    assert found is not None
    return found.value


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
        scores = {kind: score(paint, subject) for kind, paint in paints.items()}
    assert scores["painter"].psnr_db > 100
    assert scores["painter"].ssim == pytest.approx(1)
    assert scores["painter"].strokes == pytest.approx(1, abs=1e-4)
    assert scores["painter"].diversity == pytest.approx(1)
    assert scores["blurred"].energy < 0.1 * scores["painter"].energy
    assert scores["identity"].diversity == 0
    assert scores["identity"].edges == pytest.approx(1)
    assert scores["identity"].gmsd == pytest.approx(0, abs=1e-6)
    assert scores["painter"].swd < 0.5 * min(scores["identity"].swd, scores["blurred"].swd)


def test_whoever_knows_a_style_is_measured_on_everything_and_the_ticks_add_up() -> None:
    everyone = [
        Contestant("painter", ("ink",), lambda style: PAINTERS[style].paint),
        Contestant("identity", ("ink",), lambda style: lambda src, noise: src),
        Contestant("stranger", ("oil",), lambda style: PAINTERS[style].paint, 1),
    ]
    shown, moving = list(exhibits(128, 1, 0)), list(clips(128, 2, 0))
    ticks: list[int] = []
    rows = list(measure("ink", everyone, shown, moving, 0, lambda who, work: ticks.append(work)))
    assert {row.contestant for row in rows} == {"painter", "identity"}
    assert len(rows) == 2 * (6 + 2)
    assert sum(ticks) == work_of("ink", everyone, shown, len(moving))
    assert all(("flicker" in row.scores) == (row.group == "photographs") for row in rows)
    assert [row.scores.keys() for row in rows if row.group == "clips"] == [{"warping"}] * 4
    assert mean(row.scores["flicker"] for row in rows if "flicker" in row.scores and row.contestant == "identity") == 1


def test_figures_are_the_seed_s() -> None:
    identity = Contestant("identity", ("oil",), lambda style: lambda src, noise: src)
    shown = list(exhibits(128, 1, 0))[:1]

    def figures(seed: int) -> dict[str, float]:
        (row,) = measure("oil", [identity], shown, (), seed, lambda who, work: None)
        return {name: value for name, value in row.scores.items() if name != "ms"}

    assert figures(0) == figures(0) != figures(1)


def test_one_step_has_the_painter_s_strokes_in_every_style_and_regression_has_not(shown: Table) -> None:
    for style in load_painter(embedded_path("painter")).spec.styles:
        assert 0.75 <= value(shown, style, "one step", "detail") <= 1.25, style
        assert value(shown, style, "one step", "strokes") > 0.4, style
        assert value(shown, style, "one step", "swd") < value(shown, style, "identity", "swd"), style
    assert value(shown, "oil", "one step", "strokes") > 0.6
    assert value(shown, "oil", "one step", "detail") >= 2 * value(shown, "oil", "regression", "detail")
    assert value(shown, "oil", "one step", "psnr_db") >= value(shown, "oil", "regression", "psnr_db") + 1
    assert value(shown, "oil", "one step", "strokes") >= value(shown, "oil", "regression", "strokes") + 0.15


def test_two_seeds_give_two_paintings_and_the_regression_only_one(shown: Table) -> None:
    diversity = {(row.contestant, row.scores["diversity"]) for row in shown.rows}
    assert all(found > 0.45 for who, found in diversity if who == "one step")
    assert {found for who, found in diversity if who == "regression"} == {0}


def test_bfloat16_keeps_the_strokes() -> None:
    (_, photograph), *_ = photographs(256)
    model = load_painter(embedded_path("painter"))
    with torch.inference_mode():
        subject = sitter(Oil(), photograph, 0)
        exact = score(one_step(model, "oil"), subject)
        rounded = score(one_step(model.to(torch.device("cpu"), torch.bfloat16), "oil"), subject)
    assert rounded.psnr_db == pytest.approx(exact.psnr_db, abs=0.3)
    assert rounded.energy == pytest.approx(exact.energy, rel=0.03)
