"""What packet loss does to cmstream and to aiortc as published, side by side: `python -m cmstream.bench.loss_bench --help`.

The two run at once, as processes of their own, so whatever else the machine does meets both; one rate of loss after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cmstream.bench.loss_side import LossSide, Task
from cmstream.bench.percentiles import Percentiles
from cmstream.core.errors import CmstreamError

START_UP_S = 60.0


@dataclass(frozen=True, slots=True)
class LossResult:
    """One rate of loss: what a viewer saw through cmstream, and through aiortc as published."""

    loss: float
    cmstream: LossSide
    stock: LossSide


async def measure_loss(
    rates: Sequence[float],
    seconds: float,
    *,
    jitter_ms: float = 30.0,
    shuffles: bool = True,
    codec: str = "H264",
    side_px: int = 192,
    seed: int = 1,
) -> list[LossResult]:
    """Every one of `rates` (0 to 1) for so long. Raises CmstreamError when one of them shows nothing at all."""
    results = []
    for loss in rates:
        tasks = [Task(stock, loss, jitter_ms, shuffles, codec, side_px, seconds, seed) for stock in (False, True)]
        results.append(LossResult(loss, *await asyncio.gather(*map(_side, tasks))))
    return results


async def _side(task: Task) -> LossSide:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cmstream.bench.loss_side"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(START_UP_S + task.seconds):
            said, _ = await process.communicate(json.dumps(asdict(task)).encode() + b"\n")
    except TimeoutError:
        raise CmstreamError(f"no figures came from {task}") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise CmstreamError(f"it failed, and said why above: {task}")
    return _read(json.loads(said))


def _read(figures: dict[str, Any]) -> LossSide:
    glass_ms = figures.pop("glass_ms")
    return LossSide(**figures, glass_ms=Percentiles(**glass_ms) if glass_ms else None)


def table(results: Sequence[LossResult]) -> str:
    """The results in Markdown."""
    lines = ["| loss, both ways | through | sent, fps | shown, fps | longest freeze, ms | spoilt | p50, ms | p95, ms |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for result in results:
        for name, side in (("cmstream", result.cmstream), ("aiortc as published", result.stock)):
            glass = f"{side.glass_ms.p50:.0f} | {side.glass_ms.p95:.0f}" if side.glass_ms else "– | –"
            shown = f"{side.sent_fps} | {side.fps} | {side.freeze_ms:.0f} | {side.spoilt}"
            lines.append(f"| {result.loss:.0%} | {name} | {shown} | {glass} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="Packet loss on loopback, through cmstream and through aiortc as published.")
    parser.add_argument("--loss", type=float, nargs="+", default=[1, 3, 5], help="in %%, of each direction (1 3 5)")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--jitter-ms", type=float, default=30)
    parser.add_argument("--keep-order", action="store_true", help="jitter delays datagrams and lets none overtake another")
    parser.add_argument("--codec", choices=["H264", "VP8"], default="H264")
    parser.add_argument("--side", type=int, default=192, help="of the picture, in px")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    measured = measure_loss(
        [percent / 100 for percent in given.loss],
        given.seconds,
        jitter_ms=given.jitter_ms,
        shuffles=not given.keep_order,
        codec=given.codec,
        side_px=given.side,
        seed=given.seed,
    )
    sys.stdout.write(table(asyncio.run(measured)) + "\n")


if __name__ == "__main__":
    main()
