"""Measuring latency with the client: what is read is how long a frame was away."""

from __future__ import annotations

import numpy as np
import pytest

from cmstream.client import Client, LatencyMeter
from cmstream.client.conversation import FrameFormat
from cmstream.core.clock import FakeClock
from cmstream.core.frame import Rgb
from tests.transport.grpc.serving import serving


def picture(seed: int = 0) -> Rgb:
    coarse = np.random.default_rng(seed).integers(0, 256, (15, 20, 3), np.uint8)
    return coarse.repeat(16, axis=0).repeat(16, axis=1)


def test_what_is_read_is_how_long_the_frame_was_away() -> None:
    clock = FakeClock()
    meter = LatencyMeter(clock)
    sent = meter.mark(picture())
    clock.advance_ms(87)
    assert meter.read(sent) == pytest.approx(87)
    assert meter.p50_ms == pytest.approx(87)
    assert meter.p95_ms == pytest.approx(87)


def test_percentiles_are_those_of_the_readings_and_damaged_frames_are_counted_apart() -> None:
    clock = FakeClock()
    meter = LatencyMeter(clock)
    assert (meter.p50_ms, meter.p95_ms) == (None, None)
    for away_ms in range(1, 101):
        sent = meter.mark(picture())
        clock.advance_ms(away_ms)
        meter.read(sent)
    assert meter.read(picture()) is None
    assert (meter.seen, meter.legible) == (101, 100)
    assert meter.p50_ms == pytest.approx(50)
    assert meter.p95_ms == pytest.approx(95)
    assert repr(meter) == "<LatencyMeter p50 50.0 ms, p95 95.0 ms, 100 of 101 frames read>"


def test_the_time_may_come_round_while_a_frame_is_away() -> None:
    clock = FakeClock(start_ns=(2**24 - 5) * 1_000_000)
    meter = LatencyMeter(clock)
    sent = meter.mark(picture())
    clock.advance_ms(30)
    assert meter.read(sent) == pytest.approx(30)


@pytest.mark.parametrize("form", ["raw", "jpeg"])
async def test_a_stream_in_measuring_mode_brings_every_mark_back(form: FrameFormat) -> None:
    meter = LatencyMeter()
    async with (
        serving({"engine": {"size_px": 128}}, latency_ms=10) as server,
        Client(server.address) as client,
        client.stream(source=form, results=form, jpeg_quality=40, watermark="pass") as stream,
    ):
        for number in range(10):
            await stream.send(meter.mark(picture(number)))
            result = await anext(stream)
            latency_ms = meter.read(result.rgb)
            assert latency_ms is not None
            assert result.rgb.shape[:2] == (110, 148), "it was styled at another size"
            assert result.total_ms <= latency_ms <= 1000
    assert (meter.seen, meter.legible) == (10, 10)


async def test_a_stream_that_was_not_asked_brings_no_mark_back() -> None:
    meter = LatencyMeter()
    async with serving() as server, Client(server.address) as client, client.stream() as stream:
        await stream.send(meter.mark(picture()))
        assert meter.read((await anext(stream)).rgb) is None
