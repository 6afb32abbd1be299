"""One recording of one stream: what it takes from the stream, and how it stands. Event loop only.

It is a viewer with one slot of its own (`recorder`), so that nothing it does can slow the stream.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from cmstream.core.capture_clock import CaptureClock
from cmstream.core.clock import NS_PER_MS, NS_PER_S, Clock
from cmstream.core.frame import Drop, DropReason, Frame, StyledFrame
from cmstream.core.trace import Stage
from cmstream.session.session import Session
from cmstream.session.subscription import Subscription
from cmstream.transport.recording.destination import LimitedFile, file_name
from cmstream.transport.recording.movie_file import Container
from cmstream.transport.recording.recorder import Progress, Recorder, Shot

TRANSPORT = "recording"
JUMP_NS = 250 * NS_PER_MS  # how far the publisher's timestamps may lead away from when frames came

What = Literal["styled", "source"]


class Outcome(StrEnum):
    """How a recording stands."""

    RECORDING = "recording"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Request:
    """What to record of a stream, and into which kind of file."""

    what: What
    container: Container


class Recording:
    """`begin`, then `record` until `end` was called, by whoever; `as_json` shows it at any time."""

    def __init__(self, session: Session, request: Request, folder: Path, clock: Clock) -> None:
        self.recording_id = secrets.token_hex(8)
        self.stream = session.name
        self.path = folder / file_name(session.name, self.recording_id, request.what, request.container)
        self.outcome = Outcome.RECORDING
        self.reason = ""
        self._session = session
        self._request = request
        self._clock = clock
        self._captures = CaptureClock(JUMP_NS)
        self._last_media_ns: int | None = None
        self._progress = Progress()
        self._dropped = 0
        self._began = datetime.now(UTC)
        self._has_sound = session.soundtrack.sounding
        self._subscription: Subscription | None = None
        self._recorder: Recorder | None = None
        self._taking = ExitStack()
        self._ended = asyncio.Event()
        self._closed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Recording {self._request.what} of {self.stream}, {self.outcome}, {self._progress.duration_s:.1f} s>"

    @property
    def pictures(self) -> int:
        """How many are in the file."""
        return self._progress.pictures

    def as_json(self) -> dict[str, Any]:
        """The state, as the API shows it."""
        return {
            "id": self.recording_id,
            "stream": self.stream,
            "what": self._request.what,
            "state": self.outcome.value,
            "reason": self.reason,
            "file": self.path.name,
            "audio": self._has_sound,
            "began": self._began.isoformat(timespec="seconds"),
            "dropped": self._dropped,
            **asdict(self._progress),
        }

    def begin(self, file: LimitedFile) -> None:
        """Take frames from now on. Raises Unavailable when the stream is draining or closed."""
        self._recorder = Recorder(
            file, self._request.container, has_sound=self._has_sound, wrote=self._wrote, ended=self._thread_ended
        )
        if self._request.what == "styled":
            self._subscription = self._taking.enter_context(self._session.subscribe(TRANSPORT))
            self._subscription.on_frame = self._show
        else:
            self._session.on_source.add(self._show)
            self._taking.callback(self._session.on_source.discard, self._show)
        self._session.soundtrack.join(self._recorder.hear)
        self._taking.callback(self._session.soundtrack.leave, self._recorder.hear)
        self._recorder.start()

    async def record(self, limit_s: float, close_s: float) -> None:
        """Until its end; the file is closed when this returns, unless its disk hangs for `close_s`."""
        assert self._recorder is not None
        with self._taking:
            try:
                async with asyncio.timeout(limit_s):
                    await self._ended.wait()
            except TimeoutError:
                self.end(f"it reached its limit of {limit_s / 60:g} minutes (recording.max_minutes)")
        self._recorder.close()
        try:
            async with asyncio.timeout(close_s):
                await self._closed.wait()
        except TimeoutError:
            self._thread_ended(self._progress, f"its disk did not answer for {close_s:g} s; the end may be missing")

    def end(self, reason: str) -> None:
        """Ask for the end, from anywhere on the loop. The first reason stays."""
        if not self._ended.is_set():
            self.reason = reason
            self._ended.set()

    async def closed(self) -> None:
        """Wait until its file is closed."""
        await self._closed.wait()

    def _show(self, frame: StyledFrame | Frame) -> None:
        assert self._recorder is not None
        shot = Shot(frame.frame_id, frame.rgb, self._captured_ns(frame), frame.trace)
        displaced = self._recorder.offer(shot)
        if displaced is not None:
            self._dropped += 1
            if self._subscription is not None:
                self._subscription.drop(Drop(displaced.frame_id, DropReason.SLOW_SINK, frame.frame_id))

    def _captured_ns(self, frame: StyledFrame | Frame) -> int:
        """By the publisher's own timestamps, where they advance; else when it came."""
        media_ns = round(frame.pts * frame.time_base * NS_PER_S)
        advances = self._last_media_ns is None or media_ns > self._last_media_ns
        self._last_media_ns = media_ns
        received_ns = frame.trace.received_ns
        return self._captures.captured_ns(media_ns, received_ns) if advances else received_ns

    def _wrote(self, shot: Shot, progress: Progress) -> None:
        self._progress = progress
        if self._subscription is not None:
            self._subscription.delivered(shot.frame_id, shot.trace.mark(Stage.DELIVER, self._clock.now_ns()))

    def _thread_ended(self, progress: Progress, failure: str) -> None:
        if self._closed.is_set():
            return
        self._progress = progress
        self.outcome = Outcome.FAILED if failure else Outcome.FINISHED
        self.reason = failure or self.reason
        self._ended.set()
        self._closed.set()
