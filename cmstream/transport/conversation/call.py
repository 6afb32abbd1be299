"""One publishing call: a publisher and its own viewer in one. Event loop only; knows the messages and not what carries them.

Four tasks share a call: reading, decoding (Intake), returning results (Results) and writing notices (Outbox).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable

from cmstream.core.errors import EngineFailed, NotFound, Unavailable
from cmstream.core.frame import Drop, DropReason
from cmstream.core.params import BUDGET_MS, apply_patch, default_params
from cmstream.session.publisher import Publisher
from cmstream.session.session import Session
from cmstream.session.subscription import Subscription
from cmstream.transport.conversation.exchange import Exchange, Write
from cmstream.transport.conversation.intake import Intake
from cmstream.transport.conversation.ledger import Ledger
from cmstream.transport.conversation.results import ResultFormat, Results
from cmstream.transport.conversation.services import Services
from cmstream.v1.frame_pb2 import SourceFrame
from cmstream.v1.style_service_pb2 import StreamResponse
from cmstream.wire.control import check_open
from cmstream.wire.envelope import Incoming
from cmstream.wire.errors import BadField, BadFrameField
from cmstream.wire.frame import drop_message
from cmstream.wire.values import json_of

SHARE_OF_TURN = 1 / 3
SOONEST_MS, UNKNOWN_MS, LATEST_MS = 2.0, 30.0, 100.0
MS_PER_S = 1000.0


class StreamCall(Exchange):
    """Runs one publishing call from its first message to its last."""

    def __init__(
        self, services: Services, requests: AsyncIterator[Incoming], write: Write, *, transport: str, stream: str = ""
    ) -> None:
        super().__init__(services, requests, write, transport=transport, stream=stream)
        self._ledger = Ledger()
        self._next_frame_id = 0
        self._turn_ms: Callable[[], float | None] = lambda: None

    async def _converse(self) -> None:
        request = await self._first()
        form = ResultFormat(*check_open(request))
        patch = json_of(request.parameters)
        registry = self._services.registry
        params = apply_patch(registry.specs, default_params(registry.specs), patch)  # refused before a stream is made for it
        name = request.stream or self._stream
        session = registry.open(name or f"{self._transport}-{secrets.token_hex(4)}", params.extra[BUDGET_MS])
        try:
            with (
                session.publish(self._transport, on_drop=self._dropped) as publisher,
                session.subscribe(self._transport, on_drop=self._dropped) as subscription,
            ):
                accepted = await session.change(patch)
                self._next_frame_id = publisher.last_frame_id + 1
                self._say_opened(session, accepted.params, self._next_frame_id)
                await self._serve(session, publisher, subscription, form)
        finally:
            if not name:
                session.close("the call that opened it ended")  # only this call was told its name

    async def _serve(self, session: Session, publisher: Publisher, subscription: Subscription, form: ResultFormat) -> None:
        clock, codecs = self._services.clock, self._services.codecs
        self._turn_ms = lambda: session.turn_ms
        intake = Intake(publisher, clock, codecs, self._displaced)
        results = Results(form, self._ledger, self._outbox, clock, codecs)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._outbox.run()),
                group.create_task(intake.run()),
                group.create_task(results.run(subscription)),
                group.create_task(self._await_closed(session, publisher)),
            ]
            await self._read(session, intake)
            await self._changed()
            await self._ledger.settled()
            await self._outbox.flush()
            for task in tasks:
                task.cancel()

    async def _await_closed(self, session: Session, publisher: Publisher) -> None:
        await publisher.closed.wait()
        if session.failed:
            raise EngineFailed(publisher.reason)
        raise Unavailable(publisher.reason) if self._services.registry.draining else NotFound(publisher.reason)

    async def _read(self, session: Session, intake: Intake) -> None:
        async for message in self._requests:
            received_ns = self._services.clock.now_ns()
            await self._outbox.room()
            request = message.request
            match request.WhichOneof("request"):
                case "frame":
                    await self._take(request.frame, message.data, intake, received_ns)
                case "update":
                    await intake.idle()  # frames sent before the change are made without it
                    self._update(request.update, session)
                case "open":
                    raise BadField("open", "only the first message may open the stream")
                case _:
                    raise BadField("request", "is empty; set frame or update")

    async def _take(self, frame: SourceFrame, data: memoryview, intake: Intake, received_ns: int) -> None:
        if frame.frame_id < self._next_frame_id:
            raise BadFrameField("frame.frame_id", f"{frame.frame_id} is too low; the next is {self._next_frame_id} or above")
        self._next_frame_id = frame.frame_id + 1
        self._ledger.expect(frame.frame_id, frame.capture_time_us)
        await intake.put(frame, data, received_ns)

    def _displaced(self, drop: Drop) -> None:
        """A frame that never reached the stream, so the stream has not counted it."""
        self._services.metrics.frames_received.labels(self._transport).inc()
        self._services.metrics.frames_dropped.labels(drop.reason).inc()
        self._dropped(drop)

    def _dropped(self, drop: Drop) -> None:
        if self._ledger.settle(drop.frame_id):
            notice = StreamResponse(frame_dropped=drop_message(drop))
            if drop.reason is DropReason.SUPERSEDED:
                self._outbox.post_late(notice, self._superseded_within_s)
            else:
                self._outbox.post(notice)

    def _superseded_within_s(self) -> float:
        """A share of the stream's turn: fresh enough a frame for the next one, and few that nobody will style."""
        turn_ms = self._turn_ms()
        share_ms = UNKNOWN_MS if turn_ms is None else turn_ms * SHARE_OF_TURN
        return min(max(share_ms, SOONEST_MS), LATEST_MS) / MS_PER_S
