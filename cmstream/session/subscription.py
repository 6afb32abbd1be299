"""The viewing end of a stream, as a transport holds it: one slot, newest wins. Event loop only."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from cmstream.core.clock import NS_PER_S, Clock
from cmstream.core.frame import Drop, DropReason, OnDrop, StyledFrame
from cmstream.core.mailbox import Mailbox, MailboxClosed
from cmstream.core.trace import Trace

STALLED_NS = 5 * NS_PER_S
"""A viewer with a frame waiting for so long is as good as none: nothing is styled for it until it takes that frame."""


class Subscription:
    """A context manager and async iterator of styled frames. It ends when the stream closes: `reason` says why.

    With `on_frame` set, it is called with every frame, and nothing is kept for iteration.

    Call `delivered` with the id and the finished trace once a frame has left for the viewer: that is what is counted and shown.
    """

    def __init__(
        self,
        transport: str,
        clock: Clock,
        delivered: Callable[[Subscription, int, Trace], None],
        dropped: Callable[[Drop], None],
        leave: Callable[[Subscription], None],
        taken: Callable[[], None],
    ) -> None:
        self.transport = transport
        self.reason = ""
        self.on_drop: OnDrop | None = None
        self.on_frame: Callable[[StyledFrame], None] | None = None
        self._mailbox: Mailbox[StyledFrame] = Mailbox()
        self._delivered = delivered
        self._dropped = dropped
        self._leave = leave
        self._taken = taken
        self._clock = clock
        self._unread_since_ns: int | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Subscription {self.transport} {self._mailbox!r}>"

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> StyledFrame:
        try:
            frame = await self._mailbox.get()
        except MailboxClosed:
            raise StopAsyncIteration from None
        self._unread_since_ns = None
        self._taken()
        return frame

    @property
    def stalled(self) -> bool:
        """Whether the viewer has left a frame waiting for `STALLED_NS`. With `on_frame`, none waits here."""
        if self.on_frame is not None:
            return False
        return self._unread_since_ns is not None and self._clock.now_ns() - self._unread_since_ns >= STALLED_NS

    def put(self, frame: StyledFrame) -> None:
        """Called by the stream with every styled frame."""
        if self.on_frame is not None:
            self.on_frame(frame)
            return
        displaced = self._mailbox.put(frame)
        if displaced is None:
            self._unread_since_ns = self._clock.now_ns()
        else:
            self.drop(Drop(displaced.frame_id, DropReason.SLOW_SINK, frame.frame_id))

    def delivered(self, frame_id: int, trace: Trace) -> None:
        """The frame has been handed to the viewer; its trace ends here."""
        self._delivered(self, frame_id, trace)

    def close(self, reason: str = "the viewer left") -> None:
        """End the subscription and wake its reader. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        self.reason = reason
        waiting = self._mailbox.close()
        if waiting is not None:
            self.drop(Drop(waiting.frame_id, DropReason.CLOSED))
        self._leave(self)

    def drop(self, drop: Drop) -> None:
        """A frame that this viewer does not get: counted, and told to `on_drop`."""
        self._dropped(drop)
        if self.on_drop is not None:
            self.on_drop(drop)
