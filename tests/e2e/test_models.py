"""Another model, chosen in the console of a real server while the picture flows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cmstream.models.registry import embedded_path
from tests.e2e.chromium import drive, need_browser, served
from tests.engine.painters import save_small_painter

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]


def test_a_model_is_chosen_in_the_console_and_the_picture_and_the_controls_follow(tmp_path: Path) -> None:
    need_browser()
    wave, broken = tmp_path / "wave.safetensors", tmp_path / "broken.safetensors"
    save_small_painter(wave, "ink", "wash", "fog")
    broken.write_bytes(embedded_path("painter").read_bytes()[:-100])
    swappable = ["painter", f"wave={wave}", f"broken={broken}"]
    environment = {
        "CMSTREAM_MODELS__SWAPPABLE": json.dumps(swappable),
        "CMSTREAM_STREAMS__ADAPT": "false",
        "CMSTREAM_ENGINE__SIZE_PX": "192",
        "CMSTREAM_ENGINE__RUNTIME": "torch",  # a start without compiling: which form runs is not what is asked
    }
    with served(**environment) as address:
        seen = drive("models.mjs", address, str(tmp_path / "loading.png"), str(tmp_path / "changed.png"), timeout_s=110)
    sys.stdout.write(f"\nframes while the model was loaded: {seen['framesMeanwhile']}; pictures in {tmp_path}\n")
    assert seen["errors"] == []
    assert (seen["offered"], seen["first"]) == (["Painter, eight styles", "wave", "broken"], "painter")
    assert len(seen["before"]) == 8
    assert seen["after"] == ["Ink", "Wash", "Fog"]
    assert seen["model"] == "wave"
    assert (seen["params"]["style"], seen["params"]["strength"]) == ("ink", 0.5), "what it does not know takes its default"
    assert seen["framesMeanwhile"] >= 5, "the picture flowed while it was loaded"
    assert seen["flows"] >= 2
    assert "The model stays as it was" in seen["refusal"]
    assert "damaged" in seen["refusal"]
    assert seen["shown"] == "wave"
    assert "style=watercolour" not in seen["address"]
