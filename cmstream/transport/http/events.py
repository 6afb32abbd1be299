"""Server-sent events of one stream (HTML Standard, 9.2).

`stats` once a second and at every change; `traces` once a second while frames are delivered: percentiles of every stage
over the last ten seconds, and the newest slow frames. `draining` once the stream drains, `closed` with the reason at the
end.
`model` once another model styles the stream: its name, its first frame and the parameters now.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from cmstream.core.clock import NS_PER_S
from cmstream.session.session import Session
from cmstream.session.state import State
from cmstream.session.watch import Watch
from cmstream.transport.http.context import Context, context_of

log = logging.getLogger(__name__)

PERIOD_S = 1.0
STALL_S = 10.0  # a reader that takes nothing for so long is cut off


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    return [web.get("/api/v1/streams/{stream}/events", _events, allow_head=False)]  # a HEAD would never end


async def _events(request: web.Request) -> web.StreamResponse:
    context = context_of(request)
    session = context.registry.get(request.match_info["stream"])
    with session.watch() as watch:
        return await event_stream(request, watch, lambda response: _tell(response, session, watch, context))


async def event_stream(
    request: web.Request, watch: Watch, tell: Callable[[web.StreamResponse], Awaitable[None]]
) -> web.StreamResponse:
    """An answer that is a stream of events; `tell` sends them. `watch`, which it waits for, wakes when the server stops."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    watches = context_of(request).watches
    watches.add(watch)
    try:
        await tell(response)
    except ConnectionError:
        pass  # the reader left, which is how event streams end
    except TimeoutError:
        log.info("%s: an event reader stalled for %g s and is cut off", request.path, STALL_S)
        _abort(request)
    except asyncio.CancelledError:
        _abort(request)
        raise
    finally:
        watches.discard(watch)
    return response


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()  # a plain close would wait for the reader to take what is buffered


async def _tell(response: web.StreamResponse, session: Session, watch: Watch, context: Context) -> None:
    told_draining, told_model = False, session.model
    traces_due_ns = context.clock.now_ns() + round(PERIOD_S * NS_PER_S)
    while not (watch.closed or context.stopping.is_set()):
        if session.state is State.DRAINING and not told_draining:
            told_draining = True
            await send(response, "draining", {"name": session.name})
        if session.model is not told_model:
            told_model = session.model
            await send(response, "model", _new_model(session))
        await send(response, "stats", session.snapshot())
        if context.clock.now_ns() >= traces_due_ns:
            traces_due_ns += round(PERIOD_S * NS_PER_S)
            await _send_traces(response, session)
        await watch.changed(PERIOD_S)
    reason = session.reason or "the server is shutting down"
    await send(response, "closed", {"name": session.name, "state": session.state.value, "reason": reason})


def _new_model(session: Session) -> dict[str, Any]:
    params = session.params.as_json()
    return {"name": session.name, "model": session.model.name, "first_frame_id": session.model_since, "params": params}


async def _send_traces(response: web.StreamResponse, session: Session) -> None:
    traces = session.traces()
    if traces["frames"]:
        await send(response, "traces", traces)


async def send(response: web.StreamResponse, kind: str, data: dict[str, Any]) -> None:
    """One event. Raises TimeoutError where the reader takes nothing for `STALL_S`, ConnectionError where it has left."""
    async with asyncio.timeout(STALL_S):
        await response.write(_event(kind, data))


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
