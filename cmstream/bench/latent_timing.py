"""Times one contestant of the latent benchmark on one case: frames in memory, or JPEG in and JPEG out. Blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

from cmstream.bench.engine_bench import SOURCES, picture
from cmstream.core.clock import NS_PER_MS, NS_PER_S, Clock
from cmstream.core.frame import Rgb
from cmstream.core.picture import decode_picture, encode_jpeg
from cmstream.engine.fixed_path import UNDER_WAY, FixedPath, FixedSlot
from cmstream.engine.latent_rivals import Styler

LEAST_BATCHES = 3

Source: TypeAlias = list[Rgb] | list[bytes]
"""A batch of frames, or of JPEGs."""


@dataclass(frozen=True, slots=True)
class LatentCase:
    """What every contestant is asked for."""

    side_px: int
    batch: int
    has_codec: bool


@dataclass(frozen=True, slots=True)
class Timed:
    """Batches that were done, how long that took, and how old each was."""

    batches: int
    took_ns: int
    each_ms: tuple[float, ...]


def time_styler(styler: Styler, case: LatentCase, seconds: float, clock: Clock) -> Timed:
    """One batch after another, as the contestant does by itself."""
    sources = _sources(case)
    styler(_decoded(sources[0]))

    def once(turn: int) -> None:
        styled = styler(_decoded(sources[turn % SOURCES]))
        if case.has_codec:
            for rgb in styled:
                encode_jpeg(rgb)

    return _repeated(once, seconds, clock)


def time_evaluations(path: FixedPath, seconds: float, clock: Clock) -> Timed:
    """Nothing goes in and nothing comes out."""
    path.compute(1)
    return _repeated(lambda _: path.compute(1), seconds, clock)


def time_path(path: FixedPath, case: LatentCase, seconds: float, clock: Clock) -> Timed:
    """Two batches under way; codecs on threads of their own, as the server has them."""
    with ThreadPoolExecutor(2 * UNDER_WAY, thread_name_prefix="codec") as codec:
        return _Overlapped(path, case, codec, clock).timed(seconds)


class _Overlapped:
    """Decoding, styling and encoding of batches of which two are under way."""

    def __init__(self, path: FixedPath, case: LatentCase, codec: ThreadPoolExecutor, clock: Clock) -> None:
        self._path, self._codec, self._clock = path, codec, clock
        self._has_codec = case.has_codec
        self._sources = _sources(case)
        self._under_way: deque[tuple[int, FixedSlot]] = deque()
        self._taken = 0
        self._each_ms: list[float] = []

    def timed(self, seconds: float) -> Timed:
        """Whatever is under way at the end is finished, and not counted."""
        self._path.result(self._path.submit(_decoded(self._sources[0])))
        start_ns = self._clock.now_ns()
        while len(self._each_ms) < LEAST_BATCHES or self._clock.now_ns() < start_ns + seconds * NS_PER_S:
            while len(self._under_way) < UNDER_WAY:
                self._take()
            self._finish()
        took_ns, times = self._clock.now_ns() - start_ns, len(self._each_ms)
        while self._under_way:
            self._finish()
        return Timed(times, took_ns, tuple(self._each_ms[:times]))

    def _take(self) -> None:
        begun_ns, batch = self._clock.now_ns(), self._sources[self._taken % SOURCES]
        self._taken += 1
        frames = list(self._codec.map(_one_decoded, batch)) if self._has_codec else _decoded(batch)
        self._under_way.append((begun_ns, self._path.submit(frames)))

    def _finish(self) -> None:
        begun_ns, slot = self._under_way.popleft()
        styled = self._path.result(slot)
        if self._has_codec:
            list(self._codec.map(encode_jpeg, styled))
        self._each_ms.append((self._clock.now_ns() - begun_ns) / NS_PER_MS)


def _repeated(once: Callable[[int], object], seconds: float, clock: Clock) -> Timed:
    each_ms: list[float] = []
    start_ns = clock.now_ns()
    while len(each_ms) < LEAST_BATCHES or clock.now_ns() < start_ns + seconds * NS_PER_S:
        begun_ns = clock.now_ns()
        once(len(each_ms))
        each_ms.append((clock.now_ns() - begun_ns) / NS_PER_MS)
    return Timed(len(each_ms), clock.now_ns() - start_ns, tuple(each_ms))


def _sources(case: LatentCase) -> Sequence[Source]:
    frames = [picture(case.side_px, index) for index in range(SOURCES)]
    batches = [[frames[(turn + row) % SOURCES] for row in range(case.batch)] for turn in range(SOURCES)]
    return [[encode_jpeg(rgb) for rgb in each] for each in batches] if case.has_codec else batches


def _decoded(batch: Source) -> list[Rgb]:
    return [_one_decoded(each) for each in batch]


def _one_decoded(frame: Rgb | bytes) -> Rgb:
    return decode_picture(frame) if isinstance(frame, bytes) else frame
