"""A config read from a file is hostile until shown to be good."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cmstream.models.config import PainterConfig, format_config, parse_config

GOOD = PainterConfig(styles=("oil", "ink"), sigma_data=0.5)


def test_what_is_written_is_read_back() -> None:
    assert parse_config(format_config(GOOD)) == GOOD


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("styles", []),
        ("styles", ["oil", "oil"]),
        ("styles", "oil"),
        ("styles", ["x" * 41]),
        ("sigma_data", 0),
        ("sigma_data", float("nan")),
        ("sigma_data", True),
        ("sigma_data", "0.5"),
        ("channels", [10**9, 64, 96]),
        ("channels", [48.0, 64, 96]),
        ("channels", [48] * 7),
        ("blocks", [1, 1, 99]),
        ("blocks", [-1, 1, 2]),
        ("embedding", 10**6),
        ("uses_noise", 1),
        ("name", ""),
        ("title", None),
        ("licence", "x" * 101),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_its_name(name: str, value: Any) -> None:
    raw = {**json.loads(format_config(GOOD)), name: value}
    with pytest.raises(ValueError, match=f"^{name} must be"):
        parse_config(json.dumps(raw))


def test_levels_must_agree() -> None:
    raw = {**json.loads(format_config(GOOD)), "blocks": [1, 1]}
    with pytest.raises(ValueError, match="one entry per level"):
        parse_config(json.dumps(raw))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, '"oil"'])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_config(text)


def test_missing_and_unknown_fields_are_named() -> None:
    raw = json.loads(format_config(GOOD))
    del raw["blocks"]
    with pytest.raises(ValueError, match="blocks, depth"):
        parse_config(json.dumps({**raw, "depth": 3}))
