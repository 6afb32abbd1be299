"""Measures the embedded painter beside the same-size regression: `python -m cmstream.cli.measure --sheet sheet.png`.

Prints a Markdown table, so that the model card is its output.
"""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cmstream.training.exhibit import Row

COLUMNS = ("photograph", "model", "same-z PSNR, dB", "detail ratio", "stroke correlation", "edge F1", "diversity")


def measure(
    model: Annotated[Path | None, typer.Option(help="Weights to measure; the embedded ones by default.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="The regression beside it; the embedded one by default.")] = None,
    style: Annotated[str, typer.Option(help="The painter they learned.")] = "oil",
    size: Annotated[int, typer.Option(min=64, max=2048, help="Side of the photographs in pixels, a multiple of 16.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    sheet: Annotated[Path | None, typer.Option(help="Write the pictures here: source, painter, one step, regression.")] = None,
) -> None:
    """Score the painter and its regression baseline against the painting of the same noise, on photographs."""
    from cmstream.models.registry import embedded_path
    from cmstream.models.weights import load_painter
    from cmstream.training.exhibit import exhibit

    shown = exhibit(
        {
            "one step": load_painter(model or embedded_path("painter")),
            "regression": load_painter(baseline or embedded_path("painter_regression")),
        },
        style,
        size,
        seed,
    )
    print(table(shown.rows))
    if sheet is not None:
        from cmstream.cli.picture import write_picture

        write_picture(sheet, shown.sheet)


def table(rows: tuple[Row, ...]) -> str:
    """The rows as Markdown, each model's mean at the end."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [_line(row.photograph, row.model, _numbers(row)) for row in rows]
    for model in dict.fromkeys(row.model for row in rows):
        columns = zip(*(_numbers(row) for row in rows if row.model == model), strict=True)
        lines.append(_line("**mean**", model, tuple(mean(column) for column in columns)))
    return "\n".join(lines)


def _numbers(row: Row) -> tuple[float, ...]:
    s = row.scores
    return (s.psnr_db, s.detail_ratio, s.stroke_correlation, s.edge_f1, s.diversity)


def _line(photograph: str, model: str, numbers: tuple[float, ...]) -> str:
    psnr_db, *rest = numbers
    return f"| {photograph} | {model} | {psnr_db:.1f} | " + " | ".join(f"{value:.2f}" for value in rest) + " |"


if __name__ == "__main__":
    typer.run(measure)
