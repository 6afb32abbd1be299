"""Publishing and viewing over a WebSocket: the same conversation as over gRPC, and ends that say why."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from aiohttp import ClientSession, WSServerHandshakeError
from pydantic import SecretStr

from cmstream.core.picture import decode_picture
from cmstream.server import Server
from cmstream.settings import AuthSettings, HttpSettings, RtcSettings, StreamSettings
from cmstream.v1.frame_pb2 import PIXEL_FORMAT_JPEG, PIXEL_FORMAT_RGB24, SourceFrame
from cmstream.v1.style_service_pb2 import StreamRequest
from cmstream.wire.frame import MAX_MESSAGE_BYTES
from tests.transport.http.serving import serving
from tests.transport.http.talking import Talk, grey, jpeg_frame, opening, raw_frame, talk, update


async def refused(http: ClientSession, path: str, **options: str) -> int:
    """The status that a handshake is refused with."""
    with pytest.raises(WSServerHandshakeError) as caught:
        async with http.ws_connect(path, headers=options):
            pass
    return caught.value.status


async def until_published(server: Server, name: str = "cam") -> None:
    async with asyncio.timeout(5):
        while not any(session.name == name and session.publisher for session in server.registry.sessions()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_jpeg_frames_go_in_and_come_back_styled() -> None:
    async with serving() as (_, http), talk(http, "/ws/cam", opening()) as talking:
        opened = (await talking.hear()).opened
        assert opened.stream == "cam"
        assert opened.limits.max_frame_bytes > 0
        await talking.say(jpeg_frame(0, grey(50)))
        frame = (await talking.hear()).frame
        assert frame.frame_id == 0
        assert decode_picture(frame.data).mean() == pytest.approx(205, abs=2)  # the fake engine inverts


async def test_raw_frames_come_back_raw() -> None:
    async with serving() as (_, http), talk(http, "/ws/cam", opening(PIXEL_FORMAT_RGB24), raw_frame(0, grey(50))) as talking:
        await talking.hear()
        frame = (await talking.hear()).frame
        assert set(frame.data) == {205}


async def test_a_change_of_parameters_is_acknowledged_with_its_first_frame() -> None:
    async with serving() as (_, http), talk(http, "/ws/cam", opening()) as talking:
        await talking.say(update(7, strength=0.5), update(8, strength=7))
        await talking.hear()
        accepted, rejected = (await talking.hear()).parameters_accepted, (await talking.hear()).parameters_rejected
        assert (accepted.request_id, accepted.first_frame_id) == (7, 0)
        assert accepted.parameters["strength"] == 0.5
        assert [violation.field for violation in rejected.violations] == ["strength"]


async def test_a_viewer_sees_what_another_publishes_and_may_change_it() -> None:
    async with serving() as (server, http), talk(http, "/ws/cam", opening(), jpeg_frame(0, grey(50))) as publisher:
        await publisher.hear_frame()
        async with talk(http, "/ws/cam/view", opening(), update(1, seed=5)) as viewer:
            assert (await viewer.hear()).opened.stream == "cam"
            assert (await viewer.hear()).parameters_accepted.request_id == 1
            await publisher.say(jpeg_frame(1, grey(60)))
            frame = (await viewer.hear_frame()).frame
            if frame.frame_id == 0:  # who joins is shown the last result at once
                frame = (await viewer.hear_frame()).frame
            assert frame.frame_id == 1
            assert frame.parameters["seed"] == 5
            assert server.registry.get("cam").viewers == 2


async def test_a_publisher_faster_than_the_engine_is_told_of_every_frame_it_loses() -> None:
    async with serving() as (_, http), talk(http, "/ws/cam", opening()) as talking:
        await talking.hear()
        await talking.say(*(jpeg_frame(index, grey(index)) for index in range(40)))
        answered: dict[int, str] = {}
        while 39 not in answered:
            response = await talking.hear()
            kind = response.WhichOneof("response")
            answered[response.frame.frame_id if kind == "frame" else response.frame_dropped.frame_id] = str(kind)
        assert sorted(answered) == list(range(40))
        assert "frame_dropped" in answered.values()


@pytest.mark.parametrize(
    ("said", "code", "reason"),
    [
        ([raw_frame(0, grey(1))], 4400, "the first message must open the stream"),
        ([opening(), opening()], 4400, "only the first message may open the stream"),
        ([opening(), StreamRequest()], 4400, "set frame or update"),
        ([opening(strength=9)], 4422, "strength"),
        ([opening(), jpeg_frame(1, grey(1)), jpeg_frame(1, grey(1))], 4400, "too low"),
        ([opening(), StreamRequest(frame=SourceFrame(pixel_format=PIXEL_FORMAT_JPEG, data=b"\xff\xd8no"))], 4400, "cut short"),
    ],
)
async def test_what_makes_no_sense_ends_the_call_with_the_reason(said: list[StreamRequest], code: int, reason: str) -> None:
    async with serving() as (_, http), talk(http, "/ws/cam", *said) as talking:
        ended, why = await talking.ending()
        assert ended == code
        assert reason in why


@pytest.mark.parametrize("payload", [b"\xff\xff\xff", b"\x12\xff\xff\xff\xff\x0f", b"\x0a\x7f", "text"])
async def test_bytes_that_are_no_request_are_refused_and_the_server_goes_on(payload: bytes | str) -> None:
    async with serving() as (_, http):
        async with talk(http) as talking:
            await (talking.socket.send_str(payload) if isinstance(payload, str) else talking.socket.send_bytes(payload))
            code, reason = await talking.ending()
            assert code == 4400
            assert "StreamRequest" in reason
        async with talk(http, "/ws/cam", opening()) as talking:
            assert (await talking.hear()).HasField("opened")


async def test_a_message_that_grows_larger_than_any_frame_is_given_up_before_its_end() -> None:
    async with serving() as (server, http), talk(http, "/ws/cam", opening()) as talking:
        await talking.hear()
        connection = talking.socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        declared = b"\x82\xff" + (2**40).to_bytes(8, "big") + bytes(4)  # binary, masked with zeros
        connection.transport.write(declared + bytes(MAX_MESSAGE_BYTES))
        with contextlib.suppress(ConnectionError):  # what it did not read becomes a reset, which may come before the reason
            connection.transport.write(bytes(64 * 1024))
        async with asyncio.timeout(5):
            while server.registry.get("cam").publisher is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def test_a_second_publisher_is_refused_in_words_and_the_first_goes_on() -> None:
    async with serving() as (_, http), talk(http, "/ws/cam", opening()) as first:
        await first.hear()
        async with talk(http, "/ws/cam", opening()) as second:
            assert (await second.ending())[0] == 4409
        await first.say(jpeg_frame(0, grey(1)))
        assert (await first.hear_frame()).frame.frame_id == 0


async def test_what_can_be_refused_before_the_handshake_is_refused_in_http() -> None:
    async with serving() as (_, http):
        assert await refused(http, "/ws/cam/view") == 409
        assert await refused(http, "/ws/no%20name") == 400
        async with http.get("/ws/cam") as answer:
            assert answer.status == 426
            assert "WebSocket" in (await answer.json())["detail"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://evil.example", 403), ("null", 403), ("http://127.0.0.1:1", 403), ("https://studio.example", 101)],
)
async def test_a_page_of_another_origin_opens_no_websocket(origin: str, status: int) -> None:
    async with serving(http=HttpSettings(port=0, allowed_origins=("https://studio.example",))) as (_, http):
        if status != 101:
            assert await refused(http, "/ws/cam", Origin=origin) == status
            return
        async with talk(http, "/ws/cam", opening(), headers={"Origin": origin}) as talking:
            assert (await talking.hear()).HasField("opened")


async def test_the_token_is_asked_for_and_may_come_in_the_address_as_browsers_cannot_set_headers() -> None:
    async with serving(auth=AuthSettings(token=SecretStr("secret"))) as (_, http):
        assert await refused(http, "/ws/cam") == 401
        assert await refused(http, "/ws/cam?token=wrong") == 401
        async with talk(http, "/ws/cam?token=secret", opening()) as talking:
            assert (await talking.hear()).HasField("opened")


async def test_a_full_server_refuses_one_more_websocket() -> None:
    async with serving(streams=StreamSettings(max_streams=1, max_viewers=1)) as (server, http):
        async with talk(http, "/ws/one"), talk(http, "/ws/two"):
            async with asyncio.timeout(5):
                while len(server._http._calls) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert await refused(http, "/ws/three") == 503


async def test_a_publisher_that_falls_silent_frees_its_stream_and_is_told() -> None:
    async with serving(rtc=RtcSettings(idle_timeout_s=1)) as (server, http), talk(http, "/ws/cam", opening()) as talking:
        await until_published(server)
        code, reason = await talking.ending()
        assert (code, reason[:20]) == (4503, "nothing came for 1 s")
        assert server.registry.get("cam").publisher is None


async def test_a_connection_that_opens_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmstream.transport.conversation.exchange.OPEN_TIMEOUT_S", 0.1)
    async with serving() as (server, http), talk(http) as talking:
        assert await talking.ending() == (4400, "open: no message came within 0.1 s")
        assert server.registry.sessions() == ()


async def test_a_viewer_that_reads_nothing_is_cut_off_and_the_publisher_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmstream.transport.http.websocket.STALL_S", 0.5)
    noise = (grey(0, 512) + 0).astype("uint8")
    async with serving() as (server, http), talk(http, "/ws/cam", opening()) as publisher:
        await until_published(server)
        async with talk(http, "/ws/cam/view", opening(PIXEL_FORMAT_RGB24)) as viewer:
            await viewer.hear()
            assert viewer.socket._reader is not None
            stop_reading(viewer)
            async with asyncio.timeout(20):
                index = 0
                while server.registry.get("cam").viewers == 2:
                    await publisher.say(jpeg_frame(index, noise))
                    assert (await publisher.hear_frame()).frame.frame_id == index
                    index += 1
        assert index > 3


def stop_reading(talking: Talk) -> None:
    transport = talking.socket.get_extra_info("socket")
    assert transport is not None
    connection = talking.socket._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.pause_reading()


async def test_a_drain_tells_the_client_and_ends_the_call() -> None:
    async with serving(drain_timeout_s=0.3) as (server, http), talk(http, "/ws/cam", opening()) as talking:
        await talking.hear()
        draining = asyncio.ensure_future(server.drain())
        assert (await talking.hear()).draining.grace_ms == 300
        assert (await talking.ending())[0] == 4503
        await draining


async def test_a_deleted_stream_ends_its_publisher_and_viewer_with_not_found() -> None:
    async with serving() as (server, http), talk(http, "/ws/cam", opening()) as publisher:
        await publisher.hear()
        async with talk(http, "/ws/cam/view", opening()) as viewer:
            await viewer.hear()
            server.registry.close("cam")
            assert (await publisher.ending())[0] == 4404
            assert (await viewer.ending())[0] == 4404


async def test_a_viewer_cannot_publish() -> None:
    async with serving() as (server, http), talk(http, "/ws/cam", opening()):
        await until_published(server)
        async with talk(http, "/ws/cam/view", opening(), jpeg_frame(0, grey(1))) as viewer:
            code, reason = await viewer.ending()
            assert code == 4400
            assert "without /view" in reason
