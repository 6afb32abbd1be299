"""Frames of several streams at once on one CPU, each on its share of the cores: a frame by itself leaves them waiting for
each other at every layer. Engine thread only.

A stream must look the same alone and in company, so a size runs this way only where warm-up saw the very same bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from cmstream.core.frame import Rgb
from cmstream.engine.base import Pace
from cmstream.engine.pace import unhurried
from cmstream.engine.runner import ParallelRunner, Runner, RunnerInput

log = logging.getLogger(__name__)

COUNTS = (2, 4, 8)
"""Of frames that may run at once."""


class SideBySide:
    """`runner`, for batches. `most` frames at once, a power of two, where `rehearse` found nothing against it."""

    def __init__(self, runner: Runner, most: int) -> None:
        self._runner = runner
        self._most = most if isinstance(runner, ParallelRunner) else 1
        self._proven: dict[tuple[int, ...], int] = {}

    def __repr__(self) -> str:
        return f"<SideBySide {self._runner.name}, {sum(most > 1 for most in self._proven.values())} sizes>"

    def most(self, size_px: tuple[int, int]) -> int:
        """Frames of (height, width), which the network runs at, that may run at once; 1 for a size that was not rehearsed."""
        return self._proven.get(size_px, 1)

    def rehearse(self, frame: RunnerInput, pace: Pace = unhurried) -> None:
        """Run `frame` alone, and beside itself in every number up to the most; whatever paints other bytes is not used."""
        alone = _alone(self._runner, frame)
        size_px = (frame.src.shape[0], frame.src.shape[1])
        found = self._proven.get(size_px, self._most)
        self._proven[size_px] = 1
        for count in COUNTS:
            if count > found:
                return
            pace()
            if not self._is_painted_alike(frame, count, alone):
                log.warning("at %d×%d, %d frames at once are not painted as one alone: never done", *size_px[::-1], count)
                return
            self._proven[size_px] = count

    def style(self, frames: Iterator[RunnerInput], streams: Sequence[int], size_px: tuple[int, int]) -> list[Rgb]:
        """One for each of `streams`, in order. Each frame is asked for when those before it run, or have run."""
        return [rgb for count in split(streams, self.most(size_px)) for rgb in self._styled(frames, count)]

    def _styled(self, frames: Iterator[RunnerInput], count: int) -> list[Rgb]:
        some = islice(frames, count)
        if count > 1 and isinstance(self._runner, ParallelRunner):
            return self._runner.style_together(some, count)
        return [_alone(self._runner, frame) for frame in some]

    def _is_painted_alike(self, frame: RunnerInput, count: int, alone: Rgb) -> bool:
        copies = [replace(frame, stream_id=frame.stream_id - 1 - place) for place in range(count)]
        try:
            return all(np.array_equal(rgb, alone) for rgb in self._styled(iter(copies), count))
        except RuntimeError as error:  # e.g. no memory for what it compiles to
            log.warning("%d frames at once do not run: %s", count, error)
            return False
        finally:
            for copy in copies:
                self._runner.forget(copy.stream_id)


def split(streams: Iterable[int], most: int) -> list[int]:
    """How many frames run at once, from the first on: powers of two up to `most`, and never two of one stream."""
    rest, counts = list(streams), []
    while rest:
        count = most
        while len(set(rest[:count])) < count:
            count //= 2
        counts.append(count)
        rest = rest[count:]
    return counts


def _alone(runner: Runner, frame: RunnerInput) -> Rgb:
    return runner.style(frame.src, frame.noise, frame.look, places=frame.places, stream_id=frame.stream_id)
