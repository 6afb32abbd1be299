"""`cmstream stylize`: an image, a folder of images or a video through the engine, without a server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmstream.cli.serve import Device, ModelName
from cmstream.core.errors import InvalidInput
from cmstream.core.params import NOISE_MOTION
from cmstream.core.prompting import GUIDANCE, NEGATIVE_PROMPT, PROMPT, REFERENCE, STEPS

if TYPE_CHECKING:
    from cmstream.core.frame import Rgb
    from cmstream.core.look import Look
    from cmstream.core.params import JsonValue
    from cmstream.engine.base import Engine, EngineOutput

DEFAULT_SIDE_PX = 1024
_STREAM = 1

Tell = Callable[[int], None]


def stylize(
    src: Annotated[Path, typer.Argument(help="An image, a folder of images, or a video.", show_default=False)],
    dst: Annotated[Path, typer.Argument(help="The same kind; replaced only when everything went well.", show_default=False)],
    style: Annotated[str | None, typer.Option(help="A style of the model.")] = None,
    strength: Annotated[float | None, typer.Option(help="0 returns the source, 1 the full effect.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed, another painting.")] = None,
    prompt: Annotated[str | None, typer.Option(help="What to paint, for a model that hears prompts.")] = None,
    negative_prompt: Annotated[
        str | None, typer.Option(help="What to lead away from; brings full guidance, at twice the work.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Evaluations of the network, for a model that can take several.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How hard to follow the prompt; 1 is no guidance.")] = None,
    noise_motion: Annotated[
        str | None, typer.Option(help="In a video, strokes stick to what is painted (follow) or to the screen (fixed).")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A picture to look like, for a model with an IP-Adapter.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Any parameter of the model, as often as needed: feedback=0.7, structure=0.8, reference_scale=0.5, eta=0.3, "
            'stroke_scale=1.4; mixes as JSON: style={"ink": 1, "oil": 2}, loras={"film": 0.8}.',
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Size of the result; by default the source's.")] = None,
    model: ModelName = None,
    device: Device = None,
) -> None:
    """Style an image, a folder of images, or a video file."""
    from cmstream.cli.asking import asked, reference_url, written_params

    asked_px = None if size is None else _parse_size(size)
    job = _plan(src, dst)
    written = written_params(param or ())
    named = {
        "style": style,
        "strength": strength,
        "seed": seed,
        PROMPT: prompt,
        NEGATIVE_PROMPT: negative_prompt,
        STEPS: steps,
        GUIDANCE: guidance,
        NOISE_MOTION: noise_motion,
        REFERENCE: None if reference is None else reference_url(reference),
    }
    with _engine(model, device) as engine:
        look = _look(engine, asked(engine.info.parameters, named, written))
        engine.prepare(_STREAM, look).result()
        job(Painting(engine, look, asked_px))


class Painting:
    """One look over all frames of one command: the same noise on every frame, so that a video does not boil.

    With `noise_motion` follow it moves along with the picture, unless `forget` begins anew.
    """

    def __init__(self, engine: Engine, look: Look, asked_px: tuple[int, int] | None) -> None:
        self._engine = engine
        self._look = look
        self._asked_px = asked_px

    def size_px(self, width_px: int, height_px: int) -> tuple[int, int]:
        """(width, height) of the result: as asked, else the source's, even, at most the area of 1024×1024."""
        from cmstream.core.geometry import working_size

        return self._asked_px or working_size(width_px, height_px, DEFAULT_SIDE_PX)

    def forget(self) -> None:
        """What comes next has nothing to do with what came before."""
        self._engine.forget(_STREAM)

    def paint(self, rgb: Rgb, size_px: tuple[int, int]) -> Future[Rgb]:
        """Style one frame; the engine resizes it to `size_px`."""
        from cmstream.engine.base import EngineInput

        styled: Future[Rgb] = Future()

        def hand_over(ended: Future[list[EngineOutput]]) -> None:
            error = ended.exception()
            if error is None:
                styled.set_result(ended.result()[0].rgb)
            else:
                styled.set_exception(error)

        self._engine.submit([EngineInput(_STREAM, rgb, self._look, *size_px)]).add_done_callback(hand_over)
        return styled


def _plan(src: Path, dst: Path) -> Callable[[Painting], None]:
    """Which kind of work it is. Raises InvalidInput before anything heavy is loaded."""
    from cmstream.cli import movie, picture

    if not src.exists():
        raise InvalidInput(f"there is no {src}; check the path")
    if src.is_dir():
        return _plan_folder(src, dst)
    if dst.is_dir():
        raise InvalidInput(f"{dst} is a folder; name a file such as {dst / src.name}")
    if dst.exists() and dst.samefile(src):
        raise InvalidInput(f"SRC and DST are the same file {src}; name another DST")
    given, wanted = src.suffix.lower(), dst.suffix.lower()
    if given in picture.SUFFIXES:
        _check_suffix(dst, wanted, picture.SUFFIXES, "an image")
        return lambda painting: _stylize_picture(src, dst, painting)
    if given in movie.SUFFIXES:
        _check_suffix(dst, wanted, movie.WRITABLE, "a video")
        return lambda painting: _stylize_movie(src, dst, painting)
    known = ", ".join((*picture.SUFFIXES, *movie.SUFFIXES))
    raise InvalidInput(f"{src} has an extension that is not known; use one of {known}")


def _check_suffix(dst: Path, suffix: str, allowed: tuple[str, ...], kind: str) -> None:
    if suffix not in allowed:
        raise InvalidInput(f"SRC is {kind}, so DST must end in one of {', '.join(allowed)}, not {dst.name!r}")


def _plan_folder(src: Path, dst: Path) -> Callable[[Painting], None]:
    from cmstream.cli import picture

    if dst.resolve().is_relative_to(src.resolve()):
        raise InvalidInput(f"DST {dst} lies inside SRC {src}; name a folder beside it")
    pictures = sorted(path for path in src.iterdir() if path.suffix.lower() in picture.SUFFIXES and path.is_file())
    if not pictures:
        raise InvalidInput(f"{src} holds no images ({', '.join(picture.SUFFIXES)})")
    return lambda painting: _stylize_folder(pictures, dst, painting)


def _stylize_picture(src: Path, dst: Path, painting: Painting) -> None:
    from cmstream.cli.partial import partial_file

    with partial_file(dst) as path, _progress(src.name, 1) as tell:
        _one_picture(src, path, painting)
        tell(1)


def _stylize_folder(pictures: list[Path], dst: Path, painting: Painting) -> None:
    from cmstream.cli.partial import partial_folder

    with partial_folder(dst) as folder, _progress(dst.name, len(pictures)) as tell:
        for done, path in enumerate(pictures, 1):
            _one_picture(path, folder / path.name, painting)
            tell(done)


def _one_picture(src: Path, dst: Path, painting: Painting) -> None:
    from cmstream.cli.picture import picture_size, read_picture, write_picture

    painting.forget()
    size_px = painting.size_px(*picture_size(src))
    write_picture(dst, painting.paint(read_picture(src, *size_px), size_px).result())


def _stylize_movie(src: Path, dst: Path, painting: Painting) -> None:
    from cmstream.cli.movie import movie_info, paint_movie
    from cmstream.cli.partial import partial_file

    info = movie_info(src)
    size_px = painting.size_px(info.width_px, info.height_px)
    with partial_file(dst) as path, _progress(src.name, info.frames) as tell:
        note = paint_movie(src, path, size_px, lambda rgb: painting.paint(rgb, size_px), tell)
    if note:
        print(f"note: {note}")


@contextmanager
def _engine(model: str | None, device: str | None) -> Iterator[Engine]:
    from cmstream.cli.loading import load_engine

    engine = load_engine(model, device)
    try:
        yield engine
    finally:
        engine.close()


def _look(engine: Engine, patch: Mapping[str, JsonValue]) -> Look:
    from cmstream.core.look import look_of
    from cmstream.core.params import apply_patch, default_params

    specs = engine.info.parameters
    return look_of(apply_patch(specs, default_params(specs), patch))


def _parse_size(text: str) -> tuple[int, int]:
    from cmstream.core.frame import check_size

    match = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", text)
    if match is None:
        raise InvalidInput(f"--size must be WIDTHxHEIGHT, e.g. 768x512, not {text!r}")
    width_px, height_px = int(match[1]), int(match[2])
    check_size(width_px, height_px)
    if width_px % 2 or height_px % 2:
        raise InvalidInput(f"--size {text}: both sides must be even")
    return width_px, height_px


@contextmanager
def _progress(title: str, total: int) -> Iterator[Tell]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(escape(title), total=total or None)
        yield lambda done: progress.update(task, completed=done)
