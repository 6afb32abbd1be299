"""A publisher whose connection is reset under it: its place is free at once, and the others have not noticed."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.transport.grpc.dialogue import dialogue, picture
from tests.transport.grpc.serving import serving

RESET = struct.pack("ii", 1, 0)  # linger on, for no time: closing sends RST instead of FIN


class Wire:
    """A TCP relay that can be cut."""

    def __init__(self) -> None:
        self.address = ""
        self._writers: list[asyncio.StreamWriter] = []

    def reset(self) -> None:
        """Cut it: both ends get a RST."""
        while self._writers:
            writer = self._writers.pop()
            if writer.is_closing():
                continue
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


@asynccontextmanager
async def wire_to(address: str) -> AsyncIterator[Wire]:
    host, _, port = address.rpartition(":")
    wire = Wire()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        wire._writers += [writer, there_writer]
        await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(relay, "127.0.0.1", 0)
    wire.address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        wire.reset()
        listener.close()


async def test_a_publisher_that_is_cut_off_frees_its_place_and_takes_nothing_from_the_others() -> None:
    async with (
        serving({"streams": {"budget_ms": 5000}}, latency_ms=2) as server,
        dialogue(server.address) as steady,
        wire_to(server.address) as wire,
    ):
        await steady.open("steady")
        async with dialogue(wire.address) as doomed:
            await doomed.open("doomed")
            publisher = server.registry.get("doomed").publisher
            assert publisher is not None
            for frame_id in range(30):
                await steady.frame(frame_id, picture())
                if frame_id < 15:
                    await doomed.frame(frame_id, picture(1))
                if frame_id == 15:
                    wire.reset()
                answer = await steady.hear("frame")
                assert answer.frame.frame_id == frame_id
            await asyncio.wait_for(publisher.closed.wait(), 2)
        async with dialogue(server.address) as again:
            opened = await again.open("doomed")
            assert opened.next_frame_id > 0, "the stream has lingered"
        assert server.metrics.registry.get_sample_value("cmstream_errors_total", {"kind": "grpc"}) in (None, 0.0)
