"""cmstream/transport/conversation/outbox.py: what is told when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cmstream.transport.conversation.outbox import MAX_NOTICES, Outbox
from cmstream.v1.control_pb2 import Draining
from cmstream.v1.frame_pb2 import FrameDropped, StyledFrame
from cmstream.v1.style_service_pb2 import StreamResponse
from cmstream.wire.envelope import Outgoing

LATE_S = 0.03


class Client:
    """Notes when it was told what, in seconds."""

    def __init__(self) -> None:
        self.heard: list[Outgoing] = []
        self.when_s: list[float] = []

    async def write(self, response: Outgoing) -> None:
        self.heard.append(response)
        self.when_s.append(asyncio.get_running_loop().time())


@asynccontextmanager
async def running(client: Client) -> AsyncIterator[Outbox]:
    outbox = Outbox(client.write, stall_timeout_s=5)
    task = asyncio.ensure_future(outbox.run())
    try:
        yield outbox
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def dropped(frame_id: int) -> StreamResponse:
    return StreamResponse(frame_dropped=FrameDropped(frame_id=frame_id))


async def test_a_late_notice_goes_by_itself_after_its_time() -> None:
    client = Client()
    async with running(client) as outbox:
        from_s = asyncio.get_running_loop().time()
        outbox.post_late(dropped(1), lambda: LATE_S)
        await asyncio.sleep(LATE_S / 3)
        outbox.post_late(dropped(2), lambda: LATE_S)
        assert client.heard == []
        await asyncio.sleep(LATE_S * 3)
    assert client.heard == [dropped(1), dropped(2)]
    assert client.when_s[0] - from_s >= LATE_S * 0.9


async def test_a_late_notice_goes_before_a_result_and_before_notices_that_came_after_it() -> None:
    client = Client()
    result, draining = StreamResponse(frame=StyledFrame(frame_id=2)), StreamResponse(draining=Draining(grace_ms=1))
    async with running(client) as outbox:
        outbox.post_late(dropped(1), lambda: LATE_S)
        await outbox.send(result)
        assert client.heard == [dropped(1), result]
        outbox.post_late(dropped(3), lambda: LATE_S)
        outbox.post(draining)
        await asyncio.sleep(LATE_S / 5)
        assert client.heard[2:] == [dropped(3), draining]


async def test_late_notices_too_stop_the_reading_from_a_client_that_reads_none() -> None:
    async def never(response: Outgoing) -> None:
        await asyncio.sleep(3600)

    outbox = Outbox(never, stall_timeout_s=5)
    for frame_id in range(MAX_NOTICES - 1):
        outbox.post_late(dropped(frame_id), lambda: LATE_S)
    async with asyncio.timeout(0.1):
        await outbox.room()
    outbox.post_late(dropped(MAX_NOTICES), lambda: LATE_S)
    room = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0)
    assert not room.done()
    room.cancel()
