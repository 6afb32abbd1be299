"""One stream for programs without asyncio. A thread of its own receives; any thread may call it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from types import TracebackType
from typing import Any

import grpc

from cmstream.client.capabilities import StreamLimits
from cmstream.client.channel import Metadata, stream_of
from cmstream.client.conversation import Conversation, Picture, StreamOptions, source_of
from cmstream.client.result import Result, result_of
from cmstream.client.update import ModelChange, Update
from cmstream.core.clock import MonotonicClock
from cmstream.core.errors import Unavailable
from cmstream.core.frame import check_rgb
from cmstream.wire.envelope import Outgoing
from cmstream.wire.errors import from_rpc
from cmstream.wire.frame import DEFAULT_TIME_BASE


class BlockingStream:
    """A context manager, open inside; iterate it for results, oldest first, until the stream ends. As `Stream`."""

    def __init__(self, channel: grpc.Channel, metadata: Metadata, options: StreamOptions) -> None:
        self.skipped = 0
        self._channel = channel
        self._metadata = metadata
        self._options = options
        self._conversation = Conversation(options, MonotonicClock())
        self._requests: queue.SimpleQueue[Outgoing | None] = queue.SimpleQueue()  # holds no more than the window
        self._changed = threading.Condition()
        self._pending: Picture | None = None
        self._ended = False
        self._error: Exception | None = None
        self._threads: list[threading.Thread] = []

    def __repr__(self) -> str:
        return f"<BlockingStream {self._conversation!r}{', ended' if self._ended else ''}>"

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

    def __enter__(self) -> BlockingStream:
        self._requests.put(self._conversation.open_request())
        self._call = stream_of(self._channel)(iter(self._requests.get, None), metadata=self._metadata)
        self._start("receive", self._receive)
        try:
            with self._changed:
                self._until(lambda: self._conversation.opened)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> BlockingStream:
        return self

    def __next__(self) -> Result:
        with self._changed:
            self._changed.wait_for(lambda: self._conversation.has_result or self._ended)
            arrived = self._conversation.take_result()
            if arrived is None:
                raise self._error or StopIteration
            self._send_pending()
            self._changed.notify_all()
        return result_of(arrived.message, arrived.data, arrived.round_trip_ms)

    def send(self, frame: Picture, *, pts: int | None = None, time_base: Fraction = DEFAULT_TIME_BASE) -> int:
        """Send [H,W,3] uint8 RGB, or the bytes of a JPEG, once there is room for it to be styled; returns the frame id.

        Room is made by taking results: iterate the stream meanwhile. Raises InvalidFrame, or what ended the stream.
        """
        source = source_of(frame, self._options)
        with self._changed:
            while self._conversation.room_to_send_s != 0:
                self._until(lambda: self._conversation.room_to_send_s == 0, self._conversation.room_to_send_s)
            self._until(lambda: True)
            frame_id, request = self._conversation.frame_request(source, pts, time_base)
            self._requests.put(request)
        return frame_id

    def offer(self, frame: Picture) -> None:
        """Send without ever waiting for the window: of frames that find no room only the newest is kept, and sent when
        there is room again. For live sources; `skipped` counts the others. Raises InvalidFrame, or what ended the stream.
        """
        if not isinstance(frame, bytes):
            check_rgb(frame)
        with self._changed:
            self._until(lambda: True)
            self.skipped += self._pending is not None
            self._pending = frame
            self._send_pending()

    def update(self, **params: Any) -> Update:
        """Change any subset of the parameters; returns once the server has said from which frame on.

        Raises InvalidParameters, and then nothing has changed, or what ended the stream.
        """
        with self._changed:
            request_id, request = self._conversation.update_request(params)
            self._requests.put(request)
            try:
                self._until(lambda: self._conversation.has_answer(request_id))
                return self._conversation.answer(request_id)
            finally:
                self._conversation.forget(request_id)

    def feed(self, frames: Iterable[Picture], *, live: bool = False) -> None:
        """Send every frame of an iterator from another thread, then `finish`. `live` offers them: the newest wins.

        What the iterator raises, the stream raises.
        """
        self._start("feed", lambda: self._feed(frames, live))

    def finish(self) -> None:
        """No more frames: what is in flight is still answered, then the iteration ends."""
        with self._changed:
            self._until(lambda: self._pending is None)
            self._requests.put(None)

    def close(self) -> None:
        """End the stream at once; frames in flight are lost. Closing twice is fine."""
        self._finished(None)
        self._requests.put(None)
        self._call.cancel()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=1)  # a feeding thread may be waiting for its camera
        self._threads = []

    def _start(self, what: str, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=f"cmstream-{what}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _receive(self) -> None:
        error: Exception | None = None
        try:
            for received in self._call:
                with self._changed:
                    self._conversation.receive(received)
                    self._send_pending()
                    self._changed.notify_all()
        except grpc.RpcError as failure:
            error = from_rpc(failure)
        except Exception as failure:  # the caller's on_drop; raised again by whatever is called next
            error = failure
        self._finished(error)

    def _finished(self, error: Exception | None) -> None:
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
            self._changed.notify_all()

    def _until(self, reached: Callable[[], bool], timeout_s: float | None = None) -> None:
        """With the lock held: wait for it, `timeout_s` at most; raises what ended the stream if that came first."""
        self._changed.wait_for(lambda: reached() or self._ended, timeout_s)
        if self._ended:
            raise self._error or Unavailable("the stream has ended; open another")

    def _send_pending(self) -> None:
        """With the lock held."""
        frame = self._pending
        if frame is not None and not self._ended and self._conversation.has_room:
            self._pending = None
            source = source_of(frame, self._options)
            self._requests.put(self._conversation.frame_request(source, None, DEFAULT_TIME_BASE)[1])
            self._changed.notify_all()

    def _feed(self, frames: Iterable[Picture], live: bool) -> None:
        try:
            for frame in frames:
                if live:
                    self.offer(frame)
                else:
                    self.send(frame)
            self.finish()
        except Exception as error:  # the caller's iterator; raised again by whatever is called next
            self._finished(error)
            self._call.cancel()
