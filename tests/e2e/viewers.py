"""A process of WHEP viewers that count what reaches them: `python -m tests.e2e.viewers ADDRESS STREAM COUNT SECONDS`.

Says `ready` when every viewer has its first frame, waits for a line, counts for SECONDS and prints a JSON list of frames. Only
the first viewer decodes: twenty decoders would be a test of this machine.
"""

from __future__ import annotations

import asyncio
import json
import queue
import sys
import threading
from typing import Any

import aiortc.rtcrtpreceiver
from aiohttp import ClientSession
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription

from cmstream.transport.rtc import compat
from cmstream.transport.rtc.decoder_thread import run_decoder
from tests.transport.rtc.media import client, offer_of

SDP = {"Content-Type": "application/sdp"}


class Counts:
    """Whole encoded frames that came, by viewer in the order of their first."""

    def __init__(self, wanted: int) -> None:
        self.frames: list[int] = []
        self._wanted = wanted
        self._lock = threading.Lock()
        self.complete = asyncio.Event()

    def worker(
        self, loop: asyncio.AbstractEventLoop, encoded: queue.Queue[Any], decoded: asyncio.Queue[Any], failed: threading.Event
    ) -> None:
        """In place of a receiver's decoder thread."""
        with self._lock:
            place = len(self.frames)
            self.frames.append(0)
        counted: queue.Queue[Any] = queue.Queue()
        if place == 0:
            threading.Thread(target=run_decoder, args=(loop, counted, decoded, failed), daemon=True).start()
        while (task := encoded.get()) is not None:
            self.frames[place] += 1
            if place == 0:
                counted.put(task)
            if len(self.frames) == self._wanted and all(self.frames):
                loop.call_soon_threadsafe(self.complete.set)
        counted.put(None)
        if place:
            loop.call_soon_threadsafe(decoded.put_nowait, None)


async def watch(http: ClientSession, stream: str, tracks: list[MediaStreamTrack]) -> RTCPeerConnection:
    """One viewer, negotiated."""
    connection = client()
    connection.addTransceiver("video", direction="recvonly")
    connection.on("track", tracks.append)
    async with http.post(f"/whep/{stream}", data=await offer_of(connection), headers=SDP) as answer:
        text = await answer.text()
        assert answer.status == 201, text
    await connection.setRemoteDescription(RTCSessionDescription(text, "answer"))
    return connection


async def main(address: str, stream: str, count: int, seconds: float) -> None:
    compat.apply()
    counts, tracks = Counts(count), list[MediaStreamTrack]()
    patched: Any = aiortc.rtcrtpreceiver
    patched.decoder_worker = counts.worker
    async with ClientSession(address) as http:
        connections = [await watch(http, stream, tracks) for _ in range(count)]
        async with asyncio.timeout(30):
            await counts.complete.wait()
        await asyncio.to_thread(_say, "ready")
        await asyncio.to_thread(sys.stdin.readline)
        before = list(counts.frames)
        await asyncio.sleep(seconds)
        after = list(counts.frames)
        await asyncio.to_thread(_say, json.dumps([late - early for early, late in zip(before, after, strict=True)]))
        await asyncio.gather(*(connection.close() for connection in connections))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
