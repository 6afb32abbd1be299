"""What every call is: a first message, answers in order, parameter changes, and one end. Event loop only.

Tasks share a call; the first error of any of them ends them all, and the call with it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable

from cmstream.core.errors import CmstreamError, InvalidParameters, Unavailable
from cmstream.core.params import Params
from cmstream.session.changes import Change
from cmstream.session.session import Session
from cmstream.transport.conversation.outbox import Outbox
from cmstream.transport.conversation.services import Services
from cmstream.v1.control_pb2 import Draining, OpenStream, ParametersAccepted, StreamOpened, UpdateParameters
from cmstream.v1.style_service_pb2 import ModelChanged, StreamResponse
from cmstream.wire.control import model_message, rejected_message
from cmstream.wire.envelope import Incoming, Outgoing
from cmstream.wire.errors import BadField
from cmstream.wire.values import json_of, struct_of

OPEN_TIMEOUT_S = 10.0

Write = Callable[[Outgoing], Awaitable[None]]


class ClientGone(CmstreamError):
    """The other end of a call has left in the middle of it: nobody's fault, and nobody is there to be told."""


class Exchange(ABC):
    """Runs one call from its first message to its last. `transport` is what carries it; `stream` its name if that is given."""

    def __init__(
        self, services: Services, requests: AsyncIterator[Incoming], write: Write, *, transport: str, stream: str = ""
    ) -> None:
        self._services = services
        self._requests = requests
        self._transport = transport
        self._stream = stream
        self._outbox = Outbox(write, services.stall_timeout_s)
        self._session: Session | None = None  # once opened
        self._end = asyncio.Event()
        self._end_reason = ""
        self._changing: set[asyncio.Task[None]] = set()  # one for each change that is not ready yet

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self._transport}, {'open' if self._session else 'opening'}, {self._outbox!r}>"

    async def run(self) -> None:
        """The whole call: returns when it has ended well, raises the CmstreamError that it must end with."""
        failures: list[BaseException] = []
        try:
            async with asyncio.TaskGroup() as self._group:
                ending = self._group.create_task(self._await_end())
                await self._converse()
                for task in (ending, *self._changing):
                    task.cancel()
        except* CmstreamError as caught:
            failures = _leaves(caught)
        finally:
            if self._session is not None:
                self._session.on_model.discard(self._model_changed)
        if failures:
            raise failures[0]

    def drain(self, grace_ms: int) -> None:
        """Tell the client that the call will be ended in `grace_ms`."""
        if self._session is not None:
            self._outbox.post(StreamResponse(draining=Draining(grace_ms=grace_ms)))

    def end(self, reason: str) -> None:
        """End the call as unavailable. Calling twice is fine."""
        self._end_reason = self._end_reason or reason
        self._end.set()

    @abstractmethod
    async def _converse(self) -> None:
        """What is said, from the first message on; returns when the call has ended well."""

    async def _await_end(self) -> None:
        await self._end.wait()
        raise Unavailable(self._end_reason)

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
        if self._stream and request.open.stream not in ("", self._stream):
            raise BadField("open.stream", f"the address names {self._stream!r}; leave it empty or make them agree")
        return request.open

    def _say_opened(self, session: Session, params: Params, next_frame_id: int) -> None:
        self._session = session
        session.on_model.add(self._model_changed)
        opened = StreamOpened(
            stream=session.name,
            parameters=struct_of(params.as_json()),
            next_frame_id=next_frame_id,
            limits=self._services.limits,
        )
        self._outbox.post(StreamResponse(opened=opened))

    def _model_changed(self, session: Session) -> None:
        changed = ModelChanged(
            model=model_message(session.model),
            parameters=struct_of(session.params.as_json()),
            first_frame_id=session.model_since,
        )
        self._outbox.post(StreamResponse(model_changed=changed))

    def _update(self, request: UpdateParameters, session: Session) -> None:
        """Before this returns, unless something has to be made ready: then the call goes on meanwhile."""
        try:
            change = session.ask(json_of(request.parameters))
        except CmstreamError as error:
            self._reject(request.request_id, error)
            return
        if change.is_ready:
            self._apply(request.request_id, change)
            return
        task = self._group.create_task(self._apply_later(request.request_id, change))
        self._changing.add(task)
        task.add_done_callback(self._changing.discard)
        task.add_done_callback(lambda _: change.end())  # also of one that was cancelled before it began

    async def _changed(self) -> None:
        """Wait until every change was answered."""
        if self._changing:
            await asyncio.wait(self._changing)

    async def _apply_later(self, request_id: int, change: Change) -> None:
        try:
            await change.ready()
        except CmstreamError as error:
            self._reject(request_id, error)
        else:
            self._apply(request_id, change)

    def _apply(self, request_id: int, change: Change) -> None:
        try:
            accepted = change.apply()
        except CmstreamError as error:
            self._reject(request_id, error)
            return
        finally:
            change.end()
        answer = ParametersAccepted(
            request_id=request_id,
            parameters=struct_of(accepted.params.as_json()),
            first_frame_id=accepted.first_frame_id,
        )
        self._outbox.post(StreamResponse(parameters_accepted=answer))

    def _reject(self, request_id: int, error: CmstreamError) -> None:
        named = error if isinstance(error, InvalidParameters) else InvalidParameters({"parameters": str(error)})
        self._outbox.post(rejected_message(request_id, named))


def _leaves(group: BaseExceptionGroup[CmstreamError]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
