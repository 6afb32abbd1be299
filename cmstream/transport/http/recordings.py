"""Recordings of a stream: begin, look, end, fetch the file. Whether and where this server records is in its settings."""

from __future__ import annotations

from aiohttp import web

from cmstream.core.errors import InvalidParameters, NotFound
from cmstream.session.registry import check_name
from cmstream.transport.http.api import object_of
from cmstream.transport.http.context import context_of
from cmstream.transport.recording.recording import Recording

CHOICES = {"what": ("styled", "source"), "container": ("mp4", "mkv")}
TYPES = {".mp4": "video/mp4", ".mkv": "video/matroska"}  # RFC 4337, RFC 9559


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    recordings = "/api/v1/streams/{stream}/recordings"
    return [
        web.get("/api/v1/recordings", _all),
        web.get(recordings, _of_stream),
        web.post(recordings, _begin),
        web.get(f"{recordings}/{{recording}}", _one),
        web.delete(f"{recordings}/{{recording}}", _end),
        web.get(f"{recordings}/{{recording}}/file", _file),
    ]


async def _all(request: web.Request) -> web.Response:
    recordings = context_of(request).recordings
    return web.json_response({"enabled": recordings.enabled, "recordings": [one.as_json() for one in recordings.known()]})


async def _of_stream(request: web.Request) -> web.Response:
    recordings, stream = context_of(request).recordings, request.match_info["stream"]
    check_name(stream)
    return web.json_response({"enabled": recordings.enabled, "recordings": [one.as_json() for one in recordings.known(stream)]})


async def _begin(request: web.Request) -> web.Response:
    stream = request.match_info["stream"]
    check_name(stream)
    asked = _checked(await object_of(request)) if request.body_exists else {}
    recording = await context_of(request).recordings.record(stream, **asked)
    location = f"/api/v1/streams/{stream}/recordings/{recording.recording_id}"
    return web.json_response(recording.as_json(), status=201, headers={"Location": location})


async def _one(request: web.Request) -> web.Response:
    return web.json_response(_find(request).as_json())


async def _end(request: web.Request) -> web.Response:
    recording = await context_of(request).recordings.end(request.match_info["stream"], request.match_info["recording"])
    return web.json_response(recording.as_json())


async def _file(request: web.Request) -> web.FileResponse:
    recording = _find(request)
    if not recording.pictures:
        raise NotFound("nothing was recorded yet; ask again once there are frames")
    headers = {
        "Content-Type": TYPES[recording.path.suffix],
        "Content-Disposition": f'attachment; filename="{recording.path.name}"',
        "Cache-Control": "no-store",
    }
    return web.FileResponse(recording.path, headers=headers)


def _find(request: web.Request) -> Recording:
    return context_of(request).recordings.find(request.match_info["stream"], request.match_info["recording"])


def _checked(asked: dict[str, object]) -> dict[str, str]:
    """The choices that were made. Raises InvalidParameters."""
    problems: dict[str, str] = {}
    chosen: dict[str, str] = {}
    for name, value in asked.items():
        if name not in CHOICES:
            problems[name] = f"is not known; {' and '.join(CHOICES)} are"
        elif isinstance(value, str) and value in CHOICES[name]:
            chosen[name] = value
        else:
            problems[name] = f"must be {' or '.join(CHOICES[name])}"
    if problems:
        raise InvalidParameters(problems)
    return chosen
