"""Who may call: a bearer token in the metadata of every call, compared in constant time."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc

from cmstream.core.errors import Unauthenticated
from cmstream.wire.errors import status_of

OPEN_TO_ALL = ("/grpc.health.v1.Health/",)  # probes carry no token, and learn nothing but "serving"

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]  # generic in the stubs only


class TokenInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Refuses calls without the token, before a byte of their messages is read."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        if handler_call_details.method.startswith(OPEN_TO_ALL) or self._admits(handler_call_details.invocation_metadata):
            return await continuation(handler_call_details)
        # A stream handler refuses calls of every shape, since it answers without waiting for a message.
        return grpc.stream_stream_rpc_method_handler(_refuse)

    def _admits(self, metadata: Any) -> bool:
        given = [value for key, value in metadata if key == "authorization"]
        return len(given) == 1 and hmac.compare_digest(str(given[0]).encode(), self._expected)


async def _refuse(requests: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
    error = Unauthenticated("this server asks for its token: send it as the metadata 'authorization: Bearer TOKEN'")
    await context.abort(*status_of(error))
