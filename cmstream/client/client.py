"""The asyncio client: one connection, any number of streams. Use it on the event loop that made it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc

from cmstream.client.capabilities import Capabilities, capabilities_of
from cmstream.client.channel import DEFAULT_TARGET, OPTIONS, metadata_of
from cmstream.client.conversation import FrameFormat, StreamOptions
from cmstream.client.result import Result
from cmstream.client.stream import Frames, Stream
from cmstream.client.update import ModelSwap, no_outcome, swap_of
from cmstream.core.frame import OnDrop
from cmstream.v1.style_service_pb2 import CancelSwapRequest, GetCapabilitiesRequest, SwapModelRequest
from cmstream.v1.style_service_pb2_grpc import StyleServiceStub
from cmstream.wire.errors import from_rpc

if TYPE_CHECKING:
    from cmstream.v1.style_service_pb2_grpc import StyleServiceAsyncStub  # exists in the type stubs only


class Client:
    """An async context manager. `target` is "host:port" or "unix:/path"; `token` the server's, if it asks for one.

    Without `credentials` the connection is not encrypted: beyond this machine put TLS in front and pass
    `grpc.ssl_channel_credentials()`. Connects on first use.
    """

    def __init__(
        self, target: str = DEFAULT_TARGET, *, token: str | None = None, credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        self._target = target
        self._metadata = metadata_of(token)
        self._credentials = credentials

    def __repr__(self) -> str:
        return f"<Client {self._target}>"

    async def __aenter__(self) -> Client:
        if self._credentials is None:
            self._channel = grpc.aio.insecure_channel(self._target, options=OPTIONS)
        else:
            self._channel = grpc.aio.secure_channel(self._target, self._credentials, options=OPTIONS)
        self._stub: StyleServiceAsyncStub = StyleServiceStub(self._channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection and its streams. Closing twice is fine."""
        await self._channel.close(None)

    async def capabilities(self) -> Capabilities:
        """What the server offers. Raises Unavailable, Unauthenticated."""
        try:
            return capabilities_of(await self._stub.GetCapabilities(GetCapabilitiesRequest(), metadata=self._metadata))
        except grpc.RpcError as error:
            raise from_rpc(error) from None

    async def swap_model(self, name: str, *, on_doing: Callable[[str], None] | None = None) -> ModelSwap:
        """Change the server's model to one of `Capabilities.available_models`; streams flow on meanwhile. `on_doing` hears in
        words what is being done.

        Raises NotFound, Conflict where it is being changed already, could not be or was cancelled (then the model before
        goes on), Unauthenticated or Unavailable.
        """
        try:
            async for response in self._stub.SwapModel(SwapModelRequest(model=name), metadata=self._metadata):
                if (swap := swap_of(response, on_doing)) is not None:
                    return swap
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        raise no_outcome()

    async def cancel_swap(self) -> str:
        """Call off the change of the model that is under way, whoever asked for it; answers what it would have been.

        Raises NotFound where none is, or none any more; Unauthenticated or Unavailable.
        """
        try:
            return (await self._stub.CancelSwap(CancelSwapRequest(), metadata=self._metadata)).model
        except grpc.RpcError as error:
            raise from_rpc(error) from None

    def stream(
        self,
        name: str = "",
        *,
        source: FrameFormat = "raw",
        results: FrameFormat = "raw",
        jpeg_quality: int = 85,
        on_drop: OnDrop | None = None,
        **params: Any,
    ) -> Stream:
        """A stream to enter with `async with`. Without `name` the server picks one; `params` are those to begin with.

        `on_drop` hears of every frame that gets no result. Entering raises InvalidInput, InvalidParameters, Conflict
        (the name has a publisher), ResourceExhausted, Unauthenticated or Unavailable.
        """
        return Stream(self._channel, self._metadata, StreamOptions(name, params, source, results, jpeg_quality, on_drop))

    async def stylize(self, frames: Frames, **options: Any) -> AsyncIterator[Result]:
        """The results of every frame of an iterator, in order; `options` as for `stream`."""
        async with self.stream(**options) as stream:
            stream.feed(frames)
            async for result in stream:
                yield result
