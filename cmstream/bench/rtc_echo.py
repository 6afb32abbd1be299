"""A WebRTC server as aiortc's examples have it: video in by WHIP, decoded, encoded anew, out by WHEP. Nothing is styled.

What cmstream is measured against, so nothing of cmstream is in it: none of the patches of `transport.rtc.compat` is
installed in its process. It gathers on loopback, where it is measured, and that is all that is changed. Event loop only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aioice.ice
from aiohttp import web
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay

SDP = "application/sdp"


class RtcEcho:
    """One publisher, any number of viewers; `close` ends them."""

    def __init__(self) -> None:
        self._relay = MediaRelay()
        self._track: MediaStreamTrack | None = None
        self._connections: list[RTCPeerConnection] = []

    def __repr__(self) -> str:
        return f"<RtcEcho {len(self._connections)} connections>"

    async def publish(self, request: web.Request) -> web.Response:
        """Take a WHIP offer."""
        connection = self._connection()

        @connection.on("track")
        def keep(track: MediaStreamTrack) -> None:
            self._track = track

        return await _answer(connection, request)

    async def play(self, request: web.Request) -> web.Response:
        """Take a WHEP offer; 409 while nobody publishes."""
        if self._track is None:
            return web.Response(status=409, text="nobody publishes")
        connection = self._connection()
        connection.addTrack(self._relay.subscribe(self._track, buffered=False))
        return await _answer(connection, request)

    async def close(self) -> None:
        """End every connection."""
        for connection in self._connections:
            await connection.close()

    def _connection(self) -> RTCPeerConnection:
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connections.append(connection)
        return connection


@asynccontextmanager
async def rtc_echo() -> AsyncIterator[str]:
    """The server on a free port; its address."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    echo, app = RtcEcho(), web.Application()
    app.router.add_post("/whip/{stream}", echo.publish)
    app.router.add_post("/whep/{stream}", echo.play)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await echo.close()
        await runner.cleanup()


async def _answer(connection: RTCPeerConnection, request: web.Request) -> web.Response:
    await connection.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    return web.Response(status=201, text=connection.localDescription.sdp, content_type=SDP)
