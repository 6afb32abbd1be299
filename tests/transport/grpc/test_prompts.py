"""Changes that take a while to be made ready, over gRPC and the JSON API: nothing waits for them but their answer."""

from __future__ import annotations

import asyncio

import pytest

from cmstream.core.errors import EngineFailed
from cmstream.wire.values import json_of
from tests.session.slow_texts import READY, SlowTexts
from tests.transport.grpc.dialogue import PATIENCE_S, Dialogue, dialogue, picture
from tests.transport.grpc.serving import serving
from tests.transport.http.serving import serving as http_serving

CAM = "/api/v1/streams/cam"


@pytest.fixture
def engine() -> SlowTexts:
    return SlowTexts()


async def prompt_of(client: Dialogue, frame_id: int) -> str:
    """With what prompt the next frame is made."""
    await client.frame(frame_id, picture())
    return str(json_of((await client.hear("frame")).frame.parameters)["prompt"])


async def test_frames_are_answered_while_a_prompt_is_encoded(engine: SlowTexts) -> None:
    async with serving(engine=engine) as server, dialogue(server.address) as client:
        await client.open("cam", transition_ms=0)
        await client.update(7, prompt="fog")
        assert [await prompt_of(client, frame) for frame in range(3)] == [READY] * 3
        engine.finish("fog")
        accepted = (await client.hear("parameters_accepted")).parameters_accepted
        assert (accepted.request_id, accepted.first_frame_id) == (7, 3)
        assert await prompt_of(client, 3) == "fog"


async def test_a_prompt_that_cannot_be_encoded_is_refused_in_the_stream_which_goes_on(engine: SlowTexts) -> None:
    async with serving(engine=engine) as server, dialogue(server.address) as client:
        await client.open("cam")
        await client.update(7, prompt="bad")
        await engine.asked("bad")
        engine.finish("bad", EngineFailed("the prompt could not be encoded"))
        rejected = (await client.hear("parameters_rejected")).parameters_rejected
        assert rejected.request_id == 7
        assert "could not be encoded" in rejected.violations[0].description
        assert await prompt_of(client, 0) == READY


async def test_who_has_said_everything_still_gets_the_answer(engine: SlowTexts) -> None:
    async with serving(engine=engine) as server, dialogue(server.address) as client:
        await client.open("cam")
        await client.update(7, prompt="fog")
        await client.finish()
        await engine.asked("fog")
        engine.finish("fog")
        heard = await client.hear_all()
        assert [response.WhichOneof("response") for response in heard] == ["parameters_accepted"]


async def test_a_call_that_leaves_meanwhile_ends_and_gives_its_place_back(engine: SlowTexts) -> None:
    async with serving(engine=engine) as server:
        async with dialogue(server.address) as client:
            await client.open("cam")
            for number in range(3):
                await client.update(number, prompt=f"text {number}")
            await engine.asked("text 2")
        session = server.registry.get("cam")
        with session.watch() as watch:
            while session.publisher is not None:
                assert await watch.changed(PATIENCE_S)
        for _ in range(10):
            await asyncio.sleep(0)  # its tasks end
        session.ask({"prompt": "text 3"}).end()


async def test_a_call_opens_with_its_prompt_ready(engine: SlowTexts) -> None:
    async with serving(engine=engine) as server, dialogue(server.address) as client, asyncio.TaskGroup() as group:
        opening = group.create_task(client.open("cam", prompt="fog"))
        await engine.asked("fog")
        engine.finish("fog")
        assert json_of((await opening).parameters)["prompt"] == "fog"
        assert await prompt_of(client, 0) == "fog"


async def test_a_patch_is_answered_when_its_prompt_is_ready_and_blocks_nobody(engine: SlowTexts) -> None:
    async with http_serving(engine=engine) as (server, http):
        server.registry.open("cam")
        async with asyncio.TaskGroup() as group:
            slow = group.create_task(http.patch(CAM, json={"prompt": {"fog": 1, READY: 3}}))
            await engine.asked("fog")
            async with http.patch(CAM, json={"strength": 0.5}) as quick:
                assert (await quick.json())["params"]["prompt"] == READY
            engine.finish("fog")
        async with await slow as answer:
            params = (await answer.json())["params"]
    assert params["prompt"] == {"fog": 0.25, READY: 0.75}
    assert params["strength"] == 0.5
