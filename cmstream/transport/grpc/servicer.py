"""cmstream.v1.StyleService on grpc.aio. Event loop only: turns calls into StreamCalls and errors into statuses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

import grpc

from cmstream import __version__
from cmstream.core.errors import CmstreamError, Conflict
from cmstream.session.swap import Phase
from cmstream.transport.conversation.call import StreamCall
from cmstream.transport.conversation.calls import Calls
from cmstream.transport.conversation.exchange import ClientGone
from cmstream.transport.conversation.services import Services
from cmstream.v1.style_service_pb2 import (
    DESCRIPTOR,
    CancelSwapRequest,
    CancelSwapResponse,
    GetCapabilitiesRequest,
    GetCapabilitiesResponse,
    ModelSwapped,
    SwapModelRequest,
    SwapModelResponse,
)
from cmstream.wire.control import available_message, model_message
from cmstream.wire.envelope import Incoming, Outgoing, incoming, serialized
from cmstream.wire.errors import status_of
from cmstream.wire.frame import PIXEL_FORMATS

log = logging.getLogger(__name__)

TRANSPORT = "grpc"
STILL_S = 5.0
"""So often at least somebody who waits for a model hears that it is still being loaded."""
SERVICE = DESCRIPTOR.services_by_name["StyleService"].full_name

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]


class StyleServicer:
    """The service; `calls` are those that run."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.calls = Calls()

    def __repr__(self) -> str:
        return f"<StyleServicer {self.calls!r}>"

    async def stream(self, requests: AsyncIterator[Incoming], context: Context) -> None:
        """One call of `Stream`."""

        async def write(response: Outgoing) -> None:
            try:
                await context.write(response)
            except grpc.aio.InternalError as error:  # what gRPC raises when a call is cancelled under a write
                raise ClientGone("the client has left") from error

        call = StreamCall(self._services, requests, write, transport=TRANSPORT)
        await self._answer(self.calls.run(call), context)

    async def get_capabilities(self, request: GetCapabilitiesRequest, context: Context) -> GetCapabilitiesResponse:
        """One call of `GetCapabilities`."""
        return await self._answer(self._capabilities(), context)

    async def swap_model(self, request: SwapModelRequest, context: Context) -> None:
        """One call of `SwapModel`."""
        await self._answer(self._swap(request.model, context), context)

    async def cancel_swap(self, request: CancelSwapRequest, context: Context) -> CancelSwapResponse:
        """One call of `CancelSwap`."""
        return await self._answer(self._cancel(), context)

    def methods(self) -> grpc.GenericRpcHandler[Any, Any]:
        """The service as `add_generic_rpc_handlers` takes it: as generated, but for how frames become bytes."""
        stream = grpc.stream_stream_rpc_method_handler(self.stream, incoming, serialized)
        capabilities = grpc.unary_unary_rpc_method_handler(
            self.get_capabilities, GetCapabilitiesRequest.FromString, GetCapabilitiesResponse.SerializeToString
        )
        swap = grpc.unary_stream_rpc_method_handler(
            self.swap_model, SwapModelRequest.FromString, SwapModelResponse.SerializeToString
        )
        cancel = grpc.unary_unary_rpc_method_handler(
            self.cancel_swap, CancelSwapRequest.FromString, CancelSwapResponse.SerializeToString
        )
        handlers = {"Stream": stream, "GetCapabilities": capabilities, "SwapModel": swap, "CancelSwap": cancel}
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    async def _swap(self, name: str, context: Context) -> None:
        services = self._services
        services.swaps.begin(name)
        with services.swaps.watch() as watch:
            while (swap := services.swaps.last) is not None and not swap.ended:
                await context.write(SwapModelResponse(doing=swap.doing))
                await watch.changed(STILL_S)
        assert swap is not None
        if swap.phase is not Phase.FINISHED:
            raise Conflict(f"the model stays as it was: {swap.reason}")
        model = model_message(services.registry.model)
        await context.write(SwapModelResponse(swapped=ModelSwapped(model=model, first_frame_ids=swap.first_frame_ids)))

    async def _cancel(self) -> CancelSwapResponse:
        return CancelSwapResponse(model=self._services.swaps.cancel().model)

    async def _capabilities(self) -> GetCapabilitiesResponse:
        return GetCapabilitiesResponse(
            server_version=__version__,
            models=[model_message(self._services.registry.model)],
            limits=self._services.limits,
            pixel_formats=PIXEL_FORMATS,
            available_models=[available_message(one) for one in await self._services.swaps.listings()],
        )

    async def _answer(self, work: Awaitable[T], context: Context) -> T:
        try:
            return await work
        except ClientGone:
            log.info("a call from %s ended: its client left", context.peer())
            raise asyncio.CancelledError from None  # which gRPC takes as the end of a call without a status
        except CmstreamError as error:
            failure = error
        except Exception:
            log.exception("a call from %s failed", context.peer())
            failure = CmstreamError("internal error; the server's log has the details")
        self._services.metrics.errors.labels("grpc").inc()
        log.info("a call from %s ended: %s", context.peer(), failure)
        await context.abort(*status_of(failure))
        raise AssertionError("abort raises")
