"""The table: means, ratios with their errors, and a file that gives back what was written."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from cmstream.training.table import Cost, Row, Setting, Table, joined, read_table, table_json


def table(**values: list[float]) -> Table:
    """Contestant -> SWD of each picture, in oil."""
    rows = [
        Row("oil", who, "photo" if picture else "photographs", f"picture {picture}", {"swd": value})
        for who, each in values.items()
        for picture, value in enumerate(each)
    ]
    models = {who: {"file": f"{who}.safetensors"} for who in values}
    return Table(Setting(64, 0, 1, 2, models), "a machine", {who: Cost(1, 0.5) for who in values}, tuple(rows))


def test_a_mean_has_the_standard_error_of_its_pictures() -> None:
    found = table(a=[1.0, 2.0, 3.0, 6.0]).mean("oil", "a", "swd")
    assert found is not None
    assert found.value == 3
    assert found.error == pytest.approx(np.std([1, 2, 3, 6], ddof=1) / 2)


def test_a_mean_of_one_group_and_of_nothing() -> None:
    measured = table(a=[1.0, 2.0, 3.0])
    only = measured.mean("oil", "a", "swd", {"photographs"})
    assert only is not None
    assert (only.value, math.isnan(only.error), str(only)) == (1.0, True, "1.000")
    assert measured.mean("oil", "a", "psnr_db") is None
    assert measured.mean("ink", "a", "swd") is None


def test_what_moves_both_sides_alike_is_no_error_of_a_ratio() -> None:
    exact = table(a=[2.0, 4.0, 9.0], b=[1.0, 2.0, 4.5]).ratio("oil", "swd", "a", "b")
    assert exact is not None
    assert exact.value == 2
    assert exact.error == pytest.approx(0, abs=1e-12)


def test_the_error_of_a_ratio_is_how_much_ratios_of_other_pictures_scatter() -> None:
    generator = np.random.default_rng(0)
    ratios, errors = [], []
    for _ in range(400):
        b = generator.uniform(0.5, 1.5, 12)
        a = 1.1 * b + generator.normal(0, 0.1, 12)
        found = table(a=a.tolist(), b=b.tolist()).ratio("oil", "swd", "a", "b")
        assert found is not None
        ratios.append(found.value)
        errors.append(found.error)
    assert np.mean(ratios) == pytest.approx(1.1, abs=0.01)
    assert np.mean(errors) == pytest.approx(np.std(ratios), rel=0.1)


def test_a_ratio_to_what_was_not_measured_on_the_same_pictures_or_is_nothing_is_none() -> None:
    measured = table(a=[1.0, 2.0], b=[1.0], c=[0.0, 0.0])
    assert measured.ratio("oil", "swd", "a", "b") is None
    assert measured.ratio("oil", "swd", "a", "d") is None
    assert measured.ratio("oil", "swd", "a", "c") is None


def test_what_is_too_sharp_in_one_picture_makes_up_for_no_blur_in_another() -> None:
    scores = {"painter": (1.0, 3.0), "uneven": (2.0, 2.0), "even": (1.2, 3.6)}
    rows = tuple(
        Row("oil", who, "photo", str(n), {"energy": each}) for who, two in scores.items() for n, each in enumerate(two)
    )
    measured = Table(Setting(64, 0, 1, 2, {}), "a machine", {}, rows)
    found = [(measured.detail("oil", who), measured.detail_error("oil", who)) for who in ("uneven", "even")]
    assert [(detail.value, error.value) for detail, error in found if detail and error] == [
        (1.0, 0.5),
        (1.2, pytest.approx(0.2)),
    ]
    assert measured.detail_error("oil", "nobody") is None


def test_what_is_written_is_read_again_and_joins_with_others(tmp_path: Path) -> None:
    measured = table(a=[1.0, 2.0], b=[1.5, 2.5])
    (tmp_path / "table.json").write_text(table_json(measured))
    again = read_table(tmp_path / "table.json")
    assert again == measured
    both = joined([again, Table(again.setting, "", again.costs, (Row("ink", "a", "photo", "p", {"swd": 4.0}),))])
    assert both.styles == ("oil", "ink")
    assert both.contestants("ink") == ("a",)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"rows": []}', '{"costs": {}, "setting": {"odd": 1}, "rows": [], "machine": ""}']
)
def test_another_file_is_no_table(tmp_path: Path, content: str) -> None:
    (tmp_path / "table.json").write_text(content)
    with pytest.raises(ValueError, match=r"not a table|Expecting"):
        read_table(tmp_path / "table.json")
