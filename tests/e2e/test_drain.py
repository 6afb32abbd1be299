"""SIGTERM while everything is in use: everybody is told, and the process ends with 0 within five seconds."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from cmstream.client import Client
from cmstream.core.errors import CmstreamError, Unavailable
from cmstream.core.frame import Rgb
from tests.e2e.serving import serving
from tests.transport.grpc.dialogue import picture
from tests.transport.rtc.media import ColourTrack, client, offer_of

SDP = {"Content-Type": "application/sdp"}
END_S = 5.0


async def negotiate(http: ClientSession, path: str, connection: RTCPeerConnection) -> None:
    async with http.post(path, data=await offer_of(connection), headers=SDP) as answer:
        text = await answer.text()
        assert answer.status == 201, text
    await connection.setRemoteDescription(RTCSessionDescription(text, "answer"))


async def stream_for_ever(address: str, styled: asyncio.Event) -> Exception:
    """A client that never stops by itself: what it is told in the end."""

    async def camera() -> AsyncIterator[Rgb]:
        while True:
            yield picture(0, 256, 256)
            await asyncio.sleep(1 / 30)

    try:
        async with Client(address) as grpc:
            async for _ in grpc.stylize(camera()):
                styled.set()
    except CmstreamError as error:
        return error
    raise AssertionError("the stream ended as if the camera had")


async def until_told(track: MediaStreamTrack) -> None:
    try:
        while True:
            await track.recv()
    except MediaStreamError:
        return


@pytest.mark.e2e
async def test_a_busy_server_tells_everybody_and_ends_within_five_seconds() -> None:
    publisher, viewer, styled = client(), client(), asyncio.Event()
    publisher.addTrack(ColourTrack((20, 40, 200)))
    viewer.addTransceiver("video", direction="recvonly")
    tracks: list[MediaStreamTrack] = []
    viewer.on("track", tracks.append)
    loop = asyncio.get_running_loop()
    try:
        async with serving() as server, ClientSession(server.http) as http:
            await negotiate(http, "/whip/cam", publisher)
            await negotiate(http, "/whep/cam", viewer)
            streaming = loop.create_task(stream_for_ever(server.grpc, styled))
            async with asyncio.timeout(20):
                await tracks[0].recv()
                await styled.wait()
            asked_s = loop.time()
            server.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(server.process.wait(), 20)
            took_s = loop.time() - asked_s
            error = await asyncio.wait_for(streaming, 5)
            await asyncio.wait_for(until_told(tracks[0]), 5)
            assert server.process.returncode == 0
            assert "Traceback" not in server.logged()
    finally:
        await publisher.close()
        await viewer.close()
    sys.stdout.write(f"\nSIGTERM to exit: {took_s:.2f} s\n")
    assert took_s < END_S
    assert isinstance(error, Unavailable)
