"""A runner whose every run a test sees, and decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from cmstream.core.clock import FakeClock
from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.engine.moving_noise import Places
from cmstream.engine.runner import RunnerInput


class TalliedRunner:
    """Paints every frame as it is, plus `error` where as many as that or more run at once; counts, and may be told to raise."""

    name, runtime, precision = "tallied", "openvino", "float32"

    def __init__(self, wrong_from: int = 99, raises_from: int = 99) -> None:
        self.wrong_from = wrong_from
        self.raises_from = raises_from
        self.runs: list[tuple[int, ...]] = []
        self.kept: set[int] = set()

    def style(self, src: Rgb, noise: Tensor, look: Look, *, places: Places | None = None, stream_id: int = 0) -> Rgb:
        self.runs.append((stream_id,))
        self.kept.add(stream_id)
        return src.copy()

    def style_together(self, frames: Iterable[RunnerInput], count: int) -> list[Rgb]:
        taken = list(frames)
        assert len(taken) == count
        self.runs.append(tuple(frame.stream_id for frame in taken))
        self.kept.update(self.runs[-1])
        if count >= self.raises_from:
            raise RuntimeError("no memory for so many")
        painted = [frame.src.copy() for frame in taken]
        painted[-1][-1, -1, -1] += count >= self.wrong_from
        return painted

    def forget(self, stream_id: int) -> None:
        self.kept.discard(stream_id)


class TimedRunner(TalliedRunner):
    """So many frames at once take `ms[count]` of the clock."""

    def __init__(self, clock: FakeClock, ms: Mapping[int, float], wrong_from: int = 99) -> None:
        super().__init__(wrong_from)
        self._clock = clock
        self._ms = ms

    def style(self, src: Rgb, noise: Tensor, look: Look, *, places: Places | None = None, stream_id: int = 0) -> Rgb:
        self._clock.advance_ms(self._ms[1])
        return super().style(src, noise, look, places=places, stream_id=stream_id)

    def style_together(self, frames: Iterable[RunnerInput], count: int) -> list[Rgb]:
        self._clock.advance_ms(self._ms[count])
        return super().style_together(frames, count)
