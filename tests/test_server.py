"""The whole server in this process, on the embedded model: nothing of it is left when it has ended, however it ended."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription

from cmstream.client import Client
from cmstream.core.errors import NotFound
from cmstream.server import Server
from cmstream.settings import EngineSettings, GrpcSettings, HttpSettings, Settings
from tests.transport.grpc.dialogue import picture
from tests.transport.rtc.media import ColourTrack, client, offer_of

SDP = {"Content-Type": "application/sdp"}
PATIENCE_S = 10


def settings(**engine: object) -> Settings:
    small = EngineSettings.model_validate({"device": "cpu", "dtype": "float32", "size_px": 96, **engine})
    return Settings(http=HttpSettings(port=0), grpc=GrpcSettings(port=0), engine=small)


def running() -> set[asyncio.Task[object] | threading.Thread]:
    """Tasks and threads, but for those of the loop's default executor: it ends with the loop, and clients use it too."""
    return asyncio.all_tasks() | {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


async def left_of(before: set[asyncio.Task[object] | threading.Thread]) -> set[asyncio.Task[object] | threading.Thread]:
    """What runs now and did not run before. Objects of clients and of grpc get a moment to go away."""
    for _ in range(60):
        if not running() - before:
            break
        await asyncio.sleep(0.05)
    return running() - before


@asynccontextmanager
async def peer(http: ClientSession, path: str, *, publishes: bool) -> AsyncIterator[RTCPeerConnection]:
    connection = client()
    if publishes:
        connection.addTrack(ColourTrack((20, 40, 200)))
    else:
        connection.addTransceiver("video", direction="recvonly")
    try:
        async with http.post(path, data=await offer_of(connection), headers=SDP) as answer:
            assert answer.status == 201
            await connection.setRemoteDescription(RTCSessionDescription(await answer.text(), "answer"))
        yield connection
    finally:
        await connection.close()


async def first_frame(viewer: RTCPeerConnection) -> None:
    track: MediaStreamTrack = viewer.getTransceivers()[0].receiver.track
    await asyncio.wait_for(track.recv(), PATIENCE_S)


async def use_and_drain() -> None:
    async with Server(settings()) as server, ClientSession(server.http_address) as http:
        async with (
            peer(http, "/whip/cam", publishes=True),
            peer(http, "/whep/cam", publishes=False) as viewer,
            Client(server.grpc_address) as grpc,
            grpc.stream("file") as stream,
        ):
            await stream.send(picture(0, 96, 96))
            await asyncio.wait_for(anext(stream), PATIENCE_S)
            await first_frame(viewer)
            assert "engine-cpu_0" in {thread.name for thread in threading.enumerate()}
            await asyncio.wait_for(server.drain(), PATIENCE_S)
            assert server.registry.sessions() == ()


async def test_a_server_drained_in_full_use_leaves_no_task_and_no_thread() -> None:
    before = running()
    await use_and_drain()
    gc.collect()  # grpc's own thread ends with the last of its objects
    assert await left_of(before) == set()


async def test_a_server_that_cannot_load_its_model_leaves_nothing_behind() -> None:
    before = running()
    with pytest.raises(NotFound, match="rembrandt"):
        async with Server(settings(model="rembrandt")):
            pass
    assert await left_of(before) == set()
