"""Server-sent events of one stream (HTML Standard, 9.2).

`stats` once a second and at every change; `traces` once a second while frames are delivered: percentiles of every stage
over the last ten seconds, and the newest slow frames. `draining` once the stream drains, `closed` with the reason at the
end.
"""

from __future__ import annotations

import asyncio
import json
import logging
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
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    with session.watch() as watch:
        context.watches.add(watch)
        try:
            await _tell(response, session, watch, context)
        except ConnectionError:
            pass  # the reader left, which is how event streams end
        except TimeoutError:
            log.info("stream %s: an event reader stalled for %g s and is cut off", session.name, STALL_S)
            _abort(request)
        except asyncio.CancelledError:
            _abort(request)
            raise
        finally:
            context.watches.discard(watch)
    return response


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()  # a plain close would wait for the reader to take what is buffered


async def _tell(response: web.StreamResponse, session: Session, watch: Watch, context: Context) -> None:
    told_draining = False
    traces_due_ns = context.clock.now_ns() + round(PERIOD_S * NS_PER_S)
    while not (watch.closed or context.stopping.is_set()):
        if session.state is State.DRAINING and not told_draining:
            told_draining = True
            await _send(response, "draining", {"name": session.name})
        await _send(response, "stats", session.snapshot())
        if context.clock.now_ns() >= traces_due_ns:
            traces_due_ns += round(PERIOD_S * NS_PER_S)
            await _send_traces(response, session)
        await watch.changed(PERIOD_S)
    reason = session.reason or "the server is shutting down"
    await _send(response, "closed", {"name": session.name, "state": session.state.value, "reason": reason})


async def _send_traces(response: web.StreamResponse, session: Session) -> None:
    traces = session.traces()
    if traces["frames"]:
        await _send(response, "traces", traces)


async def _send(response: web.StreamResponse, kind: str, data: dict[str, Any]) -> None:
    async with asyncio.timeout(STALL_S):
        await response.write(_event(kind, data))


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
