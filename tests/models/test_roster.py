"""What a name from the network may stand for: what the operator allows, and never a path of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmstream.core.errors import ConfigurationError, NotFound
from cmstream.models.registry import embedded_path, listings, load
from cmstream.models.roster import Roster
from cmstream.settings import ModelSettings

PAINTER = str(embedded_path("painter"))


def roster(*swappable: str, started: str = "painter") -> Roster:
    return Roster(ModelSettings(swappable=swappable), started)


def names(found: Roster) -> list[str]:
    return [listing.name for listing in found.listings()]


def test_by_default_it_is_what_the_registry_lists() -> None:
    found = Roster(ModelSettings(), "painter")
    assert found.listings() == listings()
    assert (found.first, found.place("sd-turbo")) == ("painter", "sd-turbo")


def test_an_operator_names_files_folders_and_repositories_under_names_of_theirs(tmp_path: Path) -> None:
    found = roster("painter", f"wave={PAINTER}", f"folder={tmp_path}", "turbo=hf:owner/name@main")
    assert names(found) == ["painter", "wave", "folder", "turbo"]
    assert load(found.place("wave")).spec == load("painter").spec
    assert found.place("turbo") == "hf:owner/name@main"
    by_name = {listing.name: listing for listing in found.listings()}
    assert (by_name["wave"].size_bytes, by_name["wave"].present) == (Path(PAINTER).stat().st_size, True)
    assert not by_name["turbo"].present


@pytest.mark.parametrize(
    "asked", ["../painter", "/etc/passwd", PAINTER, "hf:owner/name", "painter.ckpt", "", "wave\0", "sdturbo"]
)
def test_whatever_else_is_asked_for_is_not_found(asked: str) -> None:
    with pytest.raises(NotFound, match="nearest is") as refused:
        roster("painter", f"wave={PAINTER}", "sd-turbo").place(asked)
    assert PAINTER not in str(refused.value).replace(repr(asked), ""), "where files lie is nobody's business"


@pytest.mark.parametrize(
    ("started", "name"),
    [
        (PAINTER, "own-painter"),
        ("hf:owner/name@v1", "name"),
        ("/models/mine.safetensors", "mine.safetensors"),
        ("sd-turbo", "sd-turbo"),
    ],
)
def test_there_is_a_way_back_to_what_the_server_started_with(started: str, name: str) -> None:
    found = roster("listed", started=started)
    assert found.first == name
    assert found.place(name) == started
    assert name in names(found)


def test_what_the_server_started_with_goes_by_the_name_that_it_was_given() -> None:
    assert roster("painter", f"wave={PAINTER}", started=PAINTER).first == "wave"


@pytest.mark.parametrize(
    "bad", ["rembrandt", "wave=", "=x.safetensors", "../up=x.safetensors", "a b=x.safetensors", "x=hf:../../up", ""]
)
def test_an_entry_that_makes_no_sense_stops_the_start(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="models.swappable"):
        roster("painter", bad)


def test_without_a_folder_to_keep_models_in_there_is_a_list_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmstream.models.latent.opening.cache_folder", lambda setting: None)
    found = roster("listed", "x=hf:owner/name")
    assert [listing.name for listing in found.listings() if listing.present] == ["painter"]


def test_a_file_that_cannot_even_be_looked_at_is_listed_as_absent() -> None:
    too_long = "x" * 300 + ".safetensors"
    found = {
        listing.name: listing for listing in roster("painter", f"strange={too_long}", "missing=nowhere.safetensors").listings()
    }
    assert (found["strange"].present, found["missing"].present, found["painter"].present) == (False, False, True)


def test_an_empty_list_changes_the_model_for_nobody() -> None:
    found = roster()
    assert found.listings() == ()
    with pytest.raises(NotFound, match="models.swappable is empty"):
        found.place("painter")
    assert found.first == "painter"
