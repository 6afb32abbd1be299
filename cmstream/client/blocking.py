"""The client for programs without asyncio: one connection, any number of streams, usable from any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

import grpc

from cmstream.client.blocking_stream import BlockingStream
from cmstream.client.capabilities import Capabilities, capabilities_of
from cmstream.client.channel import DEFAULT_TARGET, OPTIONS, metadata_of
from cmstream.client.conversation import FrameFormat, Picture, StreamOptions
from cmstream.client.result import Result
from cmstream.client.update import ModelSwap, no_outcome, swap_of
from cmstream.core.frame import OnDrop
from cmstream.v1.style_service_pb2 import CancelSwapRequest, GetCapabilitiesRequest, SwapModelRequest
from cmstream.v1.style_service_pb2_grpc import StyleServiceStub
from cmstream.wire.errors import from_rpc


class BlockingClient:
    """A context manager: `Client` without asyncio, with the same arguments."""

    def __init__(
        self, target: str = DEFAULT_TARGET, *, token: str | None = None, credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        self._target = target
        self._metadata = metadata_of(token)
        self._credentials = credentials

    def __repr__(self) -> str:
        return f"<BlockingClient {self._target}>"

    def __enter__(self) -> BlockingClient:
        if self._credentials is None:
            self._channel = grpc.insecure_channel(self._target, options=OPTIONS)
        else:
            self._channel = grpc.secure_channel(self._target, self._credentials, options=OPTIONS)
        self._stub = StyleServiceStub(self._channel)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connection and its streams. Closing twice is fine."""
        self._channel.close()

    def capabilities(self) -> Capabilities:
        """What the server offers. Raises Unavailable, Unauthenticated."""
        try:
            return capabilities_of(self._stub.GetCapabilities(GetCapabilitiesRequest(), metadata=self._metadata))
        except grpc.RpcError as error:
            raise from_rpc(error) from None

    def swap_model(self, name: str, *, on_doing: Callable[[str], None] | None = None) -> ModelSwap:
        """As `Client.swap_model`."""
        try:
            for response in self._stub.SwapModel(SwapModelRequest(model=name), metadata=self._metadata):
                if (swap := swap_of(response, on_doing)) is not None:
                    return swap
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        raise no_outcome()

    def cancel_swap(self) -> str:
        """As `Client.cancel_swap`."""
        try:
            model: str = self._stub.CancelSwap(CancelSwapRequest(), metadata=self._metadata).model
            return model
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
    ) -> BlockingStream:
        """A stream to enter with `with`; arguments and errors as for `Client.stream`."""
        options = StreamOptions(name, params, source, results, jpeg_quality, on_drop)
        return BlockingStream(self._channel, self._metadata, options)

    def stylize(self, frames: Iterable[Picture], **options: Any) -> Iterator[Result]:
        """The results of every frame of an iterator, in order; `options` as for `stream`."""
        with self.stream(**options) as stream:
            stream.feed(frames)
            yield from stream
