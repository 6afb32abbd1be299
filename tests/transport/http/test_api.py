"""The JSON API under hostile bodies, its errors, and its description of itself."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from aiohttp import ClientSession
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from cmstream.server import Server
from tests.transport.http.serving import JSON, SDP, serving
from tests.transport.rtc.media import ColourTrack, client, offer_of

CAM = "/api/v1/streams/cam"


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ('{"strength": 0.25}', 200, None),
        ("{}", 200, None),
        ('{"strength": NaN}', 422, "strength"),
        ('{"strength": -Infinity}', 422, "strength"),
        ('{"strength": 1e999}', 422, "strength"),
        ('{"strength": %s}' % ("1" * 400), 422, "strength"),
        ('{"strength": -%s}' % ("1" * 400), 422, "strength"),
        ('{"seed": %s}' % ("9" * 9000), 422, "seed"),
        ('{"seed": 4294967296}', 422, "seed"),
        ('{"seed": 0.5}', 422, "seed"),
        ('{"strength": true}', 422, "strength"),
        ('{"strength": null}', 422, "strength"),
        ('{"style": {}}', 422, "style"),
        ('{"style": {"invert": -1}}', 422, "style"),
        ('{"style": {"invert": [1]}}', 422, "style"),
        ('{"style": "\\ud800"}', 422, "style"),
        ('{"\\ud800": 1}', 422, "\ud800"),
        ('{"strength": 0.1, "nonsense": 1}', 422, "nonsense"),
        ("", 400, None),
        ("null", 400, None),
        ("[]", 400, None),
        ("{", 400, None),
        ('{"a":' * 3000, 400, None),
        ("[" * 16000, 400, None),
        (b"\xff\xfe{", 400, None),
        ('{"strength": 0.5}' + " " * 20_000, 413, None),
    ],
)
async def test_a_patch_is_taken_whole_or_refused_whole(body: Any, status: int, named: str | None) -> None:
    async with serving() as (server, http):
        session = server.registry.open("cam")
        before = session.params
        async with http.patch(CAM, data=body, headers=JSON) as answer:
            told = await answer.json(content_type=None)
            assert answer.status == status, told
        if status == 200:
            assert told["params"] == session.params.as_json()
            return
        assert session.params == before
        assert told["status"] == status
        assert len(told["detail"]) > 10
        if status == 422:
            assert set(told["errors"]) == {named}


async def test_parameters_in_another_type_are_a_415() -> None:
    async with serving() as (server, http):
        server.registry.open("cam")
        async with http.patch(CAM, data=b'{"strength": 0.5}', headers={"Content-Type": "text/plain"}) as answer:
            assert answer.status == 415
            assert "application/json" in (await answer.json())["detail"]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
_NAMES = st.sampled_from(["style", "strength", "seed", "transition_ms", "__class__", ""]) | st.text(max_size=20)
_STYLES = st.dictionaries(st.sampled_from(["invert", "grey", "x"]), _VALUES, max_size=3)
_PATCHES = st.dictionaries(_NAMES, _VALUES | _STYLES, max_size=4).map(lambda patch: json.dumps(patch).encode())
_BODIES = st.lists(_PATCHES | st.binary(max_size=200) | _VALUES.map(lambda value: json.dumps(value).encode()), max_size=25)


@settings(max_examples=12, deadline=None)
@given(_BODIES)
def test_no_body_whatever_it_holds_makes_the_server_fail(bodies: list[bytes]) -> None:
    async def send() -> None:
        async with serving() as (server, http):
            session = server.registry.open("cam")
            for body in bodies:
                before = session.params
                async with http.patch(CAM, data=body, headers=JSON) as answer:
                    assert answer.status in (200, 400, 422), (answer.status, body)
                    if answer.status != 200:
                        assert session.params == before

    asyncio.run(send())


@pytest.mark.parametrize("prefix", ["whip", "whep"])
@pytest.mark.parametrize("name", [".hidden", "a%2Fb", "..%2Fx", "a" * 65, "%C3%A9", "a%0A", "a%20b", "%ff"])
async def test_a_name_no_stream_can_have_is_a_400(prefix: str, name: str) -> None:
    async with serving() as (server, http):
        connection = client()
        if prefix == "whip":
            connection.addTrack(ColourTrack((1, 2, 3)))
        else:
            connection.addTransceiver("video", direction="recvonly")
        offer = await offer_of(connection)
        await connection.close()
        async with http.post(URL(f"{server.http_address}/{prefix}/{name}", encoded=True), data=offer, headers=SDP) as answer:
            assert answer.status == 400
            assert "cannot name a stream" in (await answer.json())["detail"]
        assert server.registry.sessions() == ()


@pytest.mark.parametrize("path", ["/whip/cam", "/whep/cam"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_an_endpoint_takes_offers_only_and_says_so(path: str, method: str) -> None:
    async with serving() as (_, http), http.request(method, path) as answer:
        assert answer.status == 405
        assert {name.strip() for name in answer.headers["Allow"].split(",")} == {"GET", "HEAD", "OPTIONS", "POST"}


async def test_a_draining_server_is_live_but_not_ready() -> None:
    async with serving() as (server, http):
        server.registry.open("cam")
        server.registry.drain()
        async with http.get("/readyz") as answer:
            assert (answer.status, await answer.json()) == (503, {"status": "draining"})
            assert int(answer.headers["Retry-After"]) >= 1
        async with http.get("/healthz") as answer:
            assert answer.status == 200
        connection = client()
        connection.addTrack(ColourTrack((1, 2, 3)))
        async with http.post("/whip/new", data=await offer_of(connection), headers=SDP) as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) >= 1
        await connection.close()


async def test_deleting_a_stream_ends_its_publisher() -> None:
    async with serving() as (server, http):
        publisher = server.registry.open("cam").publish("test")
        async with http.delete(CAM) as answer:
            assert answer.status == 204
        assert publisher.closed.is_set()
        async with http.get(CAM) as answer:
            assert answer.status == 404


async def test_an_unexpected_failure_is_a_500_that_reveals_nothing_and_is_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as (server, http):

        def fail(name: str) -> None:
            raise RuntimeError("the inner secret")

        monkeypatch.setattr(server.registry, "get", fail)
        async with http.get(CAM) as answer:
            assert (answer.status, answer.content_type) == (500, "application/problem+json")
            assert "secret" not in await answer.text()
        assert "the inner secret" in caplog.text
        async with http.get("/metrics") as answer:
            assert 'cmstream_errors_total{kind="http_internal"} 1.0' in await answer.text()


async def test_the_list_and_the_schema_are_those_of_the_registry() -> None:
    async with serving() as (server, http):
        server.registry.open("one")
        server.registry.open("two")
        async with http.get("/api/v1/streams") as answer:
            assert [stream["name"] for stream in (await answer.json())["streams"]] == ["one", "two"]
        async with http.get("/api/v1/schema") as answer:
            schema = await answer.json()
        assert set(schema["properties"]) == {spec.name for spec in server.registry.specs}


async def test_the_description_covers_every_route_and_method_and_no_other() -> None:
    async with serving() as (server, http):
        document = await _document(http)
        assert document["openapi"].startswith("3.1")
        described = {
            (method.upper(), path) for path, item in document["paths"].items() for method in item if method != "parameters"
        }
        assert described == {entry for entry in _routes(server) if entry[0] != "HEAD" and not _is_page(entry[1])}


async def test_every_reference_in_the_description_leads_somewhere() -> None:
    async with serving() as (_, http):
        document = await _document(http)
        references = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)))
        assert references
        for reference in references:
            place = document
            for step in reference.split("/"):
                place = place[step]
        for path, item in document["paths"].items():
            declared = {parameter["name"] for parameter in item.get("parameters", ())}
            assert declared == set(re.findall(r"{(\w+)}", path))


async def _document(http: ClientSession) -> dict[str, Any]:
    async with http.get("/api/v1/openapi.json") as answer:
        assert answer.status == 200
        document: dict[str, Any] = await answer.json()
    return document


def _routes(server: Server) -> set[tuple[str, str]]:
    app = server._http._runner.app
    return {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}


def _is_page(path: str) -> bool:
    return path in ("/", "/view/{stream}") or path.startswith("/assets/")
