"""Bodies that are too large, and bodies that never come."""

from __future__ import annotations

import asyncio

import pytest

from cmstream.transport.http import body
from tests.transport.http.serving import serving, status_of

REQUESTS = [
    ("POST", "/whip/cam", "application/sdp"),
    ("PATCH", "/whip/cam/any", "application/trickle-ice-sdpfrag"),
    ("PATCH", "/api/v1/streams/cam", "application/json"),
]


@pytest.mark.parametrize(("method", "path", "kind"), REQUESTS)
async def test_a_body_that_does_not_come_is_given_up(
    method: str, path: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "BODY_TIMEOUT_S", 0.2)
    async with serving() as (server, _):
        server.registry.open("cam")
        tasks = len(asyncio.all_tasks())
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: 900\r\n\r\nv=0"
        assert await status_of(server, head.encode()) == 408
        await asyncio.sleep(0.1)
        assert len(asyncio.all_tasks()) <= tasks


@pytest.mark.parametrize(("method", "path", "kind"), REQUESTS)
async def test_a_body_that_is_too_large_is_refused_without_reading_all_of_it(method: str, path: str, kind: str) -> None:
    async with serving() as (server, _):
        server.registry.open("cam")
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: 999999999\r\n\r\n"
        assert await status_of(server, head.encode() + bytes(70_000)) == 413
