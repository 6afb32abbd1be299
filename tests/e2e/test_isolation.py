"""Two streams at once on the embedded model give exactly what each gives alone."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from cmstream.core.trace import Trace
from cmstream.server import Server
from cmstream.settings import EngineSettings, GrpcSettings, HttpSettings, Settings, StreamSettings

LOOKS: dict[str, dict[str, Any]] = {"left": {"seed": 1, "strength": 0.6}, "right": {"seed": 2, "strength": 1.0}}


@pytest.mark.e2e
async def test_streams_with_their_own_seed_and_strength_do_not_touch_each_other() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (6, 96, 128, 3), np.uint8)
    settings = Settings(
        http=HttpSettings(port=0),
        grpc=GrpcSettings(port=0),
        engine=EngineSettings(device="cpu", dtype="float32", size_px=96),
        streams=StreamSettings(budget_ms=5000),  # however busy the machine, no stream is refused and no frame late
    )

    async def paint(server: Server, name: str) -> list[bytes]:
        session = server.registry.open(name)
        session.update(LOOKS[name])
        painted = []
        with session.publish("test") as publisher, session.subscribe("test") as frames:
            for picture in pictures:
                publisher.push(picture, pts=0, time_base=Fraction(1, 30), trace=Trace(server.clock.now_ns()))
                painted.append((await anext(frames)).rgb.tobytes())
        server.registry.close(name)
        return painted

    async with Server(settings) as server:
        alone = {name: await paint(server, name) for name in LOOKS}
        async with asyncio.TaskGroup() as tasks:
            together = {name: tasks.create_task(paint(server, name)) for name in LOOKS}
    assert {name: task.result() for name, task in together.items()} == alone
    assert alone["left"] != alone["right"]
