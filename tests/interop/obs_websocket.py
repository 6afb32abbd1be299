"""A small client of obs-websocket 5 (github.com/obsproject/obs-websocket, docs/generated/protocol.md)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from aiohttp import ClientError, ClientSession, ClientWebSocketResponse
from PIL import Image

from cmstream.core.frame import Rgb

HELLO, IDENTIFY, IDENTIFIED, REQUEST, RESPONSE = 0, 1, 2, 6, 7  # "op", WebSocketOpCode
ANSWER_WITHIN_S = 15.0


class ObsError(Exception):
    """OBS refused a request; says which and why."""


class ObsWebSocket:
    """One identified connection; one request at a time."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._count = 0

    async def identify(self, password: str) -> None:
        """The handshake, without events."""
        asked = (await self._hear(HELLO))["authentication"]
        proof = _digest(_digest(password + asked["salt"]) + asked["challenge"])
        await self._socket.send_json({"op": IDENTIFY, "d": {"rpcVersion": 1, "eventSubscriptions": 0, "authentication": proof}})
        await self._hear(IDENTIFIED)

    async def ask(self, request: str, **data: Any) -> dict[str, Any]:
        """The response data of a request. Raises ObsError."""
        self._count += 1
        body = {"requestType": request, "requestId": str(self._count), "requestData": data}
        await self._socket.send_json({"op": REQUEST, "d": body})
        answer = await self._hear(RESPONSE)
        if not answer["requestStatus"]["result"]:
            raise ObsError(f"{request}: {answer['requestStatus']}")
        given: dict[str, Any] = answer.get("responseData") or {}
        return given

    async def picture(self, source: str, **size: int) -> Rgb:
        """A source as OBS shows it, filters and all: [H,W,3] uint8 RGB."""
        return (await self.picture_with_alpha(source, **size))[..., :3]

    async def picture_with_alpha(self, source: str, **size: int) -> Rgb:
        """[H,W,4] uint8 RGBA."""
        answer = await self.ask("GetSourceScreenshot", sourceName=source, imageFormat="png", **size)
        data = base64.b64decode(answer["imageData"].split(",", 1)[1])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))

    async def _hear(self, op: int) -> dict[str, Any]:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            message = await self._socket.receive_json()
        assert message["op"] == op, message
        data: dict[str, Any] = message["d"]
        return data


@asynccontextmanager
async def connected(port: int, password: str, within_s: float) -> AsyncIterator[ObsWebSocket]:
    """A connection to the OBS on this machine, as soon as it takes one and has loaded its scenes."""
    async with ClientSession() as http:
        socket = await _reach(http, f"ws://127.0.0.1:{port}", within_s)
        try:
            obs = ObsWebSocket(socket)
            await obs.identify(password)
            await _ready(obs)
            yield obs
        finally:
            await socket.close()


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


async def _reach(http: ClientSession, address: str, within_s: float) -> ClientWebSocketResponse:
    async with asyncio.timeout(within_s):
        while True:
            try:
                return await http.ws_connect(address, max_msg_size=0)
            except ClientError:
                await asyncio.sleep(0.1)


async def _ready(obs: ObsWebSocket) -> None:
    async with asyncio.timeout(ANSWER_WITHIN_S):
        while True:
            try:
                await obs.ask("GetSceneList")
                return
            except ObsError:  # 207, NotReady: it answers before its scenes are loaded
                await asyncio.sleep(0.1)
