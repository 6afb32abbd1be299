"""`cmstream models`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cmstream.core.model_info import Listing
from cmstream.models import registry

Cmstream = Callable[..., Any]


def test_every_model_is_listed_with_licence_size_needs_and_presence(
    cmstream: Cmstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Listing("painter", "Painter", "Apache-2.0", 3 * 2**20, "any CPU", True)
    away = Listing("diffuser", "Diffuser", "MIT", 0, "a GPU", False)
    monkeypatch.setattr(registry, "listings", lambda settings: (here, away))
    outcome = cmstream("models")
    assert outcome.code == 0
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert "painter Painter Apache-2.0 3.0 MiB yes any CPU" in lines
    assert "diffuser Diffuser MIT – no a GPU" in lines


def test_the_embedded_painter_is_listed_as_the_registry_has_it(cmstream: Cmstream) -> None:
    names = {one.name for one in registry.listings()}
    assert "painter" in names
    lines = cmstream("models").out.splitlines()
    assert names <= {line.split()[0] for line in lines}
    assert len(lines) == len(names) + 3, "a heading, a model a line, two hints"
