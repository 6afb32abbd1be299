"""The whole server changes its painter while a stream is published, watched and recorded: it flows on, young and in order."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from cmstream.client import Client, Result, Stream
from cmstream.server import Server
from cmstream.settings import (
    EngineSettings,
    GrpcSettings,
    HttpSettings,
    ModelSettings,
    RecordingSettings,
    Settings,
    StreamSettings,
)
from tests.engine.painters import save_small_painter
from tests.test_server import first_frame, peer
from tests.transport.grpc.dialogue import picture

BUDGET_MS = 2_000
PATIENCE_S = 40


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Starts with `first`, and may change to `wave`, whose file is good, and to `broken`."""
    first, wave, broken = (tmp_path / f"{name}.safetensors" for name in ("first", "wave", "broken"))
    save_small_painter(first, "oil", "ink")
    save_small_painter(wave, "ink", "wash", "fog")
    broken.write_bytes(wave.read_bytes()[:-100])
    films = tmp_path / "films"
    films.mkdir()
    return Settings(
        http=HttpSettings(port=0),
        grpc=GrpcSettings(port=0),
        engine=EngineSettings(model=str(first), device="cpu", runtime="torch", size_px=64, threads=1, remember="off"),
        models=ModelSettings(swappable=(f"wave={wave}", f"broken={broken}")),
        streams=StreamSettings(budget_ms=BUDGET_MS, skip_still="off", lowest_px=64),
        recording=RecordingSettings(folder=str(films)),
    )


class Flow:
    """A source of fifty frames a second, and what came back of it."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self._more = asyncio.Event()

    async def run(self, stream: Stream) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send(stream))
            async for result in stream:
                self.results.append(result)  # noqa: PERF401 - others look at it meanwhile
                self._more.set()

    async def until(self, holds: Callable[[Result], bool]) -> None:
        """The newest result is so."""
        while not self.results or not holds(self.results[-1]):
            self._more.clear()
            await self._more.wait()

    async def _send(self, stream: Stream) -> None:
        number = 0
        while True:
            await stream.offer(picture(number % 8, 96, 64))
            number += 1
            await asyncio.sleep(0.02)


async def change(http: ClientSession, model: str) -> dict[str, Any]:
    """The outcome."""
    async with http.put("/api/v1/model", json={"model": model}) as answer:
        assert answer.status == 202
    while True:
        async with http.get("/api/v1/model") as answer:
            about: dict[str, Any] = await answer.json()
        if about["swap"]["state"] in ("finished", "failed"):
            return about
        await asyncio.sleep(0.05)


async def freed(engine: weakref.ref[Any]) -> bool:
    """Whether the engine goes away by itself, and soon: it is closed on another thread."""
    for _ in range(100):
        if engine() is None:
            return True
        await asyncio.sleep(0.05)
    return False


@pytest.mark.timeout(90)
async def test_a_stream_flows_through_a_change_of_painters(settings: Settings) -> None:
    flow = Flow()
    async with (
        Server(settings) as server,
        ClientSession(server.http_address) as http,
        Client(server.grpc_address) as client,
        client.stream("cam", style="ink", strength=0.5) as stream,
        peer(http, "/whep/cam", publishes=False) as viewer,
        asyncio.timeout(PATIENCE_S),
    ):
        async with http.post("/api/v1/streams/cam/recordings") as answer:
            recording = f"/api/v1/streams/cam/recordings/{(await answer.json())['id']}"
        assert server._scheduler is not None
        engine = weakref.ref(server._scheduler.engine)
        async with asyncio.TaskGroup() as group:
            flowing = group.create_task(flow.run(stream))
            await first_frame(viewer)
            failed = await change(http, "broken")
            before = flow.results[-1].frame_id
            await flow.until(lambda result: result.frame_id > before + 5)
            done = await change(http, "wave")
            first = done["swap"]["first_frame_ids"]["cam"]
            await flow.until(lambda result: result.frame_id > first + 5)
            await first_frame(viewer)
            flowing.cancel()
        async with http.delete(recording) as answer:
            film = await answer.json()
        assert await freed(engine), "the engine before is freed"
        engines = [thread for thread in threading.enumerate() if thread.name.startswith("engine-cpu")]
        assert len(engines) == 1
        assert stream.model_change is not None
        assert (stream.model_change.model.styles, stream.model_change.first_frame_id) == (("ink", "wash", "fog"), first)
    assert (failed["name"], failed["swap"]["state"], "damaged" in failed["swap"]["reason"]) == ("first", "failed", True)
    assert (done["name"], done["swap"]["state"]) == ("wave", "finished")
    results = flow.results
    assert all(one.frame_id < next_one.frame_id for one, next_one in pairwise(results)), "in order"
    assert sum(before < result.frame_id < first for result in results) > 5, "it flowed while the model was loaded"
    assert max(result.total_ms for result in results) < BUDGET_MS, "never older than the budget"
    assert {result.params["style"] for result in results} == {"ink"}
    assert (film["state"], film["pictures"] > 0) == ("finished", True)


async def test_a_server_is_stopped_in_time_while_a_painter_warms_up(settings: Settings) -> None:
    async with Server(settings) as server, ClientSession(server.http_address) as http:
        async with http.put("/api/v1/model", json={"model": "wave"}) as answer:
            assert answer.status == 202
        await asyncio.wait_for(server.drain(), PATIENCE_S)
        assert not server.outlived
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("engine-cpu")]
