"""WHIP and WHEP by the letter: methods, codes and headers of RFC 9725 and draft-ietf-wish-whep. docs/whip.md is the table."""

from __future__ import annotations

import re

import pytest
from aiohttp import ClientSession
from aiortc import RTCSessionDescription
from pydantic import SecretStr

from cmstream.settings import AuthSettings, HttpSettings, RtcSettings, StreamSettings
from tests.transport.http.negotiating import FRAGMENT, answered, post, publishing, viewing
from tests.transport.http.serving import serving
from tests.transport.rtc.media import ColourTrack, client, offer_of
from tests.transport.rtc.test_offer import offer, section
from tests.transport.rtc.test_peers import until

GOOD_CANDIDATE = "a=mid:0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n"
TURN = RtcSettings(ice_servers=("stuns:127.0.0.1:9", "turn:127.0.0.1:9?transport=tcp"), turn_secret=SecretStr("north"))


def directions(sdp: str) -> list[str]:
    return re.findall(r"^a=(sendonly|recvonly|sendrecv|inactive)\r$", sdp, re.MULTILINE)


async def test_an_offer_is_answered_201_with_an_answer_and_a_location_that_nobody_can_guess() -> None:
    async with serving() as (_, http), answered(http) as first, answered(http, "/whip/other") as second:
        assert (first.status, first.headers["Content-Type"].partition(";")[0]) == (201, "application/sdp")
        assert first.text.startswith("v=0\r\n")
        assert re.fullmatch(r"/whip/cam/[A-Za-z0-9_-]{22,}", first.location), "128 bits in base64, on the same server"
        assert first.location.rpartition("/")[2] != second.location.rpartition("/")[2]
        assert "ETag" not in first.headers, "there are no ICE restarts to tell apart"


async def test_the_answer_receives_only_multiplexes_only_and_holds_every_candidate() -> None:
    async with serving() as (_, http), answered(http, offer=offer(section("video", "sendrecv", 0))) as told:
        assert directions(told.text) == ["recvonly"]
        for line in ("a=rtcp-mux", "a=rtcp-mux-only", "a=end-of-candidates"):
            assert f"{line}\r\n" in told.text
        assert "a=candidate:" in told.text
        assert "a=ice-lite" not in told.text


async def test_a_direction_that_is_not_named_is_both_and_answered_as_such() -> None:
    wanted = offer(section("video", "sendrecv", 0)).replace("a=sendrecv\r\n", "")
    async with serving() as (_, http), answered(http, offer=wanted) as told:
        assert (told.status, directions(told.text)) == (201, ["recvonly"])


async def test_audio_and_video_share_one_transport() -> None:
    wanted = offer(section("audio", "sendonly", 0), section("video", "sendonly", 1), session="a=group:BUNDLE 0 1")
    async with serving() as (_, http), answered(http, offer=wanted) as told:
        assert told.status == 201
        assert "a=group:BUNDLE 0 1\r\n" in told.text
        assert len(set(re.findall(r"a=ice-ufrag:(\S+)", told.text))) == 1
        assert told.text.count("a=rtcp-mux-only") == 2
        assert directions(told.text) == ["recvonly", "recvonly"]


async def test_a_viewer_that_offers_both_ways_is_answered_one_way() -> None:
    async with serving() as (server, http):
        with server.registry.open("cam").publish("test"):
            async with answered(http, "/whep/cam", offer(section("video", "sendrecv", 0))) as told:
                assert (told.status, directions(told.text)) == (201, ["sendonly"])


@pytest.mark.parametrize(("setup", "role"), [("actpass", "active"), ("active", "passive"), ("passive", "active")])
async def test_a_client_may_choose_its_side_of_dtls(setup: str, role: str) -> None:
    wanted = offer(section("video", "sendonly", 0)).replace("a=setup:actpass", f"a=setup:{setup}")
    async with serving() as (_, http), answered(http, offer=wanted) as told:
        assert told.status == 201
        assert f"a=setup:{role}\r\n" in told.text


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        (offer(section("video", "recvonly", 0)), 422),
        (offer(section("audio", "sendonly", 0)), 422),
        (offer(section("video", "sendonly", 0), section("video", "sendonly", 1)), 422),
        (offer(section("video", "sendonly", 0).replace("VP8", "AV1")), 422),
        (offer(section("video", "sendonly", 0), section("audio", "sendonly", 1).replace("opus/48000/2", "mp4a/44100")), 422),
        (offer("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:0\na=sctp-port:5000"), 422),
        (offer(section("video", "sendonly", 0)).replace("a=rtpmap:96 VP8/90000", "a=rtpmap:x"), 400),
        ("hello", 400),
    ],
)
async def test_an_offer_is_taken_whole_or_refused_whole_and_leaves_nothing(wanted: str, status: int) -> None:
    async with serving(streams=StreamSettings(linger_s=0)) as (server, http):
        async with answered(http, offer=wanted) as told:
            assert (told.status, told.headers["Content-Type"].partition(";")[0]) == (status, "application/problem+json")
        assert repr(server._peers).startswith("<Peers 0") or status == 422
        async with answered(http) as again:
            assert again.status == 201, "the name is free"


@pytest.mark.parametrize("prefix", ["whip", "whep"])
async def test_get_and_head_of_an_endpoint_give_nothing_but_its_type(prefix: str) -> None:
    async with serving() as (_, http):
        for method in ("GET", "HEAD"):
            async with http.request(method, f"/{prefix}/cam") as answer:
                assert (answer.status, answer.content_type, await answer.read()) == (200, "application/sdp", b"")


@pytest.mark.parametrize("path", ["/whip/cam", "/whep/cam", "/whip/cam/any", "/whep/cam/any"])
async def test_options_says_what_to_post_needs_no_token_and_mints_no_credentials(path: str) -> None:
    auth = AuthSettings(token=SecretStr("open sesame"))
    allowed = HttpSettings(port=0, allowed_origins=("https://studio.example",))
    async with serving(auth=auth, rtc=TURN, http=allowed) as (_, http):
        for headers in ({}, {"Origin": "https://studio.example", "Access-Control-Request-Method": "POST"}):
            async with http.options(path, headers=headers) as answer:
                assert (answer.status, await answer.read()) == (200, b"")
                assert answer.headers["Accept-Post"] == "application/sdp"
                assert answer.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
                assert "Link" not in answer.headers
        assert answer.headers["Access-Control-Allow-Origin"] == "https://studio.example"


async def test_every_request_but_options_asks_for_the_token() -> None:
    async with serving(auth=AuthSettings(token=SecretStr("open sesame"))) as (_, http):
        connection = publishing()
        wanted = await offer_of(connection)
        told = await post(http, "/whip/cam", wanted)
        assert (told.status, told.headers["WWW-Authenticate"]) == (401, "Bearer")
        told = await post(http, "/whip/cam", wanted, Authorization="Bearer open sesame")
        assert told.status == 201
        for method, body in (("PATCH", GOOD_CANDIDATE), ("DELETE", None), ("GET", None)):
            async with http.request(method, told.location, headers=FRAGMENT if body else {}, data=body) as answer:
                assert answer.status == 401
        async with http.delete(told.location, headers={"Authorization": "Bearer open sesame"}) as answer:
            assert answer.status == 200
        await connection.close()


async def test_delete_ends_the_session_whatever_tag_it_names_and_again_is_fine() -> None:
    async with serving() as (server, http), answered(http) as told:
        async with http.get(told.location) as answer:
            assert (answer.status, await answer.read()) == (204, b"")
        async with http.delete(told.location, headers={"If-Match": '"another"'}) as answer:
            assert answer.status == 200
        assert repr(server._peers).startswith("<Peers 0"), "its sockets are closed when it is answered"
        for method, status in (("DELETE", 200), ("GET", 404)):
            async with http.request(method, told.location) as answer:
                assert answer.status == status
        async with http.delete("/whip/cam/never-was") as answer:
            assert answer.status == 404


async def test_a_client_that_closes_its_connection_before_its_delete_is_answered_200_as_obs_wants() -> None:
    async with serving() as (server, http):
        connection = publishing()
        told = await post(http, "/whip/cam", await offer_of(connection))
        await connection.setRemoteDescription(RTCSessionDescription(told.text, "answer"))
        await until(lambda: server.registry.get("cam").snapshot()["frames_received"] > 0)
        await connection.close()
        await until(lambda: repr(server._peers).startswith("<Peers 0"))
        async with http.delete(told.location) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("path", ["/whip/other/{}", "/whep/cam/{}"])
async def test_a_session_is_found_at_its_own_url_only(path: str) -> None:
    async with serving() as (server, http), answered(http) as told:
        wrong = path.format(told.location.rpartition("/")[2])
        for method, data in (("DELETE", None), ("PATCH", GOOD_CANDIDATE), ("GET", None)):
            async with http.request(method, wrong, data=data, headers=FRAGMENT if data else {}) as answer:
                assert answer.status == 404
        assert repr(server._peers).startswith("<Peers 1")


@pytest.mark.parametrize("if_match", [None, "*", '"xyzzy"'])
async def test_candidates_are_taken_with_and_without_a_tag(if_match: str | None) -> None:
    headers = {**FRAGMENT, **({} if if_match is None else {"If-Match": if_match})}
    async with serving() as (_, http), answered(http) as told:
        async with http.patch(told.location, data=GOOD_CANDIDATE, headers=headers) as answer:
            assert (answer.status, await answer.read()) == (204, b"")
            assert "ETag" not in answer.headers


async def test_a_candidate_that_cannot_be_used_is_let_lie_and_a_malformed_one_refused() -> None:
    async with serving() as (_, http), answered(http) as told:
        for line, status in (
            ("a=candidate:1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active", 204),
            ("a=candidate:1 1 udp 2130706431 c0ffee.local 50000 typ host", 204),
            ("a=candidate:1 1 udp", 400),
        ):
            async with http.patch(told.location, data=f"a=mid:0\r\n{line}\r\n", headers=FRAGMENT) as answer:
                assert answer.status == status
        async with http.patch(told.location, data=GOOD_CANDIDATE, headers={"Content-Type": "text/plain"}) as answer:
            assert (answer.status, answer.headers["Accept-Patch"]) == (415, FRAGMENT["Content-Type"])


async def test_an_ice_restart_is_answered_422_and_the_session_goes_on() -> None:
    restart = "a=ice-ufrag:other\r\na=ice-pwd:otherotherotherotherother\r\n" + GOOD_CANDIDATE
    async with serving() as (_, http), answered(http) as told:
        async with http.patch(told.location, data=restart, headers={**FRAGMENT, "If-Match": "*"}) as answer:
            assert (answer.status, answer.content_type) == (422, "application/problem+json")
        same = "".join(f"{line}\r\n" for line in told.offer.splitlines() if line.startswith(("a=ice-ufrag", "a=ice-pwd")))
        async with http.patch(told.location, data=same + GOOD_CANDIDATE, headers=FRAGMENT) as answer:
            assert answer.status == 204


async def test_the_answer_names_ice_servers_with_credentials_that_expire() -> None:
    async with serving(rtc=TURN) as (_, http), answered(http) as told:
        stun, turn = told.headers.getall("Link")
        assert stun == '<stuns:127.0.0.1:9>; rel="ice-server"'
        url, *parameters = turn.split("; ")
        assert (url, parameters[0], parameters[3]) == (
            "<turn:127.0.0.1:9?transport=tcp>",
            'rel="ice-server"',
            'credential-type="password"',
        )
        assert re.fullmatch(r'username="\d+:cmstream"', parameters[1])
        assert re.fullmatch(r'credential="[A-Za-z0-9+/=]{28}"', parameters[2])


async def test_a_type_with_parameters_and_in_capitals_is_the_same_type() -> None:
    async with serving() as (_, http):
        connection = publishing()
        wanted = await offer_of(connection)
        async with http.post("/whip/cam", data=wanted, headers={"Content-Type": "Application/SDP; charset=utf-8"}) as answer:
            assert answer.status == 201
            location = answer.headers["Location"]
        headers = {"Content-Type": "application/Trickle-ICE-SDPFrag; charset=UTF-8"}
        async with http.patch(location, data=GOOD_CANDIDATE, headers=headers) as answer:
            assert answer.status == 204
        await connection.close()


@pytest.mark.parametrize("path", ["/whip/cam", "/whep/cam"])
async def test_another_type_is_answered_415_and_which_one_to_send(path: str) -> None:
    async with serving() as (_, http), http.post(path, data="v=0", headers={"Content-Type": "text/plain"}) as answer:
        assert (answer.status, answer.headers["Accept-Post"]) == (415, "application/sdp")


async def _description(http: ClientSession) -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    async with http.get("/api/v1/openapi.json") as answer:
        paths: dict[str, dict[str, dict[str, dict[str, object]]]] = (await answer.json())["paths"]
    return paths


async def test_the_description_knows_every_code_that_is_answered_here() -> None:
    async with serving() as (_, http):
        paths = await _description(http)
    refusals = {"400", "401", "408", "413", "415", "422", "429"}
    for prefix in ("whip", "whep"):
        endpoint, session = paths[f"/{prefix}/{{stream}}"], paths[f"/{prefix}/{{stream}}/{{session}}"]
        assert set(endpoint["post"]["responses"]) == {"201", "307", "403", "409", "503", *refusals}
        assert set(session["patch"]["responses"]) == {"204", "403", "404", *refusals}
        assert set(session["delete"]["responses"]) == {"200", "401", "403", "404", "429"}
        assert {"get", "options"} <= set(endpoint) & set(session)


async def test_audio_of_a_viewer_is_answered_in_one_direction() -> None:
    async with serving() as (server, http):
        connection = viewing()
        connection.addTransceiver("audio", direction="recvonly")
        with server.registry.open("cam").publish("test"):
            told = await post(http, "/whep/cam", await offer_of(connection))
        assert told.status == 201
        assert set(directions(told.text)) <= {"sendonly", "inactive"}
        assert directions(told.text)[0] == "sendonly"
        await connection.close()


async def test_sound_beside_the_picture_is_taken_in_the_offer() -> None:
    async with serving() as (_, http):
        connection = client()
        connection.addTrack(ColourTrack((1, 2, 3)))
        connection.addTransceiver("audio", direction="sendonly")
        told = await post(http, "/whip/cam", await offer_of(connection))
        assert (told.status, directions(told.text)) == (201, ["recvonly", "recvonly"])
        await connection.close()
