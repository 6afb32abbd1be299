"""`cmstream stylize` with a latent model, tiny and random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.models.latent.checkpoints import write_checkpoint

Cmstream = Callable[..., Any]


def test_a_prompt_steps_and_guidance_decide_the_picture(
    cmstream: Cmstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMSTREAM_MODELS__OFFLINE", "true")
    monkeypatch.setenv("CMSTREAM_ENGINE__SIZE_PX", "64")
    model = write_checkpoint(tmp_path / "tiny", "sd-turbo")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)).save(tmp_path / "in.png")

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
