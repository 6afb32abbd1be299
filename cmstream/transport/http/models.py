"""The model that serves, those that may be asked for, and changing it while streams flow.

A change is answered at once (202); how it stands is in `swap` of the model, and in its server-sent events: `swap` at every
change, and every few seconds where there is none. DELETE of that swap calls it off.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiohttp import web

from cmstream.core.errors import InvalidParameters
from cmstream.transport.http.api import object_of
from cmstream.transport.http.context import Context, context_of
from cmstream.transport.http.events import event_stream, send

PERIOD_S = 5.0


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    return [
        web.get("/api/v1/model", _model),
        web.put("/api/v1/model", _swap),
        web.delete("/api/v1/model/swap", _cancel),
        web.get("/api/v1/model/events", _events, allow_head=False),  # a HEAD would never end
        web.get("/api/v1/models", _models),
    ]


async def _model(request: web.Request) -> web.Response:
    return web.json_response(_about(context_of(request)))


async def _models(request: web.Request) -> web.Response:
    context = context_of(request)
    listings = await context.swaps.listings()
    return web.json_response({"model": context.registry.model.name, "models": [asdict(one) for one in listings]})


async def _swap(request: web.Request) -> web.Response:
    swap = context_of(request).swaps.begin(_name(await object_of(request)))
    return web.json_response(swap.as_json(), status=202, headers={"Location": "/api/v1/model"})


async def _cancel(request: web.Request) -> web.Response:
    return web.json_response(context_of(request).swaps.cancel().as_json())


async def _events(request: web.Request) -> web.StreamResponse:
    context = context_of(request)
    assert context.registry.model  # or it raises that the model is loading
    with context.swaps.watch() as watch:

        async def tell(response: web.StreamResponse) -> None:
            while not context.stopping.is_set():
                await send(response, "swap", _about(context))
                await watch.changed(PERIOD_S)

        return await event_stream(request, watch, tell)


def _about(context: Context) -> dict[str, Any]:
    model, swap = context.registry.model, context.swaps.last
    about = {name: getattr(model, name) for name in ("name", "title", "licence", "styles", "device", "precision")}
    return {**about, "swap": None if swap is None else swap.as_json()}


def _name(asked: dict[str, Any]) -> str:
    """Raises InvalidParameters."""
    problems = {name: "is not known; model is" for name in asked if name != "model"}
    name = asked.get("model")
    if not isinstance(name, str):
        problems["model"] = "must be a name of GET /api/v1/models"
    if problems or not isinstance(name, str):
        raise InvalidParameters(problems)
    return name
