"""A WebSocket client that speaks protos/cmstream/v1, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from cmstream.core.frame import Rgb
from cmstream.core.picture import encode_jpeg
from cmstream.v1.control_pb2 import OpenStream, UpdateParameters
from cmstream.v1.frame_pb2 import PIXEL_FORMAT_JPEG, PIXEL_FORMAT_RGB24, PixelFormat, SourceFrame
from cmstream.v1.style_service_pb2 import StreamRequest, StreamResponse
from cmstream.wire.values import struct_of


def grey(level: int, side_px: int = 32) -> Rgb:
    return np.full((side_px, side_px, 3), level, np.uint8)


def jpeg_frame(frame_id: int, rgb: Rgb) -> StreamRequest:
    return StreamRequest(frame=SourceFrame(frame_id=frame_id, pixel_format=PIXEL_FORMAT_JPEG, data=encode_jpeg(rgb)))


def raw_frame(frame_id: int, rgb: Rgb) -> StreamRequest:
    height, width = rgb.shape[:2]
    frame = SourceFrame(frame_id=frame_id, pixel_format=PIXEL_FORMAT_RGB24, width=width, height=height, data=rgb.tobytes())
    return StreamRequest(frame=frame)


def opening(result_format: PixelFormat.ValueType = PIXEL_FORMAT_JPEG, **parameters: Any) -> StreamRequest:
    return StreamRequest(open=OpenStream(result_format=result_format, parameters=struct_of(parameters)))


def update(request_id: int, **parameters: Any) -> StreamRequest:
    return StreamRequest(update=UpdateParameters(request_id=request_id, parameters=struct_of(parameters)))


class Talk:
    """One WebSocket; `hear` gives responses, `ending` the close code and reason."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, *requests: StreamRequest) -> None:
        for request in requests:
            await self.socket.send_bytes(request.SerializeToString())

    async def hear(self) -> StreamResponse:
        message = await self.socket.receive(timeout=5)
        assert message.type is WSMsgType.BINARY, message
        return StreamResponse.FromString(message.data)

    async def hear_frame(self) -> StreamResponse:
        """The next response that is a frame."""
        async with asyncio.timeout(5):
            while not (response := await self.hear()).HasField("frame"):
                pass
        return response

    async def ending(self) -> tuple[int, str]:
        """Close code and reason; what comes before is passed over."""
        async with asyncio.timeout(10):
            while (message := await self.socket.receive()).type is WSMsgType.BINARY:
                pass
        assert message.type is WSMsgType.CLOSE, message
        return message.data, message.extra or ""


@asynccontextmanager
async def talk(http: ClientSession, path: str = "/ws/cam", *said: StreamRequest, **options: Any) -> AsyncIterator[Talk]:
    """A WebSocket at `path` on which `said` has been said."""
    async with http.ws_connect(path, max_msg_size=0, **options) as socket:
        talking = Talk(socket)
        await talking.say(*said)
        yield talking
