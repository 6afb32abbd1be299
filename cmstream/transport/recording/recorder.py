"""The thread that writes one recording, and the one slot in front of it, where a newer picture displaces an older one.

`offer` and `hear` are called on the event loop and never wait for the disk. What the thread has to tell goes back to the
loop through `wrote` and `ended`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import av

from cmstream.core.frame import Rgb
from cmstream.core.opus import OpusPacket
from cmstream.core.trace import Trace
from cmstream.transport.recording.destination import LimitedFile, NoRoom
from cmstream.transport.recording.movie_file import Container, MovieFile

log = logging.getLogger(__name__)

MOST_SOUNDS = 512  # ten seconds of 20 ms


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture on its way into the file, captured at `captured_ns` on the server's clock."""

    frame_id: int
    rgb: Rgb
    captured_ns: int
    trace: Trace


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a recording is."""

    pictures: int = 0
    width_px: int = 0
    height_px: int = 0
    duration_s: float = 0.0
    written_bytes: int = 0


class Recorder:
    """`start` the thread, `close` to end the file; `ended` is called once it is closed, with the reason if it failed."""

    def __init__(
        self,
        file: LimitedFile,
        container: Container,
        *,
        has_sound: bool,
        wrote: Callable[[Shot, Progress], None],
        ended: Callable[[Progress, str], None],
    ) -> None:
        self._file = file
        self._container = container
        self._has_sound = has_sound
        self._wrote = wrote
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._news = threading.Condition()
        self._shot: Shot | None = None
        self._sounds: deque[OpusPacket] = deque(maxlen=MOST_SOUNDS)
        self._closing = False
        self._movie: MovieFile | None = None
        # A disk that hangs must not keep the process: the thread is given up then.
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def __repr__(self) -> str:
        return f"<Recorder {self._movie or 'nothing yet'}{', closing' if self._closing else ''}>"

    def start(self) -> None:
        """Begin; nothing is written before the first picture."""
        self._thread.start()

    def offer(self, shot: Shot) -> Shot | None:
        """The newest picture; returns the one that it displaced."""
        with self._news:
            displaced, self._shot = self._shot, shot
            self._news.notify()
        return displaced

    def hear(self, packet: OpusPacket) -> None:
        """A packet of sound, in order; the eldest go where the thread does not keep up for seconds."""
        if self._has_sound:
            with self._news:
                self._sounds.append(packet)

    def close(self) -> None:
        """Write what waits, and end. Closing twice is fine."""
        with self._news:
            self._closing = True
            self._news.notify()

    def _run(self) -> None:
        failure = ""
        try:
            self._write_all()
        except NoRoom as error:
            failure = str(error)
        except (av.FFmpegError, OSError) as error:
            failure = f"it could not be written: {error.strerror or error}"
        except Exception as error:
            log.exception("%r failed", self)
            failure = f"an internal fault, {type(error).__name__}; the server's log says more"
        end_failure = self._finish()  # after a failure the end cannot be written either, which is no news
        self._tell(self._ended, self._progress(), failure or end_failure)

    def _write_all(self) -> None:
        while (taken := self._take()) is not None:
            shot, sounds = taken
            if shot is not None:
                if self._movie is None:
                    self._movie = MovieFile(self._file, self._container, shot.rgb, has_sound=self._has_sound)
                self._movie.picture(shot.rgb, shot.captured_ns)
            for packet in sounds:
                assert self._movie is not None
                self._movie.sound(packet)
            if shot is not None:
                self._tell(self._wrote, shot, self._progress())

    def _take(self) -> tuple[Shot | None, list[OpusPacket]] | None:
        """What is to be written next; None at the end. Sound waits for the first picture, which is later than it."""
        with self._news:
            self._news.wait_for(lambda: self._shot is not None or self._closing)
            shot, self._shot = self._shot, None
            begun = shot is not None or self._movie is not None
            sounds = list(self._sounds) if begun else []
            self._sounds.clear()
            return None if shot is None and not sounds and self._closing else (shot, sounds)

    def _finish(self) -> str:
        """End the file; why that failed, if it did. A file without a picture goes."""
        try:
            if self._movie is None:
                self._file.discard()
            else:
                self._movie.close()
        except (NoRoom, av.FFmpegError, OSError) as error:
            return str(error)
        return ""

    def _progress(self) -> Progress:
        movie = self._movie
        if movie is None:
            return Progress()
        return Progress(movie.pictures, movie.width_px, movie.height_px, movie.duration_s, self._file.written)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            pass  # the loop has ended meanwhile, and nobody waits any more
