"""`cmstream train`: train a one-step consistency model on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from cmstream.training.loop import Report

DEFAULT_MINUTES = 60.0


def train(
    out: Annotated[Path, typer.Option(help="The weights file to write; the training's state is kept beside it.")] = Path(
        "painter.safetensors"
    ),
    style: Annotated[
        list[str] | None,
        typer.Option(help="A painter to learn; repeat it for several in one model, or say all. [default: oil]"),
    ] = None,
    init: Annotated[Path | None, typer.Option(help="A model to start from, so that less training is needed.")] = None,
    objective: Annotated[
        str, typer.Option(help="consistency, or regression for the baseline it is measured against.")
    ] = "consistency",
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Train for so long (60 if no --steps either).")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Train for so many steps.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training that was begun in OUT.")] = False,
    threads: Annotated[int, typer.Option(min=0, max=256, help="CPU threads; 0 uses every core.")] = 0,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 2, help="Of scenes, first weights and batches.")] = 0,
    scenes: Annotated[
        int, typer.Option(min=16, max=1_000_000, help="Scenes to render and paint first (200 MB per 1000).")
    ] = 9216,
    cache: Annotated[Path, typer.Option(help="Folder of the rendered scenes; made once, used again.")] = Path("training-pairs"),
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: the GPU where there is one.")] = "auto",
    net: Annotated[str, typer.Option(help="s runs in real time on two CPU cores, m wants a GPU.")] = "s",
    batch: Annotated[int, typer.Option(min=2, max=4096, help="Crops per step.")] = 16,
    learning_rate: Annotated[float, typer.Option(min=1e-7, max=1.0, help="Lower it if the training diverges.")] = 8e-4,
) -> None:
    """Train a one-step consistency model and write it as safetensors.

    Renders scenes once, trains until the time or the steps are spent, and writes OUT. Stop it at any moment and go on
    with --resume.
    """
    from cmstream.core.clock import MonotonicClock
    from cmstream.training.painters import PAINTERS
    from cmstream.training.run import Order, Watch
    from cmstream.training.run import train as run_training

    if minutes is None and steps is None:
        minutes = DEFAULT_MINUTES
    order = Order(
        out=out,
        cache=cache,
        objective=objective,
        styles=tuple(PAINTERS) if style == ["all"] else tuple(style or ["oil"]),
        init=init,
        steps=steps,
        minutes=minutes,
        scenes=scenes,
        seed=seed,
        threads=threads,
        device=device,
        net=net,
        batch=batch,
        learning_rate=learning_rate,
        resume=resume,
    )
    with _progress() as progress:
        bars = _Bars(progress)
        last = run_training(order, Watch(bars.rendering, bars.training), MonotonicClock())
    if last is None:
        print(f"{out} written; the training was over already")
    else:
        print(f"{out} written after {last.place.step} steps, {last.psnr_db:.1f} dB on training crops")


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>4.1f} %"))
    console = Console(stderr=True)
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console)


class _Bars:
    """The two phases as bars, each shown from its first report on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._rendering = progress.add_task("scenes  ", total=None, visible=False, note="")
        self._training = progress.add_task("training", total=1.0, visible=False, note="")

    def rendering(self, done: int, total: int) -> None:
        self._progress.update(self._rendering, total=total, completed=done, visible=True)

    def training(self, report: Report) -> None:
        note = f"step {report.place.step}  loss {report.loss:.3f}  {report.psnr_db:.1f} dB"
        self._progress.update(self._training, completed=report.progress, visible=True, note=note)
