"""WHIP and WHEP under pressure: what is answered when the server is full, when one asks too often, and where one is sent."""

from __future__ import annotations

import pytest

from cmstream.settings import HttpSettings, RtcSettings
from tests.transport.http.negotiating import FRAGMENT, answered, post
from tests.transport.http.serving import SDP, serving


async def test_a_full_server_answers_503_and_when_to_come_back() -> None:
    async with serving(rtc=RtcSettings(max_peers=1)) as (server, http), answered(http) as first:
        assert first.status == 201
        async with answered(http, "/whip/other") as second:
            assert second.status == 503
            assert int(second.headers["Retry-After"]) >= 1
        assert b'cmstream_refusals_total{limit="max_peers"} 1.0' in server.metrics.render()[0]


async def test_sessions_that_never_connect_fill_only_their_own_share() -> None:
    async with serving(rtc=RtcSettings(max_pending=2, connect_timeout_s=1)) as (server, http):
        async with answered(http, "/whip/one") as first, answered(http, "/whip/two") as second:
            assert (first.status, second.status) == (201, 201)
            async with answered(http, "/whip/three") as third:
                assert (third.status, third.headers["Retry-After"]) == (503, "5")
                assert "rtc.max_pending" in third.text
            async with http.delete(first.location) as answer:
                assert answer.status == 200
            async with answered(http, "/whip/three") as third:
                assert third.status == 201
        assert b'cmstream_refusals_total{limit="max_pending"} 1.0' in server.metrics.render()[0]


async def test_an_address_that_offers_too_often_is_answered_429_and_others_are_served() -> None:
    proxied = HttpSettings(port=0, proxies=("127.0.0.1",))
    async with serving(rtc=RtcSettings(offers_per_minute=8), http=proxied) as (server, http):
        codes = [(await post(http, "/whip/cam", "v=0 rubbish")).status for _ in range(3)]
        assert codes == [400, 400, 429]
        assert (await post(http, "/whep/cam", "v=0 rubbish")).status == 400, "viewers are counted by themselves"
        told = await post(http, "/whip/cam", "v=0 rubbish")
        assert (told.status, told.headers["Content-Type"].partition(";")[0]) == (429, "application/problem+json")
        assert int(told.headers["Retry-After"]) in (7, 8)
        other = await post(http, "/whip/cam", "v=0 rubbish", **{"X-Forwarded-For": "198.51.100.7"})
        assert other.status == 400
        assert b'cmstream_refusals_total{limit="rate"} 2.0' in server.metrics.render()[0]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_an_address_that_changes_sessions_too_often_is_answered_429_and_its_session_goes_on(method: str) -> None:
    async with serving(rtc=RtcSettings(changes_per_minute=8)) as (_, http), answered(http) as told:
        for status in (404, 404, 429):
            async with http.request(method, "/whip/cam/none", headers=FRAGMENT, data="a=mid:0") as answer:
                assert answer.status == status
        async with http.get(told.location) as answer:
            assert answer.status == 204


async def test_a_full_server_sends_publishers_to_the_other_one_and_that_one_sends_nobody_back() -> None:
    async with serving() as (there, _), serving(rtc=RtcSettings(max_peers=1, overflow_url=there.http_address)) as (here, http):
        async with answered(http) as first, answered(http, "/whip/other") as moved:
            assert first.status == 201
            assert (moved.status, moved.headers["Location"]) == (307, f"{there.http_address}/whip/other?placed=1")
            async with http.post("/whip/other", data=moved.offer, headers=SDP) as followed:
                assert followed.status == 201, "the method and the body are kept"
            assert [session.name for session in there.registry.sessions()] == ["other"]
            back = await post(http, "/whip/other?placed=1", moved.offer)
            assert back.status == 503
        assert [session.name for session in here.registry.sessions()] == ["cam"]


async def test_viewers_are_sent_after_a_stream_that_is_not_here_and_a_taken_name_is_no_reason_to_go() -> None:
    async with serving(rtc=RtcSettings(overflow_url="https://b.example/cm/")) as (_, http):
        async with answered(http, "/whep/cam") as told:
            assert (told.status, told.headers["Location"]) == (307, "https://b.example/cm/whep/cam?placed=1")
        async with answered(http) as first, answered(http) as second:
            assert (first.status, second.status) == (201, 409)


@pytest.mark.parametrize(
    "url", ["b.example", "ftp://b.example", "https://", "https://b.example?x=1", "https://me:secret@b.example", "https://b#c"]
)
def test_an_overflow_url_that_is_no_base_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be http\(s\)://host"):
        RtcSettings(overflow_url=url)


async def test_a_viewer_without_publisher_is_answered_409_and_when_to_come_back() -> None:
    async with serving() as (_, http), answered(http, "/whep/cam") as told:
        assert told.status == 409
        assert int(told.headers["Retry-After"]) >= 1


async def test_two_publishers_of_one_name_are_told_apart_and_the_first_stays() -> None:
    async with serving() as (server, http), answered(http) as first, answered(http) as second:
        assert (first.status, second.status) == (201, 409)
        assert "Retry-After" in second.headers
        assert server.registry.get("cam").publisher is not None


async def test_viewers_that_wait_for_a_publisher_are_not_counted() -> None:
    async with serving(rtc=RtcSettings(offers_per_minute=8)) as (_, http):
        for _ in range(6):
            async with answered(http, "/whep/cam") as told:
                assert told.status == 409
