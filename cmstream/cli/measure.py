"""Measures the embedded painter, style by style, beside its rivals: `python -m cmstream.cli.measure --sheet sheet.png`.

Prints a Markdown table, so that the model card is its output; `--json` keeps every figure.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cmstream.training.exhibit import Row

COLUMNS = {
    "psnr_db": "same-z PSNR, dB",
    "detail_ratio": "detail",
    "stroke_correlation": "strokes",
    "wasserstein": "SWD",
    "edge_f1": "edges",
    "diversity": "diversity",
    "flicker": "flicker",
}


def measure(
    model: Annotated[Path | None, typer.Option(help="Weights to measure; the embedded ones by default.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="The regression beside it; the embedded one by default.")] = None,
    size: Annotated[int, typer.Option(min=64, max=2048, help="Side of the photographs in pixels, a multiple of 16.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    sheet: Annotated[
        Path | None, typer.Option(help="Write the pictures here: one style a row, painter and one step by turns.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure here, photograph by photograph.")] = None,
) -> None:
    """Score the painter in every style against the painting of the same noise, on photographs."""
    from cmstream.models.registry import embedded_path
    from cmstream.models.weights import load_painter
    from cmstream.training.exhibit import exhibit

    shown = exhibit(
        load_painter(model or embedded_path("painter")),
        load_painter(baseline or embedded_path("painter_regression")),
        size,
        seed,
    )
    print(table(shown.rows))
    if json_file is not None:
        json_file.write_text(json.dumps({"size_px": size, "seed": seed, "rows": [asdict(row) for row in shown.rows]}, indent=1))
    if sheet is not None:
        from cmstream.cli.picture import write_picture

        write_picture(sheet, shown.sheet)


def table(rows: tuple[Row, ...]) -> str:
    """Each model in each style as a line of Markdown, means over the photographs."""
    lines = [f"| style | model | {' | '.join(COLUMNS.values())} | ms |", "|---" * (len(COLUMNS) + 3) + "|"]
    for style, model in dict.fromkeys((row.style, row.model) for row in rows):
        group = [row for row in rows if (row.style, row.model) == (style, model)]
        figures = {name: mean(getattr(row.scores, name) for row in group) for name in COLUMNS}
        # The painter is its own target: the figure says nothing.
        psnr_db = "∞" if figures["psnr_db"] > 100 else f"{figures['psnr_db']:.1f}"
        rest = [f"{figures[name]:.2f}" for name in COLUMNS if name != "psnr_db"]
        lines.append(f"| {style} | {model} | {psnr_db} | {' | '.join(rest)} | {mean(row.ms for row in group):.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(measure)
