"""Changing the model over gRPC: the call that asks for it, and what the calls of streams hear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from cmstream.client import BlockingClient, Client
from cmstream.core.errors import Conflict, NotFound, WeightsRejected
from cmstream.engine.base import Engine
from cmstream.engine.fake import FakeEngine
from cmstream.engine.fake_builder import FakeBuilder
from cmstream.server import Server
from cmstream.settings import GrpcSettings, HttpSettings, Settings, StreamSettings
from tests.session.stage import grey
from tests.transport.grpc.dialogue import Dialogue, dialogue


@pytest.fixture
def builder() -> Iterator[FakeBuilder]:
    engines: dict[str, Engine | Exception] = {
        "plain": FakeEngine(),
        "grey": FakeEngine(styles=("grey", "wash")),
        "broken": WeightsRejected("it is truncated"),
    }
    builder = FakeBuilder(engines)
    yield builder
    builder.close()


@asynccontextmanager
async def server_of(builder: FakeBuilder) -> AsyncIterator[Server]:
    streams = StreamSettings(skip_still="off")
    settings = Settings(http=HttpSettings(port=0), grpc=GrpcSettings(port=0), streams=streams, drain_timeout_s=0.2)
    async with Server(settings, builder=builder) as server:
        yield server


async def level(call: Dialogue, frame_id: int) -> int:
    await call.frame(frame_id, grey(90))
    frame = (await call.hear("frame")).frame
    assert frame.frame_id == frame_id
    return frame.data[0]


async def test_a_call_hears_of_the_new_model_before_the_first_frame_that_it_styles(builder: FakeBuilder) -> None:
    async with server_of(builder) as server, dialogue(server.grpc_address) as call, Client(server.grpc_address) as client:
        await call.open("cam", strength=0.5, seed=3)
        assert await level(call, 0) == 129
        doings: list[str] = []
        done = await client.swap_model("grey", on_doing=doings.append)
        assert (done.model.name, done.model.styles, done.first_frame_ids) == ("grey", ("grey", "wash"), {"cam": 1})
        assert doings[0] == "loading the model"
        changed = (await call.hear("model_changed")).model_changed
        assert (changed.model.name, list(changed.model.styles), changed.first_frame_id) == ("grey", ["grey", "wash"], 1)
        assert dict(changed.parameters)["style"] == "grey"
        assert await level(call, 1) == 92, "strength and seed went over"
        capabilities = await client.capabilities()
        assert capabilities.models[0].name == "grey"
        assert [one.name for one in capabilities.available_models] == ["plain", "grey", "broken"]


async def test_a_call_that_has_ended_is_told_nothing_and_forgotten(builder: FakeBuilder) -> None:
    async with server_of(builder) as server, Client(server.grpc_address) as client:
        async with client.stream("cam"):
            assert len(server.registry.get("cam").on_model) == 1
        async with asyncio.timeout(5), client.stream("other") as stream:
            assert server.registry.get("cam").on_model == set()
            assert stream.model_change is None
            await client.swap_model("grey")
            await stream.send(grey(90))
            result = await anext(stream)
            assert stream.model_change is not None
            assert (stream.model_change.model.name, stream.model_change.first_frame_id) == ("grey", result.frame_id)
            assert stream.params["style"] == "grey"


async def test_what_cannot_be_loaded_ends_the_call_with_the_reason_and_the_model_before_goes_on(builder: FakeBuilder) -> None:
    async with server_of(builder) as server, Client(server.grpc_address) as client:
        with pytest.raises(Conflict, match="stays as it was: it is truncated"):
            await client.swap_model("broken")
        with pytest.raises(NotFound):
            await client.swap_model("../up")
        assert (await client.capabilities()).models[0].name == "plain"


async def test_who_hangs_up_does_not_end_the_change_and_a_second_one_is_refused(builder: FakeBuilder) -> None:
    async with server_of(builder) as server, Client(server.grpc_address) as client:
        builder.held = True
        began = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            gone = group.create_task(client.swap_model("grey", on_doing=lambda what: began.set()))
            await began.wait()
            with pytest.raises(Conflict, match="already"):
                await asyncio.to_thread(ask_blocking, server.grpc_address)
            gone.cancel()
        builder.held = False
        with server.swaps.watch() as watch:
            async with asyncio.timeout(5):
                while server.registry.model.name != "grey":
                    await watch.changed(5)


async def test_who_waits_for_a_model_hears_that_somebody_called_it_off(builder: FakeBuilder) -> None:
    async with server_of(builder) as server, Client(server.grpc_address) as client:
        with pytest.raises(NotFound, match="there is nothing to cancel"):
            await client.cancel_swap()
        builder.held = True
        began = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(outcome_of(client, began))
            await began.wait()
            assert await asyncio.to_thread(cancel_blocking, server.grpc_address) == "grey"
        assert waiting.result() == "the model stays as it was: the change was cancelled"
        assert server.registry.model.name == "plain"


def cancel_blocking(address: str) -> str:
    with BlockingClient(address) as client:
        return client.cancel_swap()


def ask_blocking(address: str) -> None:
    with BlockingClient(address) as client:
        client.swap_model("grey")


async def test_a_server_that_stops_ends_the_call_that_waits_for_a_model(builder: FakeBuilder) -> None:
    async with server_of(builder) as server, Client(server.grpc_address) as client:
        builder.held = True
        began = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(outcome_of(client, began))
            await began.wait()
            await server.drain()
        assert "shutting down" in waiting.result()


async def outcome_of(client: Client, began: asyncio.Event) -> str:
    with pytest.raises(Conflict) as refused:
        await client.swap_model("grey", on_doing=lambda what: began.set())
    return str(refused.value)
