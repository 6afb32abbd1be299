"""MJPEG: pictures in one response, newest first, for whoever has nothing better."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import numpy as np
import pytest
from aiohttp import BodyPartReader, ClientSession, MultipartReader

from cmstream.core.frame import Rgb
from cmstream.core.picture import decode_picture
from cmstream.core.trace import Trace
from cmstream.server import Server
from cmstream.session.publisher import Publisher
from cmstream.settings import StreamSettings
from tests.transport.http.serving import serving
from tests.transport.http.talking import grey


def push(server: Server, publisher: Publisher, rgb: Rgb) -> int:
    return publisher.push(rgb, pts=0, time_base=Fraction(1, 30), trace=Trace(server.clock.now_ns()))


async def pushing(server: Server, publisher: Publisher, rgb: Rgb) -> None:
    while True:
        push(server, publisher, rgb)
        await asyncio.sleep(0.02)


async def test_an_img_shows_the_styled_pictures_one_part_each() -> None:
    async with serving() as (server, http):
        with server.registry.open("cam").publish("test") as publisher:
            async with http.get("/mjpeg/cam") as answer:
                assert answer.content_type == "multipart/x-mixed-replace"
                reader = MultipartReader.from_response(answer)
                for level in (10, 50):
                    frame_id = push(server, publisher, grey(level))
                    part = await asyncio.wait_for(reader.next(), 5)
                    assert isinstance(part, BodyPartReader)
                    assert part.headers["X-Frame-Id"] == str(frame_id)
                    data = await asyncio.wait_for(part.read(), 5)
                    assert decode_picture(bytes(data)).mean() == pytest.approx(255 - level, abs=2)
            assert server.registry.get("cam").snapshot()["frames_delivered"] >= 1


async def test_without_publisher_or_room_it_is_refused_before_anything_is_sent() -> None:
    async with serving(streams=StreamSettings(max_viewers=1)) as (server, http):
        async with http.get("/mjpeg/cam") as answer:
            assert answer.status == 409
            assert "Retry-After" in answer.headers
        async with http.get("/mjpeg/no%20name") as answer:
            assert answer.status == 400
        session = server.registry.open("cam")
        with session.publish("test"), session.subscribe("test"):
            async with http.get("/mjpeg/cam") as answer:
                assert answer.status == 503


async def test_the_response_ends_with_its_stream() -> None:
    async with serving() as (server, http):
        with server.registry.open("cam").publish("test"):
            async with http.get("/mjpeg/cam") as answer:
                server.registry.close("cam")
                await asyncio.wait_for(answer.read(), 5)


async def until_viewers(server: Server, count: int) -> None:
    async with asyncio.timeout(15):
        while server.registry.get("cam").viewers != count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_reader_that_leaves_is_forgotten() -> None:
    async with serving() as (server, http):
        with server.registry.open("cam").publish("test") as publisher:
            async with ClientSession(server.http_address) as other, other.get("/mjpeg/cam"):
                await until_viewers(server, 1)
            push(server, publisher, grey(1))
            await until_viewers(server, 0)
        assert http is not None


async def test_a_slow_reader_skips_frames_and_gets_no_old_ones_and_a_dead_one_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cmstream.transport.http.mjpeg.STALL_S", 1.0)
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    async with serving() as (server, http), asyncio.TaskGroup() as tasks:
        session = server.registry.open("cam")
        with session.publish("test") as publisher:
            source = tasks.create_task(pushing(server, publisher, noise))
            async with http.get("/mjpeg/cam") as answer:
                assert answer.connection is not None
                assert answer.connection.transport is not None
                answer.connection.transport.pause_reading()
                await until_viewers(server, 1)
                await until_viewers(server, 0)
            source.cancel()
        figures = session.snapshot()
        assert figures["frames_dropped"]["slow_sink"] > 10
        assert 0 < figures["frames_delivered"] < figures["frames_received"] / 2
