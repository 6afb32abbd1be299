"""A latent model, tiny and random, in the real server: prompts in the console's controls, and over gRPC."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from cmstream.client import Client, Result
from cmstream.client.stream import Stream
from cmstream.core.frame import Rgb
from cmstream.core.picture import encode_png
from cmstream.models.latent.loading import load_folder
from tests.e2e.chromium import drive, need_browser, served
from tests.e2e.serving import serving
from tests.models.latent.checkpoints import write_checkpoint, write_lora
from tests.models.latent.hinting import write_adapter, write_controlnet, write_image_encoder

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("model") / "tiny-turbo", "sd-turbo")


@pytest.fixture(scope="module")
def environment(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    ink = write_lora(tmp_path_factory.mktemp("ink"), model, seed=1)
    beside, loaded = tmp_path_factory.mktemp("beside"), load_folder(model)
    write_image_encoder(beside / "image_encoder")
    return {
        "CMSTREAM_ENGINE__MODEL": str(model),
        "CMSTREAM_ENGINE__SIZE_PX": "128",
        "CMSTREAM_STREAMS__ADAPT": "false",
        "CMSTREAM_MODELS__LORAS": json.dumps([f"ink={ink}"]),
        "CMSTREAM_MODELS__CONTROLNET": str(write_controlnet(beside / "canny", loaded)),
        "CMSTREAM_MODELS__IP_ADAPTER": str(write_adapter(beside / "adapter.safetensors", loaded)),
        "CMSTREAM_MODELS__OFFLINE": "true",
    }


@pytest.fixture(scope="module")
def address(environment: dict[str, str]) -> Iterator[str]:
    with served(0, **environment) as address:
        yield address


def test_the_console_shows_boxes_for_prompts_and_what_is_typed_arrives_while_frames_flow(address: str, tmp_path: Path) -> None:
    need_browser()
    photograph = tmp_path / "photograph.png"
    photograph.write_bytes(encode_png(np.ascontiguousarray(data.astronaut())))  # type: ignore[no-untyped-call]  # scikit-image has no types
    seen = drive("prompts.mjs", address, str(photograph), str(tmp_path / "console.png"))
    assert seen["errors"] == []
    wanted = {"prompt", "negative_prompt", "steps", "guidance", "guidance_mode", "loras", "strength", "seed"}
    assert wanted | {"feedback", "structure", "reference", "reference_scale"} <= {*seen["controls"]}
    assert seen["before"] == "an oil painting, thick brush strokes"
    assert seen["one"]["prompt"] == "a red cat"
    assert seen["mixed"]["prompt"].keys() == {"a red cat", "blue house"}
    assert seen["inked"]["loras"] == {"ink": 2.0}
    assert seen["looked"]["reference"].startswith("sha256:")
    assert "data:" not in seen["address"]
    assert seen["flows"] >= 2
    assert seen["left"]["prompt"] == "a red cat"


async def styled(stream: Stream, picture: Rgb) -> Result:
    await stream.send(picture)
    return await anext(stream)


async def test_a_prompt_changes_the_picture_from_the_frame_that_its_answer_names(environment: dict[str, str]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    settings = {**environment, "CMSTREAM_STREAMS__SKIP_STILL": "off"}
    async with serving(128, **settings) as (_, _, grpc, _), Client(grpc) as client:
        model = (await client.capabilities()).models[0]
        assert {spec.name: spec for spec in model.parameters}["prompt"].is_mixed
        async with client.stream(prompt="a red cat", transition_ms=0) as stream:
            before = [await styled(stream, picture) for _ in range(3)]
            update = await stream.update(prompt={"blue house": 1, "fog": 1}, seed=3)
            after = [await styled(stream, picture) for _ in range(3)]
    assert {str(result.params["prompt"]) for result in before} == {"a red cat"}
    assert all(result.params["prompt"] == {"blue house": 0.5, "fog": 0.5} for result in after)
    assert update.first_frame_id == after[0].frame_id
    assert np.abs(before[0].rgb.astype(int) - before[2].rgb).max() == 0
    assert np.abs(before[0].rgb.astype(int) - after[0].rgb).max() > 3
