"""Latency from glass to glass, measured with the watermark: by the console over WebRTC, by the Python client over gRPC."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import numpy as np
import pytest

from cmstream.client import Client, LatencyMeter
from cmstream.client.conversation import FrameFormat
from cmstream.server import Server
from cmstream.settings import EngineSettings, GrpcSettings, HttpSettings, Settings
from tests.e2e.chromium import drive, need_browser, served

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

FRAMES = 30


def tell(what: str, **seen: Any) -> None:
    """The figures, for whoever runs this with -s."""
    sys.stdout.write(f"\n{what}: {', '.join(f'{name} {value}' for name, value in seen.items())}\n")


def test_the_console_reads_its_own_marks_back_and_says_what_no_server_can() -> None:
    need_browser()
    with served() as address:
        picture = [os.environ["LATENCY_PICTURE"]] if "LATENCY_PICTURE" in os.environ else []
        seen = drive("latency.mjs", address, *picture, timeout_s=90)
    tell("console over WebRTC", **{name: seen[name] for name in ("text", "age_ms", "fps")})
    assert seen["errors"] == []
    assert seen["fits"], "the whole page fits a 1440×900 window"
    assert seen["inLook"] == 0, "it is a switch of its own, and no control of the look"
    assert (seen["before"], seen["mode"]) == ("", "pass")
    assert seen["read"] > 80
    assert seen["age_ms"] < seen["p50_ms"] <= seen["p95_ms"]
    assert seen["p50_ms"] < 1_000
    assert (seen["text_after"], seen["mode_after"]) == ("", "off")
    assert seen["fps_after"] > 1, "the source itself is sent again"


@pytest.mark.parametrize("results", ["raw", "jpeg"])
async def test_the_python_client_reads_its_marks_from_painted_frames(results: FrameFormat) -> None:
    settings = Settings(
        http=HttpSettings(port=0), grpc=GrpcSettings(port=0), engine=EngineSettings(device="cpu", dtype="float32", size_px=192)
    )
    rng, meter = np.random.default_rng(0), LatencyMeter()
    async with Server(settings) as server, Client(server.grpc_address) as client:
        async with client.stream(results=results, jpeg_quality=50, watermark="pass") as stream:
            for _ in range(FRAMES):
                coarse = rng.integers(0, 256, (15, 20, 3), np.uint8)
                await stream.send(meter.mark(coarse.repeat(16, axis=0).repeat(16, axis=1)))
                async with asyncio.timeout(10):
                    result = await anext(stream)
                latency_ms = meter.read(result.rgb)
                assert latency_ms is not None
                assert latency_ms >= result.total_ms
    tell(f"Python client over gRPC, {results}", meter=repr(meter), server_ms=result.total_ms)
    assert meter.legible == FRAMES
    assert meter.p50_ms is not None
    assert meter.p50_ms < 1_000
