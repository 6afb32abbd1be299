"""Listening and closing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiohttp import ClientSession

from cmstream.core.clock import MonotonicClock
from cmstream.core.errors import ConfigurationError
from cmstream.core.metrics import Metrics
from cmstream.session.registry import Registry
from cmstream.session.swaps import Swaps
from cmstream.settings import HttpSettings, Settings
from cmstream.transport.http.server import HttpServer


@asynccontextmanager
async def loading(**changes: Any) -> AsyncIterator[HttpServer]:
    """An HTTP server, not started, whose model is still loading."""
    settings = Settings(http=HttpSettings(**{"port": 0, **changes}))
    clock, metrics = MonotonicClock(), Metrics()
    registry = Registry(settings, clock, metrics)
    nothing = cast("Any", None)
    server = HttpServer(
        settings, registry, Swaps(registry, clock, metrics), metrics, clock, nothing, nothing, nothing, lambda: registry.ready
    )
    try:
        yield server
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "http://127.0.0.1:"), ("localhost", "http://localhost:"), ("[::1]", "http://[::1]:")]
)
async def test_the_address_is_one_that_can_be_opened(host: str, shown: str) -> None:
    async with loading(host=host) as server:
        try:
            await server.start()
        except ConfigurationError as error:
            if host == "[::1]":
                pytest.skip(f"no IPv6 here: {error}")
            raise
        assert server.address.startswith(shown)
        async with ClientSession(server.address) as http, http.get("/healthz") as answer:
            assert answer.status == 200


async def test_while_the_model_loads_it_is_live_and_says_when_to_come_back() -> None:
    async with loading() as server:
        await server.start()
        async with ClientSession(server.address) as http:
            for path, status in [("/healthz", 200), ("/readyz", 503), ("/api/v1/schema", 503), ("/api/v1/openapi.json", 200)]:
                async with http.get(path) as answer:
                    assert answer.status == status, path
                    assert status == 200 or int(answer.headers["Retry-After"]) >= 1
            async with http.get("/readyz") as answer:
                assert (await answer.json())["status"] == "loading"


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "203.0.113.7"])
async def test_an_address_that_is_not_ours_is_one_clear_sentence(host: str) -> None:
    async with loading(host=host) as server:
        with pytest.raises(ConfigurationError, match=f"cannot listen on {host}"):
            await server.start()


async def test_closing_before_starting_and_closing_twice_are_fine() -> None:
    async with loading() as server:
        await server.close()
        await server.close()


async def test_a_kept_alive_connection_does_not_hold_up_the_end() -> None:
    async with loading() as server:
        await server.start()
        async with ClientSession(server.address) as http:
            async with http.get("/healthz") as answer:
                await answer.read()
            await server.close()
            with pytest.raises(OSError, match="."):
                await http.get("/healthz")
