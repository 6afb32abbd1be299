"""Recordings over HTTP: begin, look, fetch, end; and every refusal as a problem with what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from cmstream.server import Server
from cmstream.settings import RecordingSettings, StreamSettings
from tests.transport.http.serving import JSON, serving
from tests.transport.http.talking import grey, opening, raw_frame, talk
from tests.transport.recording.films import film

PATH = "/api/v1/streams/cam/recordings"


def files_below(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


@asynccontextmanager
async def recording(folder: Path, **settings: Any) -> AsyncIterator[tuple[Server, ClientSession]]:
    recorded = RecordingSettings(folder=str(folder), keep_free_mb=0, **settings)
    async with serving(recording=recorded, streams=StreamSettings(skip_still="off")) as (server, http):
        yield server, http


async def test_a_recording_is_begun_watched_fetched_and_ended_by_its_address(tmp_path: Path) -> None:
    async with recording(tmp_path) as (_, http), talk(http, "/ws/cam", opening()) as publisher:
        await publisher.hear()
        async with http.post(PATH) as answer:
            begun = await answer.json()
            assert (answer.status, answer.headers["Location"]) == (201, f"{PATH}/{begun['id']}")
        for frame_id in range(20):
            await publisher.say(raw_frame(frame_id, grey(frame_id, 64)))
            await publisher.hear_frame()
            await asyncio.sleep(0.02)
        async with http.get(answer.headers["Location"]) as looked:
            state = await looked.json()
            assert (state["state"], state["stream"], state["width_px"]) == ("recording", "cam", 64)
        async with http.delete(answer.headers["Location"]) as ended:
            state = await ended.json()
            assert (ended.status, state["state"]) == (200, "finished")
        async with http.get(f"{answer.headers['Location']}/file") as fetched:
            body = await fetched.read()
            assert fetched.headers["Content-Type"] == "video/mp4"
            assert fetched.headers["Content-Disposition"] == f'attachment; filename="{state["file"]}"'
        assert body == (tmp_path / state["file"]).read_bytes()
        assert len(film(tmp_path / state["file"]).pictures) == state["pictures"] > 10
        async with http.get(PATH) as listed, http.get("/api/v1/recordings") as everything:
            assert (await listed.json())["recordings"] == (await everything.json())["recordings"] == [state]
        async with http.delete(answer.headers["Location"]) as again:
            assert (again.status, (await again.json())["state"]) == (200, "finished")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"what": "everything"}', 422, "styled or source"),
        (b'{"folder": "/etc"}', 422, "is not known"),
        (b'{"container": 7}', 422, "mp4 or mkv"),
        (b"[]", 400, "JSON object"),
        (b"{", 400, "not JSON"),
    ],
)
async def test_what_cannot_be_recorded_is_refused_and_nothing_is_written(
    tmp_path: Path, body: bytes, status: int, said: str
) -> None:
    async with recording(tmp_path) as (_, http), talk(http, "/ws/cam", opening()) as publisher:
        await publisher.hear()
        async with http.post(PATH, data=body, headers=JSON) as answer:
            assert answer.status == status
            assert said in (await answer.json())["detail"]
        assert files_below(tmp_path) == []


@pytest.mark.parametrize("name", ["..%2f..%2fetc", "%2e%2e", "a%00b", "-x"])
async def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    async with recording(tmp_path / "in") as (_, http):
        async with http.post(f"/api/v1/streams/{name}/recordings") as answer:
            assert answer.status in (400, 404, 405)
        assert files_below(tmp_path) == [tmp_path / "in"]


async def test_nobody_publishing_is_a_conflict_and_a_server_that_does_not_record_says_how_it_would(tmp_path: Path) -> None:
    async with recording(tmp_path) as (_, http), http.post(PATH) as answer:
        assert (answer.status, "Retry-After" in answer.headers) == (409, True)
    async with serving() as (_, http):
        async with http.post(PATH) as answer:
            assert answer.status == 404
            assert "recording.folder" in (await answer.json())["detail"]
        async with http.get("/api/v1/recordings") as listed:
            assert await listed.json() == {"enabled": False, "recordings": []}


async def test_a_recording_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    async with recording(tmp_path) as (_, http):
        for method, path in (("GET", "/nothing"), ("DELETE", "/nothing"), ("GET", "/nothing/file")):
            async with http.request(method, f"{PATH}{path}") as answer:
                assert answer.status == 404
                assert "no such recording" in (await answer.json())["detail"]
