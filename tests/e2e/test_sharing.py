"""Streams that share one engine, each with a client that sends whenever there is room: what is sent is mostly styled."""

from __future__ import annotations

import asyncio

import pytest

from cmstream.client import Client
from cmstream.client.stream import Stream
from cmstream.core.frame import Drop
from cmstream.v1.frame_pb2 import DROP_REASON_SUPERSEDED
from tests.transport.grpc.dialogue import Dialogue, dialogue, picture
from tests.transport.grpc.serving import Serving, serving

ENGINE_MS = 20.0
STREAMS = 4
FOR_S = 1.5
PICTURES = [picture(seed) for seed in range(7)]


def received(server: Serving) -> float:
    return server.metrics.registry.get_sample_value("cmstream_frames_received_total", {"transport": "grpc"}) or 0.0


async def obey(client: Dialogue, name: str, until_s: float) -> int:
    """A client of somebody else's that fills its window, as the server tells it; returns how many frames came back."""
    window, loop = (await client.open(name)).limits.window_frames, asyncio.get_running_loop()
    sent = back = answered = 0
    while loop.time() < until_s:
        while sent - answered < window:
            await client.frame(sent, PICTURES[sent % 7])
            sent += 1
        heard = await client.call.read()
        answered += 1
        back += heard.HasField("frame")
        assert heard.HasField("frame") or heard.frame_dropped.reason == DROP_REASON_SUPERSEDED
    return back


async def test_clients_that_fill_their_windows_do_not_flood_the_server_when_their_frames_displace_each_other() -> None:
    async with serving(latency_ms=ENGINE_MS) as server:
        server.engine.buckets = (1,)
        until_s = asyncio.get_running_loop().time() + FOR_S

        async def one(number: int) -> int:
            async with dialogue(server.address) as client:
                return await obey(client, f"obedient-{number}", until_s)

        back = await asyncio.gather(*(one(number) for number in range(STREAMS)))
    styled = sum(back)
    assert min(back) >= 0.8 * styled / STREAMS
    superfluous = received(server) - styled
    assert superfluous <= 5 * styled  # without a pause between notices: fifty times as many


async def send_all(stream: Stream, until_s: float) -> None:
    sent = 0
    while asyncio.get_running_loop().time() < until_s:
        await stream.send(PICTURES[sent % 7])
        sent += 1
    await stream.finish()


@pytest.mark.parametrize("streams", [1, STREAMS])
async def test_what_our_client_sends_is_not_displaced_and_the_engine_has_always_something_to_do(streams: int) -> None:
    drops: list[Drop] = []
    counts = [0] * streams
    async with serving(latency_ms=ENGINE_MS) as server, Client(server.address) as client:
        server.engine.buckets = (1,)
        until_s = asyncio.get_running_loop().time() + FOR_S

        async def one(number: int) -> None:
            async with client.stream(f"ours-{number}", on_drop=drops.append) as stream, asyncio.TaskGroup() as tasks:
                tasks.create_task(send_all(stream, until_s))
                async for _ in stream:
                    counts[number] += 1

        await asyncio.gather(*(one(number) for number in range(streams)))
    assert len(drops) <= 0.2 * sum(counts)  # a client learns from them
    assert min(counts) >= 0.8 * sum(counts) / streams
    assert sum(counts) * ENGINE_MS / 1000 >= 0.75 * FOR_S
