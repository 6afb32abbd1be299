"""Models by name and by path."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmstream.core.errors import NotFound, WeightsRejected
from cmstream.models.registry import embedded_path, listings, load


def test_the_painter_is_embedded_and_listed_as_present() -> None:
    (painter,) = [listing for listing in listings() if listing.name == "painter"]
    assert painter.present
    assert 0 < painter.size_bytes < 8_000_000
    assert painter.licence == "Apache-2.0"
    spec = load("painter").spec
    assert spec.name == "painter"
    assert spec.styles[:2] == ("oil", "watercolour")
    assert spec.multiple_px == 16


def test_a_path_loads_too() -> None:
    assert load(str(embedded_path("painter"))).spec == load("painter").spec


@pytest.mark.parametrize("name", ["paintr", "Painter ", "", "sd-turbo"])
def test_an_unknown_name_gets_the_nearest(name: str) -> None:
    with pytest.raises(NotFound, match="nearest is 'painter'"):
        load(name)


def test_a_missing_file_and_a_pickle_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsRejected, match="cannot be read"):
        load(str(tmp_path / "absent.safetensors"))
    with pytest.raises(WeightsRejected, match="pickle"):
        load("model.pt")
