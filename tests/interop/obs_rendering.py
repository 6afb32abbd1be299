"""What rendering costs OBS: its own statistics, and the processor time of the threads that render."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.interop.obs_studio import ObsStudio

NS_PER_MS = 1e6
GRAPHICS = "libobs: graphic"  # as /proc cuts the name
RASTERIZER = "llvmpipe"


@dataclass(frozen=True, slots=True)
class Rendering:
    """Some seconds of OBS."""

    frames: int
    """Rendered."""
    skipped: int
    """That should have been rendered, and were not in time."""
    said_ms: float
    """OBS's own figure of what a frame takes, which counts the time in which others had the processor."""
    cost_ms: float
    """What a frame takes when nobody else wants the cores: the graphics thread's processor time, and that of the
    software rasterizer's threads, which work side by side, divided by their number."""

    @property
    def skipped_share(self) -> float:
        return self.skipped / max(1, self.frames + self.skipped)


async def rendering(obs: ObsStudio, seconds: float) -> Rendering:
    """The next seconds."""
    before, spent_before = await obs.ask.ask("GetStats"), spent_ns(obs.process.pid)
    await asyncio.sleep(seconds)
    after, spent_after = await obs.ask.ask("GetStats"), spent_ns(obs.process.pid)
    skipped = after["renderSkippedFrames"] - before["renderSkippedFrames"]
    frames = after["renderTotalFrames"] - before["renderTotalFrames"] - skipped
    assert frames > 0, "OBS has stopped rendering"
    cost_ms = (spent_after - spent_before) / frames / NS_PER_MS
    return Rendering(frames, skipped, after["averageFrameRenderTime"], cost_ms)


def spent_ns(pid: int) -> float:
    """Processor time of what renders, up to now."""
    graphics, rasterizers = [], []
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text(encoding="utf-8").strip()
        spent = int((task / "schedstat").read_text(encoding="utf-8").split()[0])
        if name == GRAPHICS:
            graphics.append(spent)
        elif name.startswith(RASTERIZER):
            rasterizers.append(spent)
    assert graphics, "the graphics thread has another name in this OBS"
    return sum(graphics) + sum(rasterizers) / max(1, len(rasterizers))
