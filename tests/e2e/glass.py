"""Glass to glass in Chromium, with all cures of aiortc and with each taken back, in one run: `python -m tests.e2e.glass`.

The browser draws the time into what it sends and reads it from what it shows, so its encoder, its jitter buffer and its decoder
are in it. Every variant is measured some times, in turns, each time by a server and a browser of their own; the table has
medians. `--jitter-ms` and `--loss` lead both ways over bad lines.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from statistics import median
from typing import Any

from cmstream.bench.lossy_line import Weather
from cmstream.bench.servers import on_loopback
from cmstream.settings import Settings
from tests.e2e.chromium import ROOT, drive, need_browser
from tests.e2e.lossy_front import lossy_front

WARM_UP_S = 5.0  # encoders find their rate, jitter buffers their depth


@dataclass(frozen=True, slots=True)
class Variant:
    """What is measured: a cure that is taken back, a playout delay, and whether the page asks for an empty jitter buffer."""

    title: str
    without: str = "none"
    playout_delay_ms: int = 0
    buffer: str = "empty"


VARIANTS = (
    Variant("all cures"),
    Variant("without the marker bit: a frame waits for the next", without="marker"),
    Variant("without the fast encoder", without="encoder"),
    Variant("without the decoder thread", without="decoder-thread"),
    Variant("without the playout delay", playout_delay_ms=-1),
    Variant("without the empty jitter buffer", buffer="browser"),
    Variant("without the playout delay and the empty jitter buffer", playout_delay_ms=-1, buffer="browser"),
)
PLAYOUTS = (
    Variant("`playout_delay_ms = 0`"),
    Variant("`playout_delay_ms = 50`", playout_delay_ms=50),
    Variant("`playout_delay_ms = 100`", playout_delay_ms=100),
    Variant("`playout_delay_ms = -1`", playout_delay_ms=-1),
    Variant("`playout_delay_ms = -1`, and the page leaves its buffer to the browser", playout_delay_ms=-1, buffer="browser"),
)


@contextmanager
def served(variant: Variant, side_px: int) -> Iterator[str]:
    """Its server; gives the HTTP address."""
    settings = on_loopback(Settings(), side_px)
    rtc = settings.rtc.model_copy(update={"playout_delay_ms": variant.playout_delay_ms})
    command = [sys.executable, "-P", "-m", "tests.e2e.uncured", variant.without]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(settings.model_copy(update={"rtc": rtc}).model_dump_json() + "\n")
        process.stdin.flush()
        said = dict(word.split("=", 1) for word in process.stdout.readline().split() if "=" in word)
        yield said["http"]
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


async def measured(
    variant: Variant, side_px: int, seconds: float, weather: Weather | None = None, warm_up_s: float = WARM_UP_S
) -> dict[str, Any]:
    """What `glass.mjs` reports, over lines of this weather for the publisher and for the viewer."""
    with served(variant, side_px) as address:
        async with nullcontext(address) if weather is None else lossy_front(address, weather) as front:
            arguments = ("glass.mjs", front, str(seconds), variant.buffer, str(warm_up_s))
            return await asyncio.to_thread(drive, *arguments, timeout_s=seconds + 200)


async def measure(variants: Sequence[Variant], rounds: int, side_px: int, seconds: float, weather: Weather | None) -> str:
    """The table."""
    figures: dict[Variant, list[dict[str, Any]]] = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant, runs in figures.items():
            runs.append(await measured(variant, side_px, seconds, weather))
    lines = ["| glass to glass in Chromium, ms | p50 | p95 | fps | longest freeze, ms |", "|---|---|---|---|---|"]
    for variant, runs in figures.items():
        values = (median(run[name] for run in runs) for name in ("p50_ms", "p95_ms", "fps", "freeze_ms"))
        lines.append(" | ".join([f"| {variant.title}", *(f"{value:.0f}" for value in values)]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="Glass to glass in Chromium, before and after each cure.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--side", type=int, default=256, help="working size of the server, in px")
    parser.add_argument("--loss", type=float, default=0, help="in %%, of each direction of both lines")
    parser.add_argument("--jitter-ms", type=float, default=0, help="of both lines, packets kept in order")
    parser.add_argument("--playout", action="store_true", help="compare only what is asked of the browser's jitter buffer")
    given = parser.parse_args()
    need_browser()
    bad = given.loss or given.jitter_ms
    weather = Weather(given.loss / 100, jitter_ms=given.jitter_ms, shuffles=False) if bad else None
    variants = PLAYOUTS if given.playout else VARIANTS
    sys.stdout.write(asyncio.run(measure(variants, given.rounds, given.side, given.seconds, weather)) + "\n")


if __name__ == "__main__":
    main()
