"""A stream as JPEG pictures in one endless response, which an <img> shows: the last resort for viewing.

A reader that is slower than the stream skips frames: the newest goes out when there is room.
"""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web

from cmstream.core.frame import StyledFrame
from cmstream.core.picture import encode_jpeg
from cmstream.core.trace import Stage
from cmstream.session.registry import check_name
from cmstream.session.subscription import Subscription
from cmstream.transport.http.backlog import cut_off, limit_backlog
from cmstream.transport.http.context import Context, context_of

log = logging.getLogger(__name__)

TRANSPORT = "mjpeg"
BOUNDARY = "frame"
STALL_S = 10.0  # a reader that takes nothing for so long is cut off


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    return [web.get("/mjpeg/{stream}", _mjpeg, allow_head=False)]  # a HEAD would never end


async def _mjpeg(request: web.Request) -> web.StreamResponse:
    context, stream = context_of(request), request.match_info["stream"]
    check_name(stream)
    context.registry.check_viewer()
    session = context.registry.live(stream)
    headers = {"Content-Type": f"multipart/x-mixed-replace; boundary={BOUNDARY}", "Cache-Control": "no-store"}
    response = web.StreamResponse(headers=headers)
    with session.subscribe(TRANSPORT) as subscription:
        try:
            await response.prepare(request)
            limit_backlog(request)
            await _show(context, response, subscription)
        except ConnectionError:
            pass  # the reader left, which is how such a response ends
        except TimeoutError:
            log.info("stream %s: an MJPEG reader stalled for %g s and is cut off", stream, STALL_S)
            cut_off(request)
        except asyncio.CancelledError:
            cut_off(request)
            raise
    return response


async def _show(context: Context, response: web.StreamResponse, subscription: Subscription) -> None:
    loop = asyncio.get_running_loop()
    await response.write(f"--{BOUNDARY}\r\n".encode())
    async for styled in subscription:
        trace = styled.trace.mark(Stage.DELIVER, context.clock.now_ns())
        data = await loop.run_in_executor(context.services.codecs, encode_jpeg, styled.rgb)
        trace = trace.mark(Stage.ENCODE, context.clock.now_ns())
        async with asyncio.timeout(STALL_S):
            await response.write(_part(styled, data))
        subscription.delivered(styled.frame_id, trace.mark(Stage.SEND, context.clock.now_ns()))


def _part(styled: StyledFrame, data: bytes) -> bytes:
    """One picture, up to the boundary behind it: a browser shows a part only once it has seen where it ends."""
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(data)}\r\nX-Frame-Id: {styled.frame_id}\r\n\r\n"
    return head.encode() + data + f"\r\n--{BOUNDARY}\r\n".encode()
