"""Changing the model over HTTP: what is answered, what is refused, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, StreamReader

from cmstream.core.errors import WeightsRejected
from cmstream.engine.fake import FakeEngine
from cmstream.engine.fake_builder import FakeBuilder
from cmstream.server import Server
from cmstream.settings import AuthSettings
from tests.transport.http.serving import JSON, next_event, serving

MODEL = "/api/v1/model"


@asynccontextmanager
async def changing(**changes: Any) -> AsyncIterator[tuple[Server, ClientSession, FakeBuilder]]:
    grey = FakeEngine(name="grey", styles=("grey", "wash"))
    builder = FakeBuilder({"plain": FakeEngine(), "grey": grey, "broken": WeightsRejected("broken is truncated")})
    async with serving(builder=builder, **changes) as (server, http):
        yield server, http, builder
    builder.close()


async def heard(events: StreamReader, kind: str) -> dict[str, Any]:
    """The next event of this kind."""
    while True:
        async with asyncio.timeout(5):
            found, data = await next_event(events)
        if found == kind:
            return data


async def ended(events: StreamReader) -> dict[str, Any]:
    while True:
        about = await heard(events, "swap")
        if about["swap"] and about["swap"]["state"] in ("finished", "failed"):
            return about


async def test_the_model_is_changed_and_everybody_is_told() -> None:
    async with changing() as (server, http, builder):
        session = server.registry.open("cam")
        session.update({"strength": 0.5})
        async with http.get("/api/v1/models") as answer:
            listed = await answer.json()
        assert (listed["model"], [one["name"] for one in listed["models"]]) == ("plain", ["plain", "grey", "broken"])
        async with http.get(f"{MODEL}/events") as events, http.get("/api/v1/streams/cam/events") as of_cam:
            assert (await heard(events.content, "swap"))["swap"] is None
            builder.held = True
            async with http.put(MODEL, json={"model": "grey"}) as answer:
                assert (answer.status, answer.headers["Location"]) == (202, MODEL)
                assert (await answer.json())["state"] == "loading"
            while (await heard(events.content, "swap"))["swap"]["doing"] != "thinking of grey":
                pass
            async with http.get("/readyz") as ready:
                assert (ready.status, (await ready.json())["detail"]) == (200, "changing the model to grey: thinking of grey")
            async with http.put(MODEL, json={"model": "plain"}) as answer:
                assert (answer.status, "changed to grey already" in (await answer.json())["detail"]) == (409, True)
            builder.held = False
            done = await ended(events.content)
            told = await heard(of_cam.content, "model")
            state = await heard(of_cam.content, "stats")
        assert (done["name"], done["styles"]) == ("grey", ["grey", "wash"])
        assert (done["swap"]["state"], done["swap"]["first_frame_ids"]) == ("finished", {"cam": 0})
        assert (told["model"], told["first_frame_id"], told["params"]["strength"]) == ("grey", 0, 0.5)
        assert (state["model"], state["params"]["style"]) == ("grey", "grey")
        async with http.get("/api/v1/schema") as answer:
            assert (await answer.json())["properties"]["style"]["oneOf"][0]["enum"] == ["grey", "wash"]
        async with http.get("/readyz") as ready:
            assert await ready.json() == {"status": "ready"}


async def test_a_model_that_cannot_be_loaded_leaves_the_one_before_and_says_why() -> None:
    async with changing() as (server, http, _), http.get(f"{MODEL}/events") as events:
        async with http.put(MODEL, json={"model": "broken"}) as answer:
            assert answer.status == 202
        failed = await ended(events.content)
        assert (failed["name"], failed["swap"]["state"], failed["swap"]["reason"]) == ("plain", "failed", "broken is truncated")
        assert server.registry.ready


async def test_a_change_is_called_off_and_there_is_nothing_to_call_off_before_and_after() -> None:
    async with changing() as (server, http, builder), http.get(f"{MODEL}/events") as events:
        async with http.delete(f"{MODEL}/swap") as answer:
            assert (answer.status, "is not being changed" in (await answer.json())["detail"]) == (404, True)
        builder.held = True
        async with http.put(MODEL, json={"model": "grey"}) as answer:
            assert answer.status == 202
        async with http.delete(f"{MODEL}/swap") as answer:
            assert (answer.status, (await answer.json())["state"]) == (200, "cancelled")
        while (await heard(events.content, "swap"))["swap"] != {
            "model": "grey", "state": "cancelled", "doing": "", "reason": "the change was cancelled", "first_frame_ids": {},
        }:  # fmt: skip
            pass
        async with http.delete(f"{MODEL}/swap") as answer:
            assert (answer.status, "cancelled already" in (await answer.json())["detail"]) == (404, True)
        async with http.get("/readyz") as ready:
            assert await ready.json() == {"status": "ready"}
        async with http.get("/metrics") as answer:
            assert 'cmstream_model_swaps_total{outcome="cancelled"} 1.0' in await answer.text()
        assert server.registry.model.name == "plain"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"model": "rembrandt"}', 404),
        (b'{"model": "../../etc/passwd"}', 404),
        (b'{"model": "hf:owner/name"}', 404),
        (b'{"model": "\\ud800"}', 404),
        (b'{"model": 7}', 422),
        (b'{"model": "grey", "path": "x"}', 422),
        (b"{}", 422),
        (b"[]", 400),
        (b'{"model": "%s"}' % (b"x" * 20_000), 413),
    ],
)
async def test_what_makes_no_sense_is_refused_and_nothing_is_loaded(body: bytes, status: int) -> None:
    async with changing() as (server, http, builder):
        async with http.put(MODEL, data=body, headers=JSON) as answer:
            told = await answer.json()
        assert (answer.status, answer.content_type) == (status, "application/problem+json")
        assert len(told["detail"]) > 10
        assert builder.asked == ["plain"]
        assert server.swaps.last is None


async def test_the_token_is_asked_for_and_pages_of_others_are_kept_out() -> None:
    async with changing(auth=AuthSettings.model_validate({"token": "secret"})) as (_, http, builder):
        async with http.put(MODEL, json={"model": "grey"}) as answer:
            assert answer.status == 401
        async with http.delete(f"{MODEL}/swap") as answer:
            assert answer.status == 401
        own = {"Authorization": "Bearer secret"}
        async with http.put(MODEL, json={"model": "grey"}, headers={**own, "Origin": "https://elsewhere.example"}) as answer:
            assert answer.status == 403
        assert builder.asked == ["plain"]
        async with http.put(MODEL, json={"model": "grey"}, headers=own) as answer:
            assert answer.status == 202


async def test_a_server_that_was_given_its_engine_has_no_other() -> None:
    async with serving() as (_, http):
        async with http.get("/api/v1/models") as answer:
            assert await answer.json() == {"model": "fake", "models": []}
        async with http.put(MODEL, json={"model": "grey"}) as answer:
            assert answer.status == 404


async def test_a_server_that_stops_while_a_model_is_loaded_ends_in_time() -> None:
    async with changing() as (server, http, builder):
        builder.held = True
        async with http.put(MODEL, json={"model": "grey"}) as answer:
            assert answer.status == 202
        async with asyncio.timeout(server.settings.drain_timeout_s + 2):
            await server.drain()
        assert not server.outlived
