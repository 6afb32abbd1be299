"""`cmstream stylize` with a latent model, tiny and random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmstream.models.latent.loading import load_folder
from tests.models.latent.checkpoints import write_checkpoint, write_lora
from tests.models.latent.hinting import write_adapter, write_controlnet, write_image_encoder

Cmstream = Callable[..., Any]
SIDE_PX = 64


@pytest.fixture(autouse=True)
def small_and_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMSTREAM_MODELS__OFFLINE", "true")
    monkeypatch.setenv("CMSTREAM_ENGINE__SIZE_PX", str(SIDE_PX))
    monkeypatch.setenv("CMSTREAM_ENGINE__REMEMBER", "off")


def write_noise(path: Path, seed: int, width_px: int = SIDE_PX, height_px: int = 48) -> Path:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), np.uint8)).save(path)
    return path


def test_a_prompt_steps_and_guidance_decide_the_picture(cmstream: Cmstream, tmp_path: Path) -> None:
    model = write_checkpoint(tmp_path / "tiny", "sd-turbo")
    write_noise(tmp_path / "in.png", 0)

    def painted(*options: str) -> bytes:
        out = tmp_path / "out.png"
        outcome = cmstream("stylize", tmp_path / "in.png", out, "--model", model, "--strength", "0.6", *options)
        assert outcome.code == 0, outcome.err
        with Image.open(out) as picture:
            assert picture.size == (64, 48)
            return picture.tobytes()

    plain = painted("--prompt", "fog")
    assert painted("--prompt", "fog") == plain
    against = ("--guidance", "3", "--negative-prompt", "sun")
    more = (("--prompt", "sun"), ("--prompt", "fog", "--steps", "3"), ("--prompt", "fog", *against))
    assert len({plain, *(painted(*options) for options in more)}) == 4


def test_edges_pictures_and_loras_decide_it_too(cmstream: Cmstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write_checkpoint(tmp_path / "tiny", "sd-turbo")
    loaded = load_folder(model)
    monkeypatch.setenv("CMSTREAM_MODELS__CONTROLNET", str(write_controlnet(tmp_path / "canny", loaded)))
    monkeypatch.setenv("CMSTREAM_MODELS__IP_ADAPTER", str(write_adapter(tmp_path / "adapter.safetensors", loaded)))
    write_image_encoder(tmp_path / "image_encoder")
    monkeypatch.setenv("CMSTREAM_MODELS__LORAS", f'["film={write_lora(tmp_path / "film", model, seed=1)}"]')
    src, wide = write_noise(tmp_path / "in.png", 0), write_noise(tmp_path / "large.bmp", 1, 900, 600)

    def painted(*options: object) -> bytes:
        outcome = cmstream("stylize", src, tmp_path / "out.png", "--model", model, "--strength", "0.6", *options)
        assert outcome.code == 0, outcome.err
        with Image.open(tmp_path / "out.png") as picture:
            return picture.tobytes()

    plain = painted()
    assert painted("--reference", wide, "--param", "reference_scale=0") == plain
    asked_for = (
        ("--param", "structure=1"),
        ("--reference", wide, "--param", "reference_scale=1"),
        ("--reference", write_noise(tmp_path / "other.png", 2), "--param", "reference_scale=1"),
        ("--param", 'loras={"film": 1}'),
        ("--param", 'prompt={"fog": 1, "sun": 2}'),
    )
    assert len({plain, *(painted(*options) for options in asked_for)}) == 1 + len(asked_for)


def test_what_the_model_has_not_is_refused_with_what_it_has(cmstream: Cmstream, tmp_path: Path) -> None:
    model = write_checkpoint(tmp_path / "tiny", "sd-turbo")
    src = write_noise(tmp_path / "in.png", 0)
    options = ("--param", "structure=1", "--param", "eta=0.3", "--reference", src)
    outcome = cmstream("stylize", src, tmp_path / "out.png", "--model", model, *options)
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    for name in ("structure", "eta", "reference"):
        assert f"{name}: unknown parameter; this model knows style, strength, seed" in outcome.err
    assert not (tmp_path / "out.png").exists()
