"""A latent model with all that may be loaded beside it, from its settings to its streams: the whole server in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from aiohttp import ClientSession

from cmstream.client import Client, Result
from cmstream.client.stream import Stream
from cmstream.core.errors import InvalidParameters
from cmstream.core.picture import encode_png
from cmstream.models.latent.loading import load_folder
from cmstream.server import Server
from cmstream.settings import EngineSettings, GrpcSettings, HttpSettings, ModelSettings, Settings, StreamSettings
from tests.core.sending import data_url, picture_url
from tests.models.latent.checkpoints import write_checkpoint
from tests.models.latent.hinting import write_adapter, write_controlnet, write_image_encoder

SIDE_PX = 64
CAM = "/api/v1/streams/cam"
SOURCE = np.random.default_rng(0).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    loaded = load_folder(write_checkpoint(root / "tiny", "sd-turbo"))
    write_controlnet(root / "canny", loaded)
    write_adapter(root / "adapter.safetensors", loaded)
    write_image_encoder(root / "image_encoder")
    return root


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[Server]:
    told = Settings(
        http=HttpSettings(port=0),
        grpc=GrpcSettings(port=0),
        engine=EngineSettings(
            model=str(folder / "tiny"), device="cpu", dtype="float32", size_px=SIDE_PX, threads=1, remember="off"
        ),
        models=ModelSettings(controlnet=str(folder / "canny"), ip_adapter=str(folder / "adapter.safetensors"), offline=True),
        streams=StreamSettings(skip_still="off", adapt=False),
    )
    async with Server(told) as server:
        yield server


async def styled(stream: Stream) -> Result:
    await stream.send(SOURCE)
    return await anext(stream)


def apart(one: Result, other: Result) -> int:
    return int(np.abs(one.rgb.astype(int) - other.rgb).max())


async def test_a_change_acts_on_the_frame_that_its_answer_names_and_the_stream_flows(server: Server) -> None:
    async with Client(server.grpc_address) as client:
        kinds = {spec.name: spec.kind for spec in (await client.capabilities()).models[0].parameters}
        assert (kinds["feedback"], kinds["structure"], kinds["reference"]) == ("number", "number", "picture")
        async with client.stream("cam", prompt="fog", transition_ms=0, noise_motion="fixed") as stream:
            plain = await styled(stream)
            for patch in ({"structure": 1.0}, {"structure": 0, "reference": picture_url(1), "reference_scale": 1.0}):
                update = await stream.update(**patch)
                changed = await styled(stream)
                assert update.first_frame_id == changed.frame_id
                assert apart(changed, plain) > 3
            assert changed.params["reference"].startswith("sha256:")
            for refused in ("https://example.org/picture.png", picture_url(2)[:-40]):
                with pytest.raises(InvalidParameters, match="reference: "):
                    await stream.update(reference=refused)
            assert apart(await styled(stream), changed) == 0
            await stream.update(reference="", seed=5, feedback=0.9)
            first, *_, last = [await styled(stream) for _ in range(3)]
            assert apart(first, last) <= 1, "of a still picture that is painted alike nothing changes"
            update = await stream.update(seed=0)
            led = await styled(stream)
            assert (update.first_frame_id, led.params["reference"]) == (led.frame_id, "")
            assert 0 < apart(led, last) < apart(plain, last), "it is on the way there, and not there"


async def test_a_picture_is_taken_over_http_as_well_and_told_by_its_digest(server: Server) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (128, 128, 3), np.uint8)
    async with (
        Client(server.grpc_address) as client,
        client.stream("cam") as stream,
        ClientSession(server.http_address) as http,
    ):
        await styled(stream)
        async with http.patch(CAM, json={"reference": data_url(encode_png(noise))}) as answer:
            told = (await answer.json())["params"]["reference"]
            assert (answer.status, told[:7]) == (200, "sha256:")
        async with http.patch(CAM, json={"reference": told, "reference_scale": 0.5}) as answer:
            assert (answer.status, (await answer.json())["params"]["reference"]) == (200, told)
        async with http.patch(CAM, json={"reference": picture_url(2)[:-40]}) as answer:
            assert (answer.status, [*(await answer.json())["errors"]]) == (422, ["reference"])
        async with http.patch(CAM, json={"reference": "data:image/png;base64," + "A" * 800_000}) as answer:
            assert answer.status == 413
        assert (await styled(stream)).params["reference"] == told
