"""gRPC calls that carry bytes as they are, so that a client costs the same whatever it talks to. Event loop only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc

from cmstream.bench.servers import OPTIONS
from cmstream.core.errors import CmstreamError
from cmstream.v1.control_pb2 import OpenStream
from cmstream.v1.style_service_pb2 import StreamRequest

STREAM_METHOD = "/cmstream.v1.StyleService/Stream"
STREAM = "bench"

Call = grpc.aio.StreamStreamCall[bytes, bytes]


@asynccontextmanager
async def calling(address: str, method: str) -> AsyncIterator[Call]:
    """A bidirectional call, ended well by its server before this returns."""
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        open_call: Callable[[], Call] = channel.stream_stream(method)  # type: ignore[call-arg, assignment] # stubs want all
        call = open_call()
        yield call
        await call.done_writing()
        await call.code()  # let the call end by itself, or gRPC logs that it was cut off


@asynccontextmanager
async def streaming(address: str) -> AsyncIterator[Call]:
    """The stream `STREAM` of a cmstream server, open."""
    async with calling(address, STREAM_METHOD) as call:
        await call.write(StreamRequest(open=OpenStream(stream=STREAM)).SerializeToString())
        await answer_of(call)
        yield call


async def answer_of(call: Call) -> bytes:
    """The next message. Raises CmstreamError when the call has ended."""
    answer = await call.read()
    if not isinstance(answer, bytes):
        raise CmstreamError(f"the server ended the call: {await call.details()}")
    return answer
