"""Every route with good and bad requests, on the real server with the fake engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from cmstream.core.errors import ConfigurationError
from cmstream.engine.fake import FakeEngine
from cmstream.server import Server
from cmstream.settings import AuthSettings, GrpcSettings, HttpSettings, RtcSettings, Settings
from tests.session.stage import push
from tests.transport.http.serving import SDP, next_event, serving
from tests.transport.rtc.media import ColourTrack, client, offer_of


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("GET", "/", {}, None, 200),
        ("GET", "/view/cam", {}, None, 200),
        ("GET", "/healthz", {}, None, 200),
        ("GET", "/readyz", {}, None, 200),
        ("GET", "/metrics", {}, None, 200),
        ("GET", "/api/v1/openapi.json", {}, None, 200),
        ("GET", "/api/v1/model", {}, None, 200),
        ("GET", "/nowhere", {}, None, 404),
        ("GET", "/assets/../pyproject.toml", {}, None, 404),
        ("GET", "/assets/%2e%2e/%2e%2e/pyproject.toml", {}, None, 404),
        ("GET", "/assets/package.json", {}, None, 404),
        ("GET", "/api/v1/streams/none", {}, None, 404),
        ("GET", "/api/v1/streams/none/events", {}, None, 404),
        ("PATCH", "/api/v1/streams/none", {"Content-Type": "application/json"}, "{}", 404),
        ("DELETE", "/api/v1/streams/none", {}, None, 404),
        ("GET", "/whip/cam", {}, None, 200),
        ("GET", "/whip/cam/none", {}, None, 404),
        ("GET", "/whep/-", {}, None, 400),
        ("OPTIONS", "/whip/cam", {}, None, 200),
        ("POST", "/whip/cam", {"Content-Type": "text/plain"}, "v=0", 415),
        ("POST", "/whip/cam", SDP, "", 400),
        ("POST", "/whip/cam", SDP, "hello", 400),
        ("POST", "/whip/cam", SDP, "v=0\r\nnonsense", 400),
        ("POST", "/whip/cam", SDP, b"\xff\xfe\x00", 400),
        ("POST", "/whip/cam", SDP, "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", 422),
        ("POST", "/whip/cam", SDP, "v=0" + "x" * 70_000, 413),
        ("POST", "/whep/cam", SDP, "hello", 400),
        ("DELETE", "/whip/cam/none", {}, None, 404),
        ("PATCH", "/whip/cam/none", {"Content-Type": "application/trickle-ice-sdpfrag"}, "a=mid:0", 404),
        ("PATCH", "/whip/cam/none", {"Content-Type": "text/plain"}, "a=mid:0", 415),
        ("POST", "/whip/cam", {**SDP, "Origin": "https://evil.example"}, "v=0", 403),
        ("GET", "/", {"Host": "rebound.example"}, None, 403),
    ],
)
async def test_each_request_gets_its_status(method: str, path: str, headers: dict[str, str], body: Any, status: int) -> None:
    async with serving() as (_, http):
        async with http.request(method, path, headers=headers, data=body) as answer:
            assert answer.status == status
            if status >= 400:
                assert answer.content_type == "application/problem+json"
                assert len((await answer.json())["detail"]) > 5


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"strength": 0.5}, 200),
        ({"strength": 2}, 422),
        ({"nonsense": 1}, 422),
        ([1], 400),
        ("x", 400),
    ],
)
async def test_a_patch_answers_the_whole_state_or_names_what_is_wrong(body: Any, status: int) -> None:
    async with serving() as (server, http):
        session = server.registry.open("cam")
        before = session.params
        async with http.patch("/api/v1/streams/cam", json=body) as answer:
            told = await answer.json()
        assert answer.status == status
        if status == 200:
            assert told == {"params": {**before.as_json(), "strength": 0.5}, "first_frame_id": 0}
        else:
            assert session.params == before


async def test_json_that_nests_without_end_is_a_400() -> None:
    async with serving() as (server, http):
        server.registry.open("cam")
        async with http.patch("/api/v1/streams/cam", data="[" * 9000, headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == 400


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(lambda text: ("v=0\r\n" + text).encode()),
        st.lists(
            st.sampled_from(
                [
                    "v=0",
                    "o=- 1 1 IN IP4 0",
                    "s=-",
                    "t=0 0",
                    "m=video 9 UDP/TLS/RTP/SAVPF 96",
                    "m=audio",
                    "a=mid:0",
                    "a=sendonly",
                ]
                + [
                    "a=rtpmap:96 VP8/90000",
                    "a=ice-ufrag:x",
                    "a=ice-pwd:y",
                    "a=fingerprint:sha-256 00",
                    "a=setup:actpass",
                    "c=IN",
                ]
                + ["a=candidate:1 1 udp 1 1.2.3.4 5 typ host", "a=candidate:", "a=group:BUNDLE 0", "a=fmtp:96 x", "a=rtcp-mux"]
                + ["a=sendonly", "c=IN"]
            ),
            max_size=20,
        ).map(lambda lines: "\r\n".join(["v=0", *lines]).encode()),
    )
)
def test_no_offer_whatever_it_holds_makes_the_server_fail(body: bytes) -> None:
    async def offer() -> None:
        async with serving() as (server, http):
            for path in ("/whip/cam", "/whep/cam"):
                async with http.post(path, data=body, headers=SDP) as answer:
                    assert 400 <= answer.status < 500
            assert all(session.publisher is None for session in server.registry.sessions())

    asyncio.run(offer())


async def test_whip_answers_201_with_a_location_that_ends_the_session() -> None:
    async with serving(rtc=RtcSettings(ice_servers=("turn:me:secret@turn.example:3478",))) as (server, http):
        connection = client()
        connection.addTrack(ColourTrack((1, 2, 3)))
        async with http.post("/whip/cam", data=await offer_of(connection), headers=SDP) as answer:
            assert (answer.status, answer.content_type) == (201, "application/sdp")
            location = answer.headers["Location"]
            assert answer.headers["Link"].startswith('<turn:turn.example:3478>; rel="ice-server"; username="me"')
        assert location.startswith("/whip/cam/")
        assert len(location.rpartition("/")[2]) >= 22  # 128 bits in base64
        restart = "a=ice-ufrag:other\r\na=ice-pwd:other\r\n"
        trickle = {"Content-Type": "application/trickle-ice-sdpfrag"}
        async with http.patch(location, data=restart, headers=trickle) as answer:
            assert answer.status == 422
        good = "a=mid:0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n"
        async with http.patch(location, data=good, headers=trickle) as answer:
            assert answer.status == 204
        async with http.delete(location) as answer:
            assert answer.status == 200
        await asyncio.sleep(0.05)
        assert server.registry.get("cam").publisher is None
        await connection.close()


async def test_a_viewer_without_publisher_gets_409_and_when_to_retry() -> None:
    async with serving() as (_, http):
        connection = client()
        connection.addTransceiver("video", direction="recvonly")
        async with http.post("/whep/cam", data=await offer_of(connection), headers=SDP) as answer:
            assert answer.status == 409
            assert int(answer.headers["Retry-After"]) >= 1
        await connection.close()


async def test_bad_requests_leave_a_running_stream_undisturbed() -> None:
    async with serving() as (server, http):
        session = server.registry.open("cam")
        with session.publish("test") as publisher, session.subscribe("test") as frames:
            for step in range(5):
                async with http.post("/whip/cam", data="v=0 rubbish", headers=SDP) as answer:
                    assert answer.status == 400
                async with http.patch("/api/v1/streams/cam", json={"strength": 9}) as answer:
                    assert answer.status == 422
                push(publisher, 10)
                styled = await anext(frames)
                assert (styled.frame_id, int(styled.rgb[0, 0, 0])) == (step, 245)


async def test_events_tell_the_figures_the_changes_and_the_end() -> None:
    async with serving() as (server, http):
        session = server.registry.open("cam")
        async with http.get("/api/v1/streams/cam/events") as answer:
            assert answer.content_type == "text/event-stream"
            kind, stats = await next_event(answer.content)
            assert (kind, stats["params"]["strength"]) == ("stats", 1.0)
            session.update({"strength": 0.25})
            kind, stats = await asyncio.wait_for(next_event(answer.content), 0.5)
            assert (kind, stats["params"]["strength"]) == ("stats", 0.25)
            server.registry.close("cam")
            kind, _ = await asyncio.wait_for(next_event(answer.content), 0.5)
            assert kind == "closed"


async def test_an_open_event_stream_does_not_hold_up_the_end() -> None:
    loop = asyncio.get_running_loop()
    async with serving() as (server, http):
        server.registry.open("cam")
        async with http.get("/api/v1/streams/cam/events") as answer:
            await next_event(answer.content)
            start_s = loop.time()
            await server.drain()
            kind = ""
            while kind != "closed":
                kind, _ = await next_event(answer.content)
    assert loop.time() - start_s < 3


async def test_with_a_token_everything_but_pages_and_health_asks_for_it() -> None:
    token = AuthSettings(token=SecretStr("open sesame"))
    async with serving(auth=token) as (_, http):
        for path, status in [("/", 200), ("/healthz", 200), ("/view/x", 200), ("/metrics", 401), ("/api/v1/streams", 401)]:
            async with http.get(path) as answer:
                assert answer.status == status
        async with http.post("/whip/cam", data="v=0", headers=SDP) as answer:
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        async with http.post("/whip/cam?token=open+sesame", data="v=0", headers=SDP) as answer:
            assert answer.status == 401  # an address leaks; only reading may carry the token there
        async with http.get("/api/v1/streams?token=open+sesame") as answer:
            assert answer.status == 200
        async with http.get("/api/v1/streams", headers={"Authorization": "Bearer open sesame"}) as answer:
            assert answer.status == 200
        async with http.get("/api/v1/streams", headers={"Authorization": "Bearer öpen"}) as answer:
            assert answer.status == 401
        async with http.options("/whip/cam") as answer:
            assert answer.status == 200


async def test_cors_is_for_allowed_origins_only() -> None:
    allowed = HttpSettings(port=0, allowed_origins=("https://studio.example",))
    async with serving(http=allowed) as (_, http):
        async with http.get("/api/v1/streams", headers={"Origin": "https://studio.example"}) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == "https://studio.example"
        async with http.get("/api/v1/streams", headers={"Origin": "https://evil.example"}) as answer:
            assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_port_in_use_is_one_clear_error_and_nothing_stays_open() -> None:
    async with serving() as (server, _):
        port = int(server.http_address.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match="--http-port"):
            await Server(Settings(http=HttpSettings(port=port), grpc=GrpcSettings(port=0)), engine=FakeEngine()).__aenter__()


def test_nothing_listens_beyond_loopback_without_a_token() -> None:
    with pytest.raises(ConfigurationError, match="TOKEN"):
        Server(Settings(http=HttpSettings(host="0.0.0.0")))


async def test_a_publisher_that_would_break_the_others_is_answered_503_with_when_to_come_back() -> None:
    async with serving(engine_ms=60) as (server, http):
        session = server.registry.open("first")
        with session.publish("test") as publisher, session.subscribe("test") as frames:
            push(publisher, 0, side_px=192)
            await anext(frames)
            connection = client()
            connection.addTrack(ColourTrack((10, 20, 30)))
            offer = await offer_of(connection)
            try:
                async with http.post("/whip/second", headers=SDP, data=offer) as answer:
                    problem = await answer.json()
                    assert (answer.status, answer.content_type) == (503, "application/problem+json")
                    assert answer.headers["Retry-After"] == "15"
                    assert "the engine is full" in problem["detail"]
                    assert "try again later" in problem["detail"]
            finally:
                await connection.close()
        async with http.get("/metrics") as answer:
            assert 'cmstream_refusals_total{limit="engine"} 1.0' in await answer.text()


async def test_a_stream_tells_its_rung_its_size_what_limits_it_and_its_budget() -> None:
    async with serving() as (server, http):
        session = server.registry.open("cam")
        with session.publish("test") as publisher:
            push(publisher, 0)
            async with http.patch("/api/v1/streams/cam", json={"budget_ms": 90}) as answer:
                assert (await answer.json())["params"]["budget_ms"] == 90
            async with http.get("/api/v1/streams/cam") as answer:
                state = await answer.json()
            assert (state["rung"], state["working_px"], state["limiting_factor"]) == (0, [32, 32], "none")
            assert state["budget_ms"] == 90
            async with http.patch("/api/v1/streams/cam", json={"budget_ms": 9}) as answer:
                assert answer.status == 422
            async with http.get("/api/v1/schema") as answer:
                about = (await answer.json())["properties"]["budget_ms"]
            assert (about["minimum"], about["maximum"], about["default"]) == (10, 5000, 150)
            async with http.get("/metrics") as answer:
                assert 'cmstream_streams_at_rung{rung="0"} 1.0' in await answer.text()
