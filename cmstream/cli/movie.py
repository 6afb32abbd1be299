"""A video through a painter, frame by frame: decode, style, encode as H.264; the sound is copied as it is.

Blocking, on the calling thread. Memory holds a handful of frames, however long the video is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.video.reformatter import ColorRange, Colorspace

from cmstream.core.errors import InvalidFrame, InvalidInput
from cmstream.core.frame import Rgb, check_size

SUFFIXES = (".mp4", ".mov", ".mkv", ".m4v", ".webm", ".avi")
WRITABLE = (".mp4", ".mov", ".mkv", ".m4v")
IN_FLIGHT = 2
_NEARLY_ALL = 0.98

Paint: TypeAlias = Callable[[Rgb], Future[Rgb]]


@dataclass(frozen=True, slots=True)
class MovieInfo:
    """What the header says. `frames` is 0 where it does not say; sides are as shown, after rotation."""

    width_px: int
    height_px: int
    frames: int


def movie_info(path: Path) -> MovieInfo:
    """Read the header and the first frame. Raises InvalidInput."""
    with _open(path) as source:
        stream = source.streams.video[0]
        try:
            first = next(source.decode(stream))
        except StopIteration:
            raise InvalidInput(f"{path} has no picture in it") from None
        except av.FFmpegError as error:
            raise InvalidInput(f"{path} is damaged: {error.strerror}") from error
        turned = first.rotation % 180 != 0
        size = (first.height, first.width) if turned else (first.width, first.height)
        return MovieInfo(*size, _frame_count(stream))


def count_frames(path: Path) -> int:
    """How many there are, by going through the file without decoding it. Raises InvalidInput."""
    with _open(path) as source:
        try:
            return sum(1 for packet in source.demux(source.streams.video[0]) if packet.size)
        except av.FFmpegError as error:
            raise InvalidInput(f"{path} is damaged: {error.strerror}") from error


def read_frames(path: Path) -> Iterator[Rgb]:
    """Every frame, upright. Raises InvalidInput where the file is damaged."""
    with _open(path) as source:
        read = 0
        try:
            for frame in source.decode(source.streams.video[0]):
                yield _upright(frame)
                read += 1
        except av.FFmpegError as error:
            raise InvalidInput(f"{path} is damaged after frame {read}: {error.strerror}") from error


def paint_movie(
    source_path: Path, destination: Path, size_px: tuple[int, int], paint: Paint, tell: Callable[[int], None]
) -> str | None:
    """Style every frame; `tell` hears how many are done. Returns a note for the user, or None.

    `paint` gives frames of `size_px`, both sides even. Raises InvalidInput for a video that ends before its header says.
    """
    with _open(source_path) as source, av.open(str(destination), "w") as sink:
        expected = _frame_count(source.streams.video[0])
        run = _Run(source, sink, size_px, paint, tell)
        try:
            done = run.all()
        except av.FFmpegError as error:
            if error.errno == 28:  # ENOSPC: the disk, not the video, is at fault
                raise OSError(error.errno, error.strerror, str(destination.parent)) from error
            raise InvalidInput(f"{source_path} is damaged after frame {run.done}: {error.strerror}") from error
        if done == 0 or done < expected * _NEARLY_ALL:
            raise InvalidInput(f"{source_path} is truncated: {done} of {expected} frames could be read")
        return run.note


class _Run:
    """One pass over a video: at most IN_FLIGHT frames are being styled while the next is decoded."""

    def __init__(
        self, source: InputContainer, sink: OutputContainer, size_px: tuple[int, int], paint: Paint, tell: Callable[[int], None]
    ) -> None:
        self.done = 0
        self.note: str | None = None
        self._source = source
        self._sink = sink
        self._paint = paint
        self._tell = tell
        self._waiting: deque[tuple[Future[Rgb], int | None]] = deque()
        self._video = source.streams.video[0]
        self._video.thread_type = "AUTO"
        self._time_base = self._video.time_base or Fraction(1, 90_000)
        self._out: Any = self._styled_stream(*size_px)
        self._sound = self._copied_sound()

    def all(self) -> int:
        """Style every frame; returns how many there were."""
        inputs = [self._video] if self._sound is None else [self._video, self._source.streams.audio[0]]
        for packet in self._source.demux(inputs):
            if packet.stream is self._video:
                for frame in self._video.decode(packet):
                    self._take(frame)
            elif self._sound is not None and packet.dts is not None:
                packet.stream = self._sound
                self._sink.mux(packet)
        while self._waiting:
            self._finish_one()
        if self.done:
            self._sink.mux(self._out.encode(None))
        return self.done

    def _take(self, frame: av.VideoFrame) -> None:
        self._waiting.append((self._paint(_upright(frame)), frame.pts))
        if len(self._waiting) > IN_FLIGHT:
            self._finish_one()

    def _finish_one(self) -> None:
        styled, pts = self._waiting.popleft()
        rgb = styled.result()
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
        frame.pts = pts
        frame.time_base = self._time_base
        self._sink.mux(self._out.encode(frame))
        self.done += 1
        self._tell(self.done)

    def _styled_stream(self, width_px: int, height_px: int) -> Any:
        out = self._sink.add_stream("libx264", rate=self._video.average_rate or 30, options={"crf": "18", "preset": "medium"})
        out.width, out.height, out.pix_fmt = width_px, height_px, "yuv420p"
        out.codec_context.time_base = self._time_base
        out.codec_context.colorspace = Colorspace.ITU709
        out.codec_context.color_range = ColorRange.MPEG
        return out

    def _copied_sound(self) -> Any:
        if not self._source.streams.audio:
            return None
        sound = self._source.streams.audio[0]
        if sound.codec_context.name not in self._sink.supported_codecs:
            self.note = f"the sound ({sound.codec_context.name}) does not fit this kind of file and was left out; try .mkv"
            return None
        return self._sink.add_stream_from_template(sound)


def _upright(frame: av.VideoFrame) -> Rgb:
    check_size(frame.width, frame.height)
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90))


def _open(path: Path) -> InputContainer:
    try:
        source = av.open(str(path), "r", metadata_errors="replace")
    except FileNotFoundError:
        raise InvalidInput(f"there is no file {path}") from None
    except (av.FFmpegError, OSError) as error:
        raise InvalidInput(f"{path} cannot be read as a video: {error.strerror}") from error
    if not source.streams.video:
        source.close()
        raise InvalidInput(f"{path} has no video in it")
    try:
        check_size(source.streams.video[0].width, source.streams.video[0].height)
    except InvalidFrame as error:
        source.close()
        raise InvalidFrame(f"{path}: {error}") from None
    return source


def _frame_count(stream: av.VideoStream) -> int:
    """As the header says, or from duration and rate; 0 where it says neither."""
    if stream.frames:
        return stream.frames
    if stream.duration and stream.time_base and stream.average_rate:
        return int(stream.duration * stream.time_base * stream.average_rate)
    return 0
