"""Promises are kept by figures within their limits, broken by figures beyond them, and never kept unmeasured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cmstream.training.claims import Finding, findings
from cmstream.training.table import Cost, Row, Setting, Table

GOOD = {
    "painter": {"energy": 1.0, "swd": 0.04, "warping": 0.2, "flicker": 0.5, "ms": 40.0},
    "one step": {"energy": 0.95, "swd": 0.10, "warping": 0.25, "flicker": 0.4, "ms": 10.0},
    "coupled": {"energy": 0.8, "swd": 0.15, "warping": 0.2, "flicker": 0.4, "ms": 10.0},
    "regression": {"energy": 0.2, "swd": 0.5, "warping": 0.1, "flicker": 0.2, "ms": 10.0},
    "uncoupled": {"energy": 1.5, "swd": 0.3, "warping": 0.2, "flicker": 0.4, "ms": 10.0},
    "teacher": {"energy": 0.9, "swd": 0.10, "warping": 0.2, "flicker": 0.4, "ms": 480.0},
}


def verdict(**changed: dict[str, float]) -> list[Finding]:
    scores = {who: each | changed.get(who.replace(" ", "_"), {}) for who, each in GOOD.items()}
    groups = ("photographs", "photo", "photo")
    rows = tuple(Row("oil", who, group, f"{group} {n}", each) for who, each in scores.items() for n, group in enumerate(groups))
    costs = {who: Cost(50, 50.0) if who == "teacher" else Cost(1, 1.0) for who in GOOD}
    return list(findings(Table(Setting(64, 0, 1, 2, {}), "a machine", costs, rows)))


def broken(**changed: dict[str, float]) -> list[str]:
    return [found.claim for found in verdict(**changed) if not found.kept]


def test_figures_within_every_limit_keep_every_promise() -> None:
    assert broken() == []
    assert len(verdict()) == 10


@pytest.mark.parametrize(
    ("who", "score", "value", "claim"),
    [
        ("one_step", "swd", 0.106, "teacher"),
        ("one_step", "warping", 0.261, "warping"),
        ("one_step", "flicker", 0.51, "flicker"),
        ("coupled", "swd", 0.31, "below uncoupled"),
        ("coupled", "swd", 0.3, "below uncoupled"),
        ("regression", "swd", 0.14, "below regression"),
        ("uncoupled", "energy", 1.19, "uncoupled"),
        ("regression", "energy", 1.1, "regression"),
    ],
)
def test_a_figure_beyond_its_limit_breaks_its_promise_and_no_other(who: str, score: str, value: float, claim: str) -> None:
    (found,) = broken(**{who: {score: value}})
    assert claim in found


def test_detail_is_promised_of_photographs_and_of_scenes() -> None:
    for energy in (0.89, 1.11):
        assert [claim[:10] for claim in broken(one_step={"energy": energy})] == ["detail on "] * 2


def test_a_teacher_that_is_too_cheap_breaks_the_promise_of_speed() -> None:
    rows = tuple(Row("oil", who, group, group, each) for who, each in GOOD.items() for group in ("photographs", "photo"))
    costs = {who: Cost(1, 1.0) for who in GOOD} | {"teacher": Cost(25, 25.0)}
    found = findings(Table(Setting(64, 0, 1, 2, {}), "a machine", costs, rows))
    assert [each.figure for each in found if not each.kept] == ["25.0 times the arithmetic, 48.0 times the time"]


def test_what_was_not_measured_is_not_kept() -> None:
    rows = tuple(
        Row("oil", who, group, group, GOOD[who]) for who in ("painter", "one step") for group in ("photographs", "photo")
    )
    found = findings(Table(Setting(64, 0, 1, 2, {}), "a machine", {}, rows))
    assert [each.kept for each in found] == [True, True, *[False] * 6, True, True]
    assert {each.figure for each in found if not each.kept} == {"not measured"}


def test_a_finding_is_a_line() -> None:
    found = verdict(one_step={"energy": 0.5})[0]
    assert str(found) == "NOT KEPT  oil: detail on photographs from 0.9 to 1.1 of the painter's: 0.500"
    assert str(replace(found, kept=True)).startswith("kept  oil: ")
