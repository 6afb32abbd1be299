"""Another model, chosen in the console of a real server while the picture flows."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from aiohttp import ClientSession

from cmstream.models.registry import embedded_path
from tests.e2e.chromium import drive, need_browser, served
from tests.engine.painters import save_small_painter

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

SLOW_READER = """
import sys
from cmstream.__main__ import main
from cmstream.engine.fake import FakeEngine
from cmstream.engine.fake_builder import FakeBuilder
from cmstream.server import Server

def build(self):
    self._builder = FakeBuilder({"plain": FakeEngine(), "slow": FakeEngine()})
    self._builder.held = self._builder.deaf = True
    return FakeEngine()

Server._build_engine = build
sys.argv = ["cmstream", "serve", "--http-port", "0", "--grpc-port", "0"]
main()
"""


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
    with served(0, **environment) as address:
        seen = drive("models.mjs", address, str(tmp_path / "loading.png"), str(tmp_path / "changed.png"), timeout_s=110)
    sys.stdout.write(f"\nframes while the model was loaded: {seen['framesMeanwhile']}; pictures in {tmp_path}\n")
    assert seen["errors"] == []
    assert (seen["offered"], seen["first"]) == (["Painter, eight styles", "wave", "broken"], "painter")
    assert seen["cancelled"] == {"shown": "painter", "swap": "cancelled", "isSilent": True, "isGone": True}
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


async def test_a_server_that_is_stopped_while_a_model_is_read_that_nothing_interrupts_ends_well() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SLOW_READER,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "CMSTREAM_DRAIN_TIMEOUT_S": "0.2"},
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        words = dict(word.split("=") for word in line.split() if "=" in word)
        async with ClientSession(words["http"]) as http, http.put("/api/v1/model", json={"model": "slow"}) as answer:
            assert answer.status == 202
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
