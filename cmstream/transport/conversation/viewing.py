"""One viewing call: the styled frames of a stream that somebody else publishes. Event loop only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from cmstream.core.errors import NotFound, Unavailable
from cmstream.core.frame import Drop
from cmstream.session.session import Session
from cmstream.session.subscription import Subscription
from cmstream.transport.conversation.exchange import Exchange, Write
from cmstream.transport.conversation.ledger import EveryFrame
from cmstream.transport.conversation.results import ResultFormat, Results
from cmstream.transport.conversation.services import Services
from cmstream.v1.style_service_pb2 import StreamResponse
from cmstream.wire.control import check_open
from cmstream.wire.envelope import Incoming
from cmstream.wire.errors import BadField
from cmstream.wire.frame import drop_message
from cmstream.wire.values import json_of


class ViewingCall(Exchange):
    """Runs one viewing call from its first message to its last. It may change parameters, as the JSON API may."""

    def __init__(
        self, services: Services, requests: AsyncIterator[Incoming], write: Write, *, transport: str, stream: str
    ) -> None:
        super().__init__(services, requests, write, transport=transport, stream=stream)

    async def _converse(self) -> None:
        request = await self._first()
        form = ResultFormat(*check_open(request))
        self._services.registry.check_viewer()
        session = self._services.registry.live(self._stream)
        with session.subscribe(self._transport, on_drop=self._dropped) as subscription:
            accepted = await session.change(json_of(request.parameters))
            self._say_opened(session, accepted.params, accepted.first_frame_id)
            await self._show(session, subscription, form)

    async def _show(self, session: Session, subscription: Subscription, form: ResultFormat) -> None:
        results = Results(form, EveryFrame(), self._outbox, self._services.clock, self._services.codecs)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._outbox.run()),
                group.create_task(self._watch(results, subscription)),
            ]
            await self._read(session)
            for task in tasks:
                task.cancel()

    async def _watch(self, results: Results, subscription: Subscription) -> None:
        await results.run(subscription)
        reason = subscription.reason
        raise Unavailable(reason) if self._services.registry.draining else NotFound(reason)

    async def _read(self, session: Session) -> None:
        async for message in self._requests:
            await self._outbox.room()
            if not message.request.HasField("update"):
                raise BadField("request", "a viewer may only update parameters; publish at the address without /view")
            self._update(message.request.update, session)

    def _dropped(self, drop: Drop) -> None:
        self._outbox.post(StreamResponse(frame_dropped=drop_message(drop)))
