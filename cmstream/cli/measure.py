"""Measures the embedded painter, style by style, beside its rivals: `python -m cmstream.cli.measure`, or `make measure`.

Writes a table (JSON and Markdown) and contact sheets into a folder. A style that is in there already, measured with the
same models and the same options, is not measured again: an interrupted run goes on where it was.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmstream.cli.partial import partial_file
from cmstream.core.errors import CmstreamError, InvalidInput

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cmstream.training.baselines import Baseline
    from cmstream.training.contestants import Contestant
    from cmstream.training.exhibit import Exhibit
    from cmstream.training.steadiness import Moved
    from cmstream.training.table import Setting, Table

SIZE_PX, QUICK_SIZE_PX = 256, 128
SHEET_PX = 192


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything of a run that styles share."""

    setting: Setting
    everyone: tuple[Contestant, ...]
    exhibits: tuple[Exhibit, ...]
    clips: tuple[tuple[str, Moved], ...]


def measure(
    model: Annotated[Path | None, typer.Option(help="Weights to measure; the embedded ones by default.")] = None,
    baselines: Annotated[Path | None, typer.Option(help="Folder of baselines; the embedded ones by default.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the table and the sheets.")] = Path("out/measure"),
    style: Annotated[list[str] | None, typer.Option(help="Only this style; may be repeated. [default: all of them]")] = None,
    size: Annotated[int | None, typer.Option(min=64, max=1024, help="Side in pixels, a multiple of 16. [default: 256]")] = None,
    scenes: Annotated[int, typer.Option(min=1, max=100, help="Scenes of every family, beside the photographs.")] = 3,
    clips: Annotated[int, typer.Option(min=2, max=100, help="Clips for the warping error.")] = 4,
    seed: Annotated[int, typer.Option(min=0, max=1000, help="Of scenes and noise.")] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="One scene of every family, two clips, 128 px: to see that it runs.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a promise is not kept.")] = False,
) -> None:
    """Measure a model in all its styles beside the painters, its rivals and the source; about a minute a style on two cores."""
    from cmstream.cli.measured import markdown
    from cmstream.models.registry import embedded_path
    from cmstream.training.baselines import FOLDER, open_baselines, open_model
    from cmstream.training.claims import findings
    from cmstream.training.table import joined, table_json

    if quick:
        scenes, clips = 1, 2
    subject, rivals = open_model(model or embedded_path("painter")), open_baselines(baselines or FOLDER)
    styles = _chosen(style, subject)
    side_px = size or (QUICK_SIZE_PX if quick else SIZE_PX)
    if side_px % subject.model.spec.multiple_px:
        raise InvalidInput(f"--size {side_px} must be a multiple of {subject.model.spec.multiple_px}")
    out.mkdir(parents=True, exist_ok=True)
    bench = _prepared(subject, rivals, side_px, scenes, clips, seed)
    table = joined(_measured(bench, styles, out))
    _write(out / "measure.json", table_json(table))
    _write(out / "measure.md", markdown(table))
    _write_sheets(bench, subject, styles, out)
    found = findings(table)
    print(*found, sep="\n")
    print(f"{sum(each.kept for each in found)} of {len(found)} promises kept; see {out / 'measure.md'}")
    if strict and not all(each.kept for each in found):
        raise typer.Exit(1)


def _chosen(asked: list[str] | None, subject: Baseline) -> tuple[str, ...]:
    """The styles to measure. Raises InvalidInput for what the model or this project's painters do not know."""
    from cmstream.training.painters import PAINTERS

    known = [name for name in subject.model.spec.styles if name in PAINTERS]
    unknown = set(asked or subject.model.spec.styles) - set(known)
    if unknown:
        raise InvalidInput(f"there is no painter in {subject.origin.file} to measure {', '.join(sorted(unknown))} against")
    return tuple(asked or known)


def _prepared(subject: Baseline, rivals: Sequence[Baseline], size_px: int, scenes: int, clips: int, seed: int) -> Bench:
    from cmstream.training.contestants import ONE_STEP, contestants
    from cmstream.training.exhibit import clips as draw_clips
    from cmstream.training.exhibit import exhibits
    from cmstream.training.table import Setting

    models = {ONE_STEP: asdict(subject.origin)} | {rival.label: asdict(rival.origin) for rival in rivals}
    return Bench(
        Setting(size_px, seed, scenes, clips, models),
        contestants(subject.model, rivals, size_px),
        tuple(exhibits(size_px, scenes, seed)),
        tuple(draw_clips(size_px, clips, seed)),
    )


def _measured(bench: Bench, styles: Sequence[str], out: Path) -> list[Table]:
    """A table a style, each kept in `out` as soon as it is there and taken from there when it is the same."""
    from cmstream.training.measures import measure as measure_style
    from cmstream.training.measures import work_of
    from cmstream.training.table import Cost, Table, table_json

    costs = {each.label: Cost(each.evaluations, each.gmac) for each in bench.everyone}
    tables = []
    with _progress() as progress:
        for style in styles:
            total = work_of(style, bench.everyone, bench.exhibits, len(bench.clips))
            task = progress.add_task(f"{style:13}", total=total, note="")
            kept = out / "styles" / f"{style}.json"
            if kept.is_file() and (table := _read(kept)).setting == bench.setting:
                progress.update(task, completed=total, note="measured before")
                tables.append(table)
                continue

            def tick(who: str, work: int, task: TaskID = task) -> None:
                progress.update(task, advance=work, note=who)

            rows = measure_style(style, bench.everyone, bench.exhibits, bench.clips, bench.setting.seed, tick)
            tables.append(Table(bench.setting, _machine(), costs, tuple(rows)))
            kept.parent.mkdir(exist_ok=True)
            _write(kept, table_json(tables[-1]))
    return tables


def _read(kept: Path) -> Table:
    from cmstream.training.table import read_table

    try:
        return read_table(kept)
    except ValueError as error:
        raise InvalidInput(f"{error}; delete it, or choose another --out") from error


def _write_sheets(bench: Bench, subject: Baseline, styles: Sequence[str], out: Path) -> None:
    from cmstream.cli.picture import write_picture
    from cmstream.training.contestants import ONE_STEP
    from cmstream.training.sheets import contest_sheet, still_sheet, styles_sheet
    from cmstream.training.table import PAINTER

    photograph, seed = bench.exhibits[0].picture, bench.setting.seed
    for style in styles:
        write_picture(out / f"contest-{style}.jpg", contest_sheet(style, bench.everyone, photograph, seed))
        pair = [(each.label, each.in_style(style)) for each in bench.everyone if each.label in (PAINTER, ONE_STEP)]
        write_picture(out / f"still-{style}.jpg", still_sheet(style, pair, photograph, seed))
    write_picture(out / "styles.jpg", styles_sheet(subject.model, styles, SHEET_PX, seed))


def _write(path: Path, text: str) -> None:
    with partial_file(path) as whole:
        whole.write_text(text, encoding="utf-8")


def _machine() -> str:
    from cmstream.engine.probe import cpu_facts, torch_facts

    cpu, torch = cpu_facts(), torch_facts()
    return f"{cpu.name}, {cpu.cores} cores, torch {torch.version}, {torch.threads} threads"


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True))


if __name__ == "__main__":
    try:
        typer.run(measure)
    except CmstreamError as error:
        print(f"measure: {error}", file=sys.stderr)
        sys.exit(1)
