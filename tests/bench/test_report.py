"""The figures of a benchmark."""

from __future__ import annotations

import json

import pytest

from cmstream.bench.hardware import hardware
from cmstream.bench.report import SCHEMA, Percentiles, Report, percentiles


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert percentiles(values) == Percentiles(50.0, 95.0, 99.0)
    assert percentiles(values[::-1]) == Percentiles(50.0, 95.0, 99.0)
    assert percentiles([3.0]) == Percentiles(3.0, 3.0, 3.0)
    assert percentiles([1.0, 9.0]) == Percentiles(1.0, 9.0, 9.0)


def test_nothing_measured_is_an_error_not_a_zero() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        percentiles([])


def test_the_report_is_json_with_its_schema_and_the_machine_it_was_made_on() -> None:
    report = json.loads(json.dumps(Report("1.2.3", hardware()).as_json()))
    assert report["schema"] == SCHEMA
    assert report["cmstream"] == "1.2.3"
    assert report["hardware"]["cpu"]
    assert report["hardware"]["cores"] >= 1
    assert report["hardware"]["torch"].startswith("2.")
