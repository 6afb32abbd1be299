"""`cmstream train`: train a one-step consistency model on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmstream.core.errors import InvalidInput

if TYPE_CHECKING:
    from cmstream.training.teacher import Teacher

DEFAULT_MINUTES = 60.0


def train(
    out: Annotated[Path, typer.Option(help="The weights file to write; the training's state is kept beside it.")] = Path(
        "painter.safetensors"
    ),
    style: Annotated[
        list[str] | None,
        typer.Option(help="A painter to learn; repeat it for several in one model, or say all. [default: oil]"),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL|FOLDER|MODULE:FUNCTION",
            help="Learn from a latent model and its --prompt: hf:owner/name, its folder, or a name of `cmstream models`; from"
            " FOLDER/source and FOLDER/styled, pictures of the same names or two videos; or from a function of yours,"
            " (src, noise) -> picture, [B,3,H,W] in [-1,1]: this runs your code.",
        ),
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="What a latent model as --teacher paints.")] = None,
    style_image: Annotated[Path | None, typer.Option(help="Learn the style of this picture.")] = None,
    style_size: Annotated[
        int, typer.Option(min=64, max=1024, help="Short side that picture is scaled down to; smaller gives finer strokes.")
    ] = 256,
    init: Annotated[Path | None, typer.Option(help="A model to start from, so that less training is needed.")] = None,
    objective: Annotated[
        str | None,
        typer.Option(help="consistency, uncoupled (the default for a FOLDER), or regression, the baseline to measure against."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Train for so long (60 if no --steps either).")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Train for so many steps.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training that was begun in OUT.")] = False,
    threads: Annotated[int, typer.Option(min=0, max=256, help="CPU threads; 0 uses every core.")] = 0,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 2, help="Of scenes, first weights and batches.")] = 0,
    scenes: Annotated[
        int, typer.Option(min=16, max=1_000_000, help="Scenes to render and paint first (200 MB per 1000).")
    ] = 9216,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of the training pairs; made once, used again. [default: training-pairs]")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: the GPU where there is one.")] = "auto",
    net: Annotated[str, typer.Option(help="s runs in real time on two CPU cores, m wants a GPU.")] = "s",
    batch: Annotated[int, typer.Option(min=2, max=4096, help="Crops per step.")] = 16,
    learning_rate: Annotated[float, typer.Option(min=1e-7, max=1.0, help="Lower it if the training diverges.")] = 8e-4,
) -> None:
    """Train a one-step consistency model and write it as safetensors.

    Makes training pairs once, trains until the time or the steps are spent, and writes OUT and a contact sheet beside it
    (OUT with .sheet.jpg). Stop it at any moment and go on with --resume.

    With a FOLDER the noise behind its pictures is unknown: the result is softer and wants several times the training. A
    function is best a function of its two arguments alone; then it is learned with its noise, as painters are.
    """
    from cmstream.cli.training_bars import TrainingBars, training_progress
    from cmstream.core.clock import MonotonicClock
    from cmstream.training.painters import PAINTERS
    from cmstream.training.run import Order, Watch
    from cmstream.training.run import train as run_training

    told = _teacher(teacher, prompt, style_image, style_size, style)
    if minutes is None and steps is None:
        minutes = DEFAULT_MINUTES
    order = Order(
        out=out,
        cache=cache or Path("training-pairs" if told is None else f"training-pairs-{told.styles[0]}"),
        objective=objective,
        styles=tuple(PAINTERS) if style == ["all"] else tuple(style or ["oil"]),
        teacher=told,
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
    with training_progress() as progress:
        bars = TrainingBars(progress)
        last = run_training(order, Watch(bars.rendering, bars.training), MonotonicClock())
    if last is None:
        print(f"{out} written; the training was over already")
    else:
        print(f"{out} written after {last.place.step} steps, {last.psnr_db:.1f} dB on training crops; look at {order.sheet}")


def _teacher(
    teacher: str | None, prompt: str | None, style_image: Path | None, style_size: int, style: list[str] | None
) -> Teacher | None:
    from cmstream.cli.teacher import style_image_teacher, teacher_of

    if sum(each is not None for each in (teacher, style_image, style)) > 1:
        raise InvalidInput("name one of --style, --style-image and --teacher")
    if style_image is not None:
        return style_image_teacher(style_image, style_size)
    if teacher is None and prompt is not None:
        raise InvalidInput("--prompt needs a latent model to hear it: name one with --teacher, e.g. --teacher sd-turbo")
    return None if teacher is None else teacher_of(teacher, prompt)
