"""One `Stream` call: a publisher and its own viewer in one. Event loop only; knows nothing of gRPC but the messages.

Four tasks share a call: reading, decoding (Intake), returning results (Results) and writing notices (Outbox). The first
error of any of them ends them all, and the call with it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from cmstream.core.clock import Clock
from cmstream.core.errors import CmstreamError, EngineFailed, InvalidParameters, NotFound, Unavailable
from cmstream.core.frame import Drop
from cmstream.core.metrics import Metrics
from cmstream.core.params import BUDGET_MS, apply_patch, default_params
from cmstream.session.publisher import Publisher
from cmstream.session.registry import Registry
from cmstream.session.session import Session
from cmstream.session.subscription import Subscription
from cmstream.transport.grpc.intake import Intake
from cmstream.transport.grpc.ledger import Ledger
from cmstream.transport.grpc.outbox import Outbox
from cmstream.transport.grpc.results import ResultFormat, Results
from cmstream.v1.control_pb2 import Draining, Limits, OpenStream, ParametersAccepted, StreamOpened, UpdateParameters
from cmstream.v1.frame_pb2 import SourceFrame
from cmstream.v1.style_service_pb2 import StreamResponse
from cmstream.wire.control import check_open, rejected_message
from cmstream.wire.envelope import Incoming, Outgoing
from cmstream.wire.errors import BadField, BadFrameField
from cmstream.wire.frame import drop_message
from cmstream.wire.values import json_of, struct_of

TRANSPORT = "grpc"
OPEN_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Services:
    """What every call is given."""

    registry: Registry
    metrics: Metrics
    clock: Clock
    codecs: Executor
    limits: Limits
    stall_timeout_s: float


class StreamCall:
    """Runs one call from its first message to its last."""

    def __init__(
        self,
        services: Services,
        requests: AsyncIterator[Incoming],
        write: Callable[[Outgoing], Awaitable[None]],
    ) -> None:
        self._services = services
        self._requests = requests
        self._outbox = Outbox(write, services.stall_timeout_s)
        self._ledger = Ledger()
        self._opened = False
        self._next_frame_id = 0
        self._end = asyncio.Event()
        self._end_reason = ""

    def __repr__(self) -> str:
        return f"<StreamCall {'open' if self._opened else 'opening'}, {self._ledger!r}, {self._outbox!r}>"

    async def run(self) -> None:
        """The whole call: returns when it has ended well, raises the CmstreamError that it must end with."""
        failures: list[BaseException] = []
        try:
            async with asyncio.TaskGroup() as group:
                ending = group.create_task(self._await_end())
                await self._converse()
                ending.cancel()
        except* CmstreamError as caught:
            failures = _leaves(caught)
        if failures:
            raise failures[0]

    def drain(self, grace_ms: int) -> None:
        """Tell the client that the call will be ended in `grace_ms`."""
        if self._opened:
            self._outbox.post(StreamResponse(draining=Draining(grace_ms=grace_ms)))

    def end(self, reason: str) -> None:
        """End the call with UNAVAILABLE. Calling twice is fine."""
        self._end_reason = self._end_reason or reason
        self._end.set()

    async def _await_end(self) -> None:
        await self._end.wait()
        raise Unavailable(self._end_reason)

    async def _converse(self) -> None:
        request = await self._first()
        form = ResultFormat(*check_open(request))
        patch = json_of(request.parameters)
        registry = self._services.registry
        params = apply_patch(registry.specs, default_params(registry.specs), patch)  # refused before a stream is made for it
        session = registry.open(request.stream or f"grpc-{secrets.token_hex(4)}", params.extra[BUDGET_MS])
        try:
            with (
                session.publish(TRANSPORT, on_drop=self._dropped) as publisher,
                session.subscribe(TRANSPORT, on_drop=self._dropped) as subscription,
            ):
                self._say_opened(session, publisher, patch)
                await self._serve(session, publisher, subscription, form)
        finally:
            if not request.stream:
                session.close("the call that opened it ended")  # only this call was told its name

    async def _first(self) -> OpenStream:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                request = (await anext(self._requests)).request
        except TimeoutError:
            raise BadField("open", f"no message came within {OPEN_TIMEOUT_S:g} s") from None
        except StopAsyncIteration:
            raise BadField("open", "the call ended before its first message") from None
        if not request.HasField("open"):
            raise BadField("open", "the first message must open the stream")
        return request.open

    def _say_opened(self, session: Session, publisher: Publisher, patch: dict[str, Any]) -> None:
        accepted = session.update(patch)
        self._next_frame_id = publisher.last_frame_id + 1
        self._opened = True
        opened = StreamOpened(
            stream=session.name,
            parameters=struct_of(accepted.params.as_json()),
            next_frame_id=self._next_frame_id,
            limits=self._services.limits,
        )
        self._outbox.post(StreamResponse(opened=opened))

    async def _serve(self, session: Session, publisher: Publisher, subscription: Subscription, form: ResultFormat) -> None:
        clock, codecs = self._services.clock, self._services.codecs
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

    def _update(self, request: UpdateParameters, session: Session) -> None:
        try:
            accepted = session.update(json_of(request.parameters))
        except InvalidParameters as error:
            self._outbox.post(rejected_message(request.request_id, error))
            return
        answer = ParametersAccepted(
            request_id=request.request_id,
            parameters=struct_of(accepted.params.as_json()),
            first_frame_id=accepted.first_frame_id,
        )
        self._outbox.post(StreamResponse(parameters_accepted=answer))

    def _displaced(self, drop: Drop) -> None:
        """A frame that never reached the stream, so the stream has not counted it."""
        self._services.metrics.frames_received.labels(TRANSPORT).inc()
        self._services.metrics.frames_dropped.labels(drop.reason).inc()
        self._dropped(drop)

    def _dropped(self, drop: Drop) -> None:
        if self._ledger.settle(drop.frame_id):
            self._outbox.post(StreamResponse(frame_dropped=drop_message(drop)))


def _leaves(group: BaseExceptionGroup[CmstreamError]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
