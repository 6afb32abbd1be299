"""The messages of protos/cmstream/v1 over a WebSocket (RFC 6455), where UDP is blocked: publishing and viewing.

One binary message is one StreamRequest or StreamResponse. A call ends with close code 1000, or with 4000 plus the HTTP
status that its error is and the reason in words.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from aiohttp import WSCloseCode, WSMsgType, web
from google.protobuf.message import DecodeError

from cmstream.core.errors import CmstreamError, ResourceExhausted, Unavailable
from cmstream.session.registry import check_name
from cmstream.transport.conversation.call import StreamCall
from cmstream.transport.conversation.exchange import ClientGone, Exchange, Write
from cmstream.transport.conversation.viewing import ViewingCall
from cmstream.transport.http.backlog import cut_off, limit_backlog
from cmstream.transport.http.context import Context, context_of
from cmstream.transport.http.problem import problem, status_of
from cmstream.wire.envelope import Incoming, Outgoing, incoming, serialized
from cmstream.wire.errors import BadField
from cmstream.wire.frame import MAX_MESSAGE_BYTES

log = logging.getLogger(__name__)

TRANSPORT = "websocket"
PING_S = 10.0  # a connection that does not answer within half of that is gone
STALL_S = 10.0  # a client that takes nothing for so long is cut off
CLOSE_S = 1.0
PRIVATE_CODE = 4000  # RFC 6455, 7.4.2
MAX_REASON_BYTES = 123  # RFC 6455, 5.5


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    return [
        web.get("/ws/{stream}", _publish, allow_head=False),
        web.get("/ws/{stream}/view", _view, allow_head=False),
    ]


async def _publish(request: web.Request) -> web.StreamResponse:
    context = context_of(request)
    return await _serve(request, StreamCall, idle_s=context.settings.rtc.idle_timeout_s)


async def _view(request: web.Request) -> web.StreamResponse:
    context = context_of(request)
    check_name(request.match_info["stream"])
    context.registry.check_viewer()
    context.registry.live(request.match_info["stream"])  # while a refusal can still be an answer in HTTP
    return await _serve(request, ViewingCall, idle_s=None)


async def _serve(request: web.Request, kind: type[StreamCall | ViewingCall], *, idle_s: float | None) -> web.StreamResponse:
    context, stream = context_of(request), request.match_info["stream"]
    check_name(stream)
    socket = web.WebSocketResponse(heartbeat=PING_S, max_msg_size=MAX_MESSAGE_BYTES, compress=False, timeout=CLOSE_S)
    if not socket.can_prepare(request):
        return problem(426, "open this address as a WebSocket", headers={"Upgrade": "websocket"})
    _admit(context)
    await socket.prepare(request)
    limit_backlog(request)
    call = kind(context.services, _requests(socket, idle_s), _writer(request, socket), transport=TRANSPORT, stream=stream)
    code, reason = await _outcome(context, stream, call)
    await _close(request, socket, code, reason)
    return socket


def _admit(context: Context) -> None:
    streams = context.settings.streams
    most = streams.max_streams + streams.max_viewers
    if len(context.calls) >= most:
        raise ResourceExhausted(f"the server has its {most} WebSockets (streams.max_streams + streams.max_viewers)")


async def _requests(socket: web.WebSocketResponse, idle_s: float | None) -> AsyncIterator[Incoming]:
    """What the client sends. Raises InvalidInput for what is no request, Unavailable after silence, ClientGone at the end."""
    while True:
        try:
            message = await socket.receive(timeout=idle_s)
        except TimeoutError:
            raise Unavailable(f"nothing came for {idle_s:g} s; connect again when there is something to send") from None
        match message.type:
            case WSMsgType.BINARY:
                yield _request(message.data)
            case WSMsgType.TEXT:
                raise BadField("request", "is text; send each StreamRequest as one binary message")
            case _:
                raise ClientGone("the client has left")


def _request(payload: bytes) -> Incoming:
    try:
        return incoming(payload)
    except DecodeError as error:
        raise BadField("request", "is no cmstream.v1.StreamRequest") from error


def _writer(request: web.Request, socket: web.WebSocketResponse) -> Write:
    async def write(response: Outgoing) -> None:
        try:
            async with asyncio.timeout(STALL_S):
                await socket.send_bytes(serialized(response))
        except ConnectionError as error:
            raise ClientGone("the client has left") from error
        except TimeoutError as error:
            cut_off(request)
            raise ClientGone(f"the client took nothing for {STALL_S:g} s") from error

    return write


async def _outcome(context: Context, stream: str, call: Exchange) -> tuple[int, str]:
    """(close code, reason) once the call has ended."""
    try:
        await context.calls.run(call)
    except ClientGone as error:
        log.info("stream %s: a WebSocket ended: %s", stream, error)
        return WSCloseCode.OK, ""
    except CmstreamError as error:
        context.metrics.errors.labels(TRANSPORT).inc()
        log.info("stream %s: a WebSocket ended: %s", stream, error)
        return PRIVATE_CODE + status_of(error), str(error)
    except Exception:
        context.metrics.errors.labels("websocket_internal").inc()
        log.exception("stream %s: a WebSocket failed", stream)
        return WSCloseCode.INTERNAL_ERROR, "the server failed on this call; its log says why"
    return WSCloseCode.OK, ""


async def _close(request: web.Request, socket: web.WebSocketResponse, code: int, reason: str) -> None:
    try:
        async with asyncio.timeout(2 * CLOSE_S):
            await socket.close(code=code, message=reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode())
    except TimeoutError:
        cut_off(request)
