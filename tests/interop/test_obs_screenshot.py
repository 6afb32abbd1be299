"""The README's picture of OBS with the filter and its dialog, taken from the real thing."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.interop.obs_build import ROOT, built, need_obs
from tests.interop.obs_stage import difference, film, filtered_film, styling
from tests.interop.obs_studio import obs_studio
from tests.interop.test_obs_filter import PAINTED

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(700)]

PICTURE = ROOT / "docs" / "images" / "obs-filter.png"
REFRESH = "REFRESH_PICTURES"
"""Set in the environment, the picture of the README is made anew; otherwise it is only looked at."""


async def test_obs_with_the_filter_and_its_dialog_looks_as_in_the_readme(tmp_path: Path) -> None:
    need_obs()
    await asyncio.to_thread(built)
    path = await asyncio.to_thread(film, tmp_path / "film.mp4")
    async with obs_studio(tmp_path) as obs, styling() as (_, address), filtered_film(obs, path, address) as painted:
        source = await painted.pause()
        before = obs.screen.picture()
        await painted.becomes(lambda picture: difference(picture, source) > PAINTED)
        await obs.ask.ask("OpenInputFiltersDialog", inputName=painted.name)
        await asyncio.sleep(2)
        screen = obs.screen.picture()
    assert difference(screen, before) > 2, "a dialog has opened"
    if os.environ.get(REFRESH):
        Image.fromarray(screen).save(PICTURE, optimize=True)
    known = np.asarray(Image.open(PICTURE).convert("RGB"))
    assert known.shape == screen.shape
