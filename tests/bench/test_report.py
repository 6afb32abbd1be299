"""The figures of a benchmark."""

from __future__ import annotations

import json

from cmstream.bench.hardware import hardware
from cmstream.bench.report import SCHEMA, Report


def test_the_report_is_json_with_its_schema_and_the_machine_it_was_made_on() -> None:
    report = json.loads(json.dumps(Report("1.2.3", hardware()).as_json()))
    assert report["schema"] == SCHEMA
    assert report["cmstream"] == "1.2.3"
    assert report["hardware"]["cpu"]
    assert report["hardware"]["cores"] >= 1
    assert report["hardware"]["torch"].startswith("2.")
