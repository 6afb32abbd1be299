"""Glass to glass in Chromium, with all cures of aiortc and with each taken back, in one run: `python -m tests.e2e.glass`.

The browser draws the time into what it sends and reads it from what it shows, so its encoder, its jitter buffer and its decoder
are in it. Every variant is measured some times, in turns, each time by a server and a browser of their own; the table has
medians.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from cmstream.bench.servers import on_loopback
from cmstream.settings import Settings
from tests.e2e.chromium import ROOT, drive, need_browser


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


def measured(variant: Variant, side_px: int, seconds: float) -> tuple[float, float]:
    """(p50, p95) in ms."""
    with served(variant, side_px) as address:
        seen = drive("glass.mjs", address, str(seconds), variant.buffer, timeout_s=seconds + 200)
    return seen["p50_ms"], seen["p95_ms"]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="Glass to glass in Chromium, before and after each cure.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--side", type=int, default=256, help="working size of the server, in px")
    given = parser.parse_args()
    need_browser()
    figures: dict[Variant, list[tuple[float, float]]] = {variant: [] for variant in VARIANTS}
    for _ in range(given.rounds):
        for variant, runs in figures.items():
            runs.append(measured(variant, given.side, given.seconds))
    lines = ["| glass to glass in Chromium, ms | p50 | p95 |", "|---|---|---|"]
    for variant, runs in figures.items():
        p50_ms, p95_ms = (median(run[at] for run in runs) for at in (0, 1))
        lines.append(f"| {variant.title} | {p50_ms:.0f} | {p95_ms:.0f} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
