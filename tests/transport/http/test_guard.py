"""Who is refused before anything is read: hosts, origins, tokens, and bytes no browser would send."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession
from pydantic import SecretStr

from cmstream.settings import AuthSettings, HttpSettings
from tests.transport.http.serving import JSON, SDP, serving, status_of

STUDIO = "https://studio.example"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8080", 200),
        ("rebound.example", 403),
        ("127.0.0.1.rebound.example", 403),
        ("localhost.rebound.example:8080", 403),
        ("10.0.0.7", 403),
        ("", 403),
        ("[", 400),
    ],
)
async def test_on_loopback_only_its_own_names_are_answered(host: str, status: int) -> None:
    async with serving() as (server, _):
        assert await status_of(server, f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()) == status


async def test_a_request_that_names_no_host_is_refused() -> None:
    async with serving() as (server, _):
        assert await status_of(server, b"GET /healthz HTTP/1.0\r\n\r\n") == 403


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("origin", "refused"),
    [
        ("http://127.0.0.1", False),
        (STUDIO, False),
        ("https://evil.example", True),
        ("http://127.0.0.1.evil.example", True),
        ("http://127.0.0.1:1", True),
        ("null", True),
        ("", True),
    ],
)
async def test_pages_of_other_origins_change_nothing(method: str, origin: str, refused: bool) -> None:
    async with serving(http=HttpSettings(port=0, allowed_origins=(STUDIO,))) as (server, _):
        server.registry.open("cam")
        head = f"{method} /api/v1/streams/cam HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {origin}\r\nContent-Length: 0\r\n\r\n"
        assert (await status_of(server, head.encode()) == 403) is refused
        assert [session.name for session in server.registry.sessions()] == (
            [] if method == "DELETE" and not refused else ["cam"]
        )


async def test_a_malformed_origin_is_a_bad_request() -> None:
    async with serving() as (server, _):
        head = b"DELETE /api/v1/streams/cam HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://[\r\n\r\n"
        assert await status_of(server, head) == 400


@pytest.mark.parametrize(
    "header", [b"Bearer \xff\xfe", b"Bearer", b"Basic c2VjcmV0", b"", b"secret", b"Bearer secret2", b"Bearer \xed\xa0\x80"]
)
async def test_nothing_but_the_token_opens_the_door(header: bytes) -> None:
    async with serving(auth=AuthSettings(token=SecretStr("secret"))) as (server, _):
        head = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: " + header + b"\r\n\r\n"
        assert await status_of(server, head) == 401


async def test_a_token_read_from_a_file_with_a_last_newline_works() -> None:
    async with serving(auth=AuthSettings(token=SecretStr("secret\n"))) as (_, http):
        async with http.get("/metrics", headers={"Authorization": "Bearer secret"}) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("path", ["/", "/view/cam", "/assets/icon.svg", "/healthz", "/readyz"])
async def test_pages_and_health_need_no_token(path: str) -> None:
    async with serving(auth=AuthSettings(token=SecretStr("secret"))) as (_, http):
        async with http.get(path) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "path", ["/api/v1/streams", "/api/v1/streams/x", "/api/v1/streams/x/events", "/api/v1/schema", "/api/v1/model", "/metrics"]
)
async def test_everything_else_that_reads_needs_one(path: str) -> None:
    async with serving(auth=AuthSettings(token=SecretStr("secret"))) as (_, http):
        async with http.get(path) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path"),
    [("PATCH", "/api/v1/streams/cam"), ("DELETE", "/api/v1/streams/cam"), ("POST", "/whip/cam"), ("GET", "/api/v1/streams")],
)
async def test_an_allowed_origin_passes_the_preflight_without_a_token(method: str, path: str) -> None:
    http = HttpSettings(port=0, allowed_origins=(STUDIO,))
    async with serving(http=http, auth=AuthSettings(token=SecretStr("secret"))) as (_, client):
        async with client.options(path, headers={"Origin": STUDIO, "Access-Control-Request-Method": method}) as answer:
            assert answer.status == (200 if path == "/whip/cam" else 204)
            assert answer.headers["Access-Control-Allow-Origin"] == STUDIO
            assert method in answer.headers["Access-Control-Allow-Methods"]
            assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        foreign = {"Origin": "https://evil.example", "Access-Control-Request-Method": method}
        async with client.options(path, headers=foreign) as answer:
            assert not [name for name in answer.headers if name.startswith("Access-Control")]
            assert answer.headers["Vary"] == "Origin"


async def test_an_allowed_page_can_read_errors_and_locations() -> None:
    async with serving(http=HttpSettings(port=0, allowed_origins=(STUDIO,))) as (_, http):
        async with http.post("/whip/cam", data="rubbish", headers={**SDP, "Origin": STUDIO}) as answer:
            assert answer.status == 400
            assert answer.headers["Access-Control-Allow-Origin"] == STUDIO
            for name in ("Location", "Link", "Retry-After"):
                assert name in answer.headers["Access-Control-Expose-Headers"]


async def _policy(http: ClientSession, path: str) -> str:
    async with http.get(path) as answer:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Server"] == "cmstream"
        return answer.headers["Content-Security-Policy"]


async def test_pages_and_errors_carry_a_strict_policy() -> None:
    async with serving() as (_, http):
        for path in ("/", "/view/cam", "/assets/icon.svg", "/nowhere", "/api/v1/streams"):
            policy = await _policy(http, path)
            for rule in ("default-src 'self'", "script-src 'self'", "frame-ancestors 'self'", "base-uri 'none'"):
                assert rule in policy
            assert "unsafe" not in policy


async def test_a_refused_origin_does_not_reach_the_parameters() -> None:
    async with serving() as (server, http):
        session = server.registry.open("cam")
        before = session.params
        headers = {**JSON, "Origin": "https://evil.example"}
        async with http.patch("/api/v1/streams/cam", data='{"strength": 0}', headers=headers) as answer:
            assert answer.status == 403
        assert session.params == before
