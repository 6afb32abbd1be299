"""Pictures and sound of a file, a camera or a screen, as they happen: what `cmstream publish` sends. Blocking; one thread.

FFmpeg's own devices read cameras (v4l2) and screens (x11grab); files are played at their own pace.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import av
from av.container import InputContainer

from cmstream.core.clock import NS_PER_S, Clock, MonotonicClock
from cmstream.core.errors import InvalidInput

RETRY_S = 0.005  # a device that has nothing yet
CAMERA = "/dev/video0"
SCREEN = ":0.0"


@dataclass(frozen=True, slots=True)
class Origin:
    """What FFmpeg opens. A `live` one sets the pace itself."""

    address: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    live: bool = False


def origin_of(source: str, *, fps: int, size: str | None, screen: str | None = None) -> Origin:
    """`camera`, `camera:/dev/video2`, `screen`, `screen::1.0`, or a file. Raises InvalidInput for what is not there."""
    kind, _, which = source.partition(":")
    options = {"framerate": str(fps), **({} if size is None else {"video_size": size})}
    if kind == "camera":
        return Origin(which or CAMERA, "v4l2", options, live=True)
    if kind == "screen":
        return Origin(which or screen or SCREEN, "x11grab", {**options, "draw_mouse": "1"}, live=True)
    if not Path(source).is_file():
        raise InvalidInput(f"there is no file {source}; name a film, `camera`, or `screen`")
    return Origin(source)


class Capture:
    """A context manager; iterate `frames` on one thread, and `stop` it from any. With `loop` a film begins anew at its end.

    Raises InvalidInput when it cannot be opened.
    """

    def __init__(self, origin: Origin, *, loop: bool = False, clock: Clock | None = None) -> None:
        self._origin = origin
        self._loop = loop
        self._clock = clock or MonotonicClock()
        self._stopped = threading.Event()
        self._container = _opened(origin)
        self._streams = [*self._container.streams.video[:1], *self._container.streams.audio[:1]]
        self._began_ns: int | None = None
        self._offset_s = 0.0  # of this round through a film
        self._reached_s = 0.0

    def __repr__(self) -> str:
        return f"<Capture {self._origin.address}, {self._reached_s:.1f} s>"

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        self._container.close()

    @property
    def has_sound(self) -> bool:
        """Whether audio frames come too."""
        return len(self._streams) > 1

    def stop(self) -> None:
        """End `frames` soon."""
        self._stopped.set()

    def frames(self) -> Iterator[tuple[float, av.VideoFrame | av.AudioFrame]]:
        """(seconds since the first, frame), each when it is due. Raises InvalidInput where a film is damaged."""
        while not self._stopped.is_set():
            try:
                yield from self._round()
            except av.FFmpegError as error:
                raise InvalidInput(f"{self._origin.address} is damaged, or gone: {error.strerror}") from error
            if not self._loop or self._origin.live or self._reached_s <= self._offset_s:
                return
            self._offset_s = self._reached_s
            self._container.seek(0)

    def _round(self) -> Iterator[tuple[float, av.VideoFrame | av.AudioFrame]]:
        first_s: float | None = None
        for frame in self._decoded():
            if frame.time is None:
                continue
            if first_s is None:
                first_s = frame.time
            at_s = max(0.0, self._offset_s + frame.time - first_s)
            if not self._until(at_s):
                return
            self._reached_s = max(self._reached_s, at_s + _length_s(frame))
            yield at_s, frame

    def _decoded(self) -> Iterator[av.VideoFrame | av.AudioFrame]:
        while not self._stopped.is_set():
            try:
                for frame in self._container.decode(self._streams):
                    if isinstance(frame, (av.VideoFrame, av.AudioFrame)):
                        yield frame
                return
            except (BlockingIOError, av.FFmpegError) as error:
                if error.errno != errno.EAGAIN:
                    raise
                self._stopped.wait(RETRY_S)

    def _until(self, at_s: float) -> bool:
        """Wait for the moment of a film; False once stopped."""
        if self._began_ns is None:
            self._began_ns = self._clock.now_ns()
        if self._origin.live:
            return not self._stopped.is_set()
        wait_s = at_s - (self._clock.now_ns() - self._began_ns) / NS_PER_S
        return not self._stopped.wait(max(0.0, wait_s))


def _opened(origin: Origin) -> InputContainer:
    try:
        container = av.open(origin.address, "r", format=origin.format, options=origin.options)
    except (av.FFmpegError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        advice = "is it plugged in, and may you read it?" if origin.format == "v4l2" else "is it there, and readable?"
        raise InvalidInput(f"{origin.address} cannot be opened: {why}; {advice}") from error
    if not container.streams.video:
        container.close()
        raise InvalidInput(f"{origin.address} has no video in it; this server styles video")
    return container


def _length_s(frame: av.VideoFrame | av.AudioFrame) -> float:
    if isinstance(frame, av.AudioFrame):
        return frame.samples / (frame.sample_rate or 48_000)
    return float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 1 / 30
