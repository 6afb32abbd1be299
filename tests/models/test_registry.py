"""Models by name and by path."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cmstream.core.errors import NotFound, WeightsRejected
from cmstream.models.latent.catalogue import CATALOGUE
from cmstream.models.latent.reference import parse_reference
from cmstream.models.latent.students import student_named
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


@pytest.mark.parametrize(
    ("name", "nearest"), [("paintr", "painter"), ("Painter ", "painter"), ("", "painter"), ("sdturbo", "sd-turbo")]
)
def test_an_unknown_name_gets_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(NotFound, match=f"nearest is '{nearest}'"):
        load(name)


def test_every_latent_model_of_the_catalogue_is_listed_as_absent_with_what_it_takes() -> None:
    by_name = {listing.name: listing for listing in listings()}
    assert by_name.keys() >= {
        "sd-turbo",
        "sdxl-turbo",
        "lcm-dreamshaper-v7",
        "sd15-lcm",
        "sdxl-tcd",
        "sd15-hyper",
        "sana-sprint",
    }
    for name in CATALOGUE:
        assert not by_name[name].present
        assert by_name[name].licence
        assert by_name[name].size_bytes > 10**9
        assert "GB" in by_name[name].needs


def test_every_entry_of_the_catalogue_is_pinned_and_names_a_student_that_is_known() -> None:
    for entry in CATALOGUE.values():
        few_step = entry.few_step
        for reference in (entry.reference, *([] if few_step is None else [few_step.reference])):
            assert parse_reference(str(reference)) == reference
            assert re.fullmatch("[0-9a-f]{40}", reference.revision or "")
        if few_step is not None:
            student_named(few_step.student)


def test_a_missing_file_and_a_pickle_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsRejected, match="cannot be read"):
        load(str(tmp_path / "absent.safetensors"))
    with pytest.raises(WeightsRejected, match="pickle"):
        load("model.pt")
