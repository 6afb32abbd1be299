"""A bare gRPC client that speaks in messages, so that tests read as a dialogue and can say what no good client says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import cv2  # noqa: F401  loaded while nothing runs: tests encode JPEGs on the event loop
import grpc
import numpy as np

from cmstream.core.frame import Rgb
from cmstream.v1.control_pb2 import OpenStream, StreamOpened, UpdateParameters
from cmstream.v1.frame_pb2 import PIXEL_FORMAT_RGB24, SourceFrame
from cmstream.v1.style_service_pb2 import StreamRequest, StreamResponse
from cmstream.v1.style_service_pb2_grpc import StyleServiceStub
from cmstream.wire.frame import MAX_MESSAGE_BYTES
from cmstream.wire.values import struct_of

PATIENCE_S = 5.0
EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs forgot it


class Dialogue:
    """One call. Say something, then hear what comes."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def say(self, request: StreamRequest) -> None:
        """Send one message."""
        await self.call.write(request)

    async def open(self, stream: str = "", **params: Any) -> StreamOpened:
        """Open the stream and hear that it is."""
        await self.say(StreamRequest(open=OpenStream(stream=stream, parameters=struct_of(params))))
        return (await self.hear("opened")).opened

    async def frame(self, frame_id: int, rgb: Rgb, **fields: Any) -> None:
        """Send a raw frame."""
        await self.say(StreamRequest(frame=raw_frame(frame_id, rgb, **fields)))

    async def update(self, request_id: int, **params: Any) -> None:
        """Ask for a change of parameters."""
        await self.say(StreamRequest(update=UpdateParameters(request_id=request_id, parameters=struct_of(params))))

    async def hear(self, kind: str) -> StreamResponse:
        """The next message, which must be of this kind."""
        async with asyncio.timeout(PATIENCE_S):
            response = await self.call.read()
        assert response is not EOF, f"the call ended where {kind} was due: {await self.call.code()}"
        assert response.WhichOneof("response") == kind, f"{kind} was due, not {response}"
        heard: StreamResponse = response
        return heard

    async def hear_all(self) -> list[StreamResponse]:
        """Everything up to the end of the call."""
        heard: list[StreamResponse] = []
        async with asyncio.timeout(PATIENCE_S):
            while (response := await self.call.read()) is not EOF:
                heard.append(response)
        return heard

    async def finish(self) -> None:
        """Nothing more to say."""
        await self.call.done_writing()

    async def refusal(self) -> grpc.aio.AioRpcError:
        """The status that ends the call, whatever is heard before."""
        try:
            heard = await self.hear_all()
        except grpc.aio.AioRpcError as error:
            return error
        raise AssertionError(f"the call ended well, with {heard}")


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Any]:
    """A stub. Gone without a trace afterwards."""
    options = (("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield StyleServiceStub(channel)


@asynccontextmanager
async def dialogue(address: str, token: str | None = None) -> AsyncIterator[Dialogue]:
    """A call on a connection of its own."""
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    async with connected(address) as stub:
        call = stub.Stream(metadata=metadata)
        try:
            yield Dialogue(call)
        finally:
            call.cancel()


def raw_frame(frame_id: int, rgb: Rgb, **fields: Any) -> SourceFrame:
    """A well-formed RGB24 frame, but for the fields that the test says otherwise."""
    height_px, width_px = rgb.shape[:2]
    good = {"pixel_format": PIXEL_FORMAT_RGB24, "width": width_px, "height": height_px, "data": rgb.tobytes()}
    return SourceFrame(frame_id=frame_id, **{**good, **fields})


def picture(seed: int = 0, width_px: int = 64, height_px: int = 48) -> Rgb:
    """Noise: different for every seed, and no two pixels alike by chance only."""
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3)).astype(np.uint8)
