"""What a painter is besides its weights: pure data, read from a weights file as something hostile."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

PATCH_PX = 4


@dataclass(frozen=True, slots=True)
class PainterConfig:
    """Everything that makes a painter besides its weights; stored in the weights file."""

    styles: tuple[str, ...]
    sigma_data: float
    channels: tuple[int, ...] = (48, 64, 96)
    blocks: tuple[int, ...] = (1, 1, 2)
    """Blocks per level; levels above the deepest have as many again on the way up."""
    embedding: int = 96
    stroke_scales: tuple[float, float] = (1.0, 1.0)
    """The least and the greatest size of strokes it was trained with, 1 being the painter's own."""
    uses_noise: bool = True
    """False for a regression baseline, whose noise input is zero: one source, one picture."""
    name: str = "painter"
    title: str = "Painter"
    licence: str = "Apache-2.0"

    @property
    def multiple_px(self) -> int:
        """Sides of pictures must be multiples of this."""
        return PATCH_PX << (len(self.channels) - 1)


def format_config(config: PainterConfig) -> str:
    """The JSON that `parse_config` reads."""
    return json.dumps(asdict(config))


def parse_config(text: str) -> PainterConfig:
    """Read a config from JSON. Raises ValueError, in words; bounds keep a file from asking for all memory."""
    try:
        raw = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(raw, dict):
        raise ValueError("it is not an object")
    if raw.keys() != _FIELDS.keys():
        odd = sorted(raw.keys() ^ _FIELDS.keys())
        raise ValueError(f"its fields are not those of this version: {', '.join(odd)[:120]}")
    for name, (good, must) in _FIELDS.items():
        if not good(raw[name]):
            raise ValueError(f"{name} must be {must}")
    if raw["stroke_scales"][0] > raw["stroke_scales"][1]:
        raise ValueError("stroke_scales must be the least and the greatest")
    if len(raw["channels"]) != len(raw["blocks"]):
        raise ValueError("channels and blocks must have one entry per level")
    checked: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()}
    return PainterConfig(**checked)


def _is_text(value: Any, at_most: int = 100) -> bool:
    return isinstance(value, str) and 0 < len(value) <= at_most


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_list(value: Any, at_most: int, good: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= at_most and all(good(each) for each in value)


def _are_styles(value: Any) -> bool:
    return _is_list(value, 64, lambda style: _is_text(style, 40)) and len(set(value)) == len(value)


def _are_scales(value: Any) -> bool:
    return _is_list(value, 2, lambda scale: _is_number(scale, 0.25, 4)) and len(value) == 2


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and low <= value <= high


def _is_sigma(value: Any) -> bool:
    return _is_number(value, 0, 10) and value > 0


_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "styles": (_are_styles, "1 to 64 different names of at most 40 characters"),
    "sigma_data": (_is_sigma, "a number above 0 and at most 10"),
    "channels": (
        lambda value: _is_list(value, 6, lambda width: _is_whole(width, 1, 512)),
        "1 to 6 whole numbers from 1 to 512",
    ),
    "blocks": (lambda value: _is_list(value, 6, lambda count: _is_whole(count, 0, 8)), "1 to 6 whole numbers from 0 to 8"),
    "stroke_scales": (_are_scales, "two numbers from 0.25 to 4"),
    "embedding": (lambda value: _is_whole(value, 1, 1024), "a whole number from 1 to 1024"),
    "uses_noise": (lambda value: isinstance(value, bool), "true or false"),
    "name": (_is_text, "text of 1 to 100 characters"),
    "title": (_is_text, "text of 1 to 100 characters"),
    "licence": (_is_text, "text of 1 to 100 characters"),
}
