"""Painter → painter → latent model → painter in one server, with a source of thirty frames a second; JSON of what it felt.

    python -m tests.e2e.stalls FOLDER

A thread that only wants to go on every millisecond notes how long it could not. One in another process does the same, so what
the machine is to blame for can be told from what Python is. FOLDER has `tiny`, a latent checkpoint.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from cmstream.client import Client, Stream
from cmstream.server import Server
from cmstream.settings import EngineSettings, GrpcSettings, HttpSettings, ModelSettings, Settings, StreamSettings
from tests.transport.grpc.dialogue import picture

FPS = 30
SIDE_PX = 256
STILL_S = 3.0
AFTER_S = 1.0
"""The engine before is let go in that time."""
STEP_S = 0.001


class Ticker:
    """`longest_ms` since it was asked last."""

    def __init__(self) -> None:
        self._longest_s = 0.0
        self._over = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def longest_ms(self) -> float:
        longest_s, self._longest_s = self._longest_s, 0.0
        return round(1_000 * longest_s, 1)

    def close(self) -> None:
        self._over.set()

    def _run(self) -> None:
        last = time.perf_counter()
        while not self._over.is_set():
            time.sleep(STEP_S)
            now = time.perf_counter()
            self._longest_s, last = max(self._longest_s, now - last), now


class OtherProcess:
    """A ticker that shares the machine, and no interpreter."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.e2e.stalls", "tick"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def longest_ms(self) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


async def measured(folder: Path) -> dict[str, Any]:
    settings = Settings(
        http=HttpSettings(port=0),
        grpc=GrpcSettings(port=0),
        engine=EngineSettings(device="cpu", size_px=SIDE_PX, threads=1, remember="off"),
        models=ModelSettings(swappable=("painter", f"tiny={folder / 'tiny'}"), offline=True),
        streams=StreamSettings(skip_still="off", adapt=False, budget_ms=5_000),
    )
    found: dict[str, Any] = {}
    async with Server(settings) as server, Client(server.grpc_address) as client, client.stream("cam") as stream:
        ages_ms: list[float] = []
        tickers: dict[str, Ticker | OtherProcess] = {"stall_ms": Ticker(), "machine_ms": OtherProcess()}
        async with asyncio.TaskGroup() as group:
            flowing = [group.create_task(publish(stream)), group.create_task(collect(stream, ages_ms))]
            for phase in ("still", "painter", "tiny", "painter again"):
                await asyncio.to_thread(lambda: [ticker.longest_ms() for ticker in tickers.values()])
                ages_ms.clear()
                if phase == "still":
                    await asyncio.sleep(STILL_S)
                else:
                    await client.swap_model(phase.partition(" ")[0])
                    await asyncio.sleep(AFTER_S)
                told = {name: await asyncio.to_thread(ticker.longest_ms) for name, ticker in tickers.items()}
                ages = {"frames": len(ages_ms), "median_age_ms": statistics.median(ages_ms), "worst_age_ms": max(ages_ms)}
                found[phase] = told | {name: round(value, 1) for name, value in ages.items()}
            for task in flowing:
                task.cancel()
        for ticker in tickers.values():
            ticker.close()
    return found


async def publish(stream: Stream) -> None:
    due = time.perf_counter()
    pictures = [picture(number, 640, 480) for number in range(8)]
    for number in range(sys.maxsize):
        await stream.offer(pictures[number % len(pictures)])
        due += 1 / FPS
        await asyncio.sleep(max(0.0, due - time.perf_counter()))


async def collect(stream: Stream, ages_ms: list[float]) -> None:
    async for result in stream:
        ages_ms.append(result.total_ms)  # noqa: PERF401 - others look at it meanwhile


def main(told: str) -> None:
    if told == "tick":
        ticker = Ticker()
        for _ in sys.stdin:
            sys.stdout.write(f"{ticker.longest_ms()}\n")
            sys.stdout.flush()
    else:
        sys.stdout.write(json.dumps(asyncio.run(measured(Path(told)))) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
