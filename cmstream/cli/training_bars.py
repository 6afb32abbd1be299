"""The progress of a training as two bars on stderr, each shown from its first report on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from cmstream.training.loop import Report


def training_progress() -> Progress:
    """The display; a context manager."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>4.1f} %"))
    console = Console(stderr=True)
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console)


class TrainingBars:
    """The making of pairs, then the training."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._rendering = progress.add_task("pairs   ", total=None, visible=False, note="")
        self._training = progress.add_task("training", total=1.0, visible=False, note="")

    def rendering(self, done: int, total: int) -> None:
        """See `Watch`."""
        self._progress.update(self._rendering, total=total, completed=done, visible=True)

    def training(self, report: Report) -> None:
        """See `Watch`."""
        note = f"step {report.place.step}  loss {report.loss:.3f}  {report.psnr_db:.1f} dB"
        self._progress.update(self._training, completed=report.progress, visible=True, note=note)
