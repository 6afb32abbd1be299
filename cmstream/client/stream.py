"""One stream for asyncio programs. Event loop only; pictures are encoded and decoded on worker threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from types import TracebackType
from typing import Any, TypeAlias

import grpc

from cmstream.client.capabilities import StreamLimits
from cmstream.client.channel import Metadata, stream_of
from cmstream.client.conversation import Conversation, Picture, Source, StreamOptions, source_of
from cmstream.client.result import Result, result_of
from cmstream.client.update import ModelChange, Update
from cmstream.core.clock import MonotonicClock
from cmstream.core.errors import Unavailable
from cmstream.core.frame import check_rgb
from cmstream.wire.envelope import Outgoing, Received
from cmstream.wire.errors import from_rpc
from cmstream.wire.frame import DEFAULT_TIME_BASE

Call: TypeAlias = "grpc.aio.StreamStreamCall[Outgoing, Received]"
Frames: TypeAlias = Iterable[Picture] | AsyncIterable[Picture]


class Stream:
    """An async context manager, open inside; iterate it for results, oldest first, until the stream ends.

    Whatever ends the stream early (see core.errors) is raised by the call that is made then, or made next.
    """

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata, options: StreamOptions) -> None:
        self.skipped = 0
        self._channel = channel
        self._metadata = metadata
        self._options = options
        self._conversation = Conversation(options, MonotonicClock())
        self._changed = asyncio.Condition()
        self._turn = asyncio.Lock()
        self._pending: Picture | None = None
        self._ended = False
        self._error: Exception | None = None

    def __repr__(self) -> str:
        return f"<Stream {self._conversation!r}{', ended' if self._ended else ''}>"

    @property
    def name(self) -> str:
        """The stream's name on the server."""
        return self._conversation.name

    @property
    def params(self) -> Mapping[str, Any]:
        """The whole accepted state, as last acknowledged."""
        return self._conversation.params

    @property
    def model_change(self) -> ModelChange | None:
        """The server's last change of model since the stream was opened; None where there was none."""
        return self._conversation.model_change

    @property
    def limits(self) -> StreamLimits:
        """What the server takes."""
        assert self._conversation.limits is not None, "enter the stream first"
        return self._conversation.limits

    @property
    def draining(self) -> bool:
        """Whether the server has said that it is shutting down."""
        return self._conversation.draining

    async def __aenter__(self) -> Stream:
        self._call: Call = stream_of(self._channel)(metadata=self._metadata)
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._tasks = [self._group.create_task(self._receive())]
        try:
            await self._write(self._conversation.open_request())
            await self._until(lambda: self._conversation.opened)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Result:
        arrived = self._conversation.take_result()
        while arrived is None:
            async with self._changed:
                await self._changed.wait_for(lambda: self._conversation.has_result or self._ended)
            arrived = self._conversation.take_result()
            if arrived is None and self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
        await self._made_room()
        parts = arrived.message, arrived.data, arrived.round_trip_ms
        return await asyncio.to_thread(result_of, *parts) if self._options.results == "jpeg" else result_of(*parts)

    async def send(self, frame: Picture, *, pts: int | None = None, time_base: Fraction = DEFAULT_TIME_BASE) -> int:
        """Send [H,W,3] uint8 RGB, or the bytes of a JPEG, once there is room for it to be styled; returns the frame id.

        Room is made by taking results: iterate the stream meanwhile. Raises InvalidFrame, or what ended the stream.
        """
        source = await self._source(frame)
        while True:
            await self._room_to_send()
            async with self._turn:
                if self._conversation.room_to_send_s == 0:
                    frame_id, request = self._conversation.frame_request(source, pts, time_base)
                    await self._write(request)
                    return frame_id

    async def offer(self, frame: Picture) -> None:
        """Send without ever waiting for the window: of frames that find no room only the newest is kept, and sent when
        there is room again. For live sources; `skipped` counts the others. Raises InvalidFrame, or what ended the stream.
        """
        if not isinstance(frame, bytes):
            check_rgb(frame)
        self.skipped += self._pending is not None
        self._pending = frame
        await self._made_room()

    async def update(self, **params: Any) -> Update:
        """Change any subset of the parameters; returns once the server has said from which frame on.

        Raises InvalidParameters, and then nothing has changed, or what ended the stream.
        """
        async with self._turn:
            request_id, request = self._conversation.update_request(params)
            await self._write(request)
        try:
            await self._until(lambda: self._conversation.has_answer(request_id))
            return self._conversation.answer(request_id)
        finally:
            self._conversation.forget(request_id)

    def feed(self, frames: Frames, *, live: bool = False) -> None:
        """Send every frame of an iterator in the background, then `finish`. `live` offers them: the newest wins.

        What the iterator raises, the stream raises.
        """
        self._tasks.append(self._group.create_task(self._feed(frames, live)))

    async def finish(self) -> None:
        """No more frames: what is in flight is still answered, then the iteration ends."""
        await self._until(lambda: self._pending is None)
        async with self._turn:
            await self._call.done_writing()

    async def close(self) -> None:
        """End the stream at once; frames in flight are lost. Closing twice is fine."""
        for task in self._tasks:
            task.cancel()
        self._call.cancel()
        group, self._group = self._group, asyncio.TaskGroup()
        self._tasks = []
        self._ended = True
        await group.__aexit__(None, None, None)

    async def _receive(self) -> None:
        error: Exception | None = None
        try:
            async for received in self._call:
                async with self._changed:
                    self._conversation.receive(received)
                    self._changed.notify_all()
                if received.response.HasField("frame_dropped"):
                    await self._made_room()
        except grpc.RpcError as failure:
            error = from_rpc(failure)
        except Exception as failure:  # the caller's on_drop; raised again by whatever is called next
            error = failure
        await self._finished(error)

    async def _finished(self, error: Exception | None) -> None:
        async with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
            self._changed.notify_all()

    async def _until(self, reached: Callable[[], bool]) -> None:
        """Wait for it; raises what ended the stream if that came first."""
        async with self._changed:
            await self._changed.wait_for(lambda: reached() or self._ended)
        if not reached():
            raise self._error or Unavailable("the stream has ended; open another")

    async def _room_to_send(self) -> None:
        while self._conversation.room_to_send_s != 0:
            with suppress(TimeoutError):  # time makes room too
                async with asyncio.timeout(self._conversation.room_to_send_s):
                    await self._until(lambda: self._conversation.room_to_send_s == 0)

    async def _write(self, request: Outgoing) -> None:
        try:
            await self._call.write(request)
        except (grpc.RpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            await self._until(lambda: False)  # the receiving task knows why, and this raises it

    async def _source(self, frame: Picture) -> Source:
        if self._options.source == "jpeg":
            return await asyncio.to_thread(source_of, frame, self._options)
        return source_of(frame, self._options)

    async def _made_room(self) -> None:
        async with self._changed:
            self._changed.notify_all()
        async with self._turn:
            frame = self._pending
            if frame is None or self._ended or not self._conversation.has_room:
                return
            self._pending = None
            source = await self._source(frame)
            await self._write(self._conversation.frame_request(source, None, DEFAULT_TIME_BASE)[1])
        async with self._changed:
            self._changed.notify_all()  # `finish` waits for the pending frame to be gone

    async def _feed(self, frames: Frames, live: bool) -> None:
        try:
            async for frame in _each(frames):
                await (self.offer(frame) if live else self.send(frame))
            await self.finish()
        except Exception as error:  # the caller's iterator; raised again by whatever is called next
            await self._finished(error)
            self._call.cancel()


async def _each(frames: Frames) -> AsyncIterator[Picture]:
    if isinstance(frames, AsyncIterable):
        async for frame in frames:
            yield frame
        return
    iterator = iter(frames)  # may be a camera that blocks: a thread waits for it
    while (picture := await asyncio.to_thread(_next, iterator)) is not None:
        yield picture


def _next(iterator: Iterator[Picture]) -> Picture | None:
    return next(iterator, None)
