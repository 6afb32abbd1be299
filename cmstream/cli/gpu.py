"""`python -m cmstream.cli.gpu`: what the pipeline makes of a GPU, as JSON beside a trace for Perfetto. `make gpu` runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cmstream.cli.serve import Device, ModelName


def gpu(
    out: Annotated[Path, typer.Option(help="Folder for pipeline-N.json and trace-N.json, N being the side in pixels.")],
    sides: Annotated[
        list[int], typer.Option("--side", min=64, max=1024, help="Side of the square frames; may be repeated.")
    ] = [512],  # noqa: B006  # typer copies it
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="How long each figure is measured.")] = 4.0,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 where a promise is not kept.")] = False,
    model: ModelName = None,
    device: Device = None,
) -> None:
    """Measure the pipeline against nothing but evaluations, one stream, and a loop that waits for the device at every frame."""
    from cmstream.bench.pipeline_bench import measure_pipeline
    from cmstream.settings import default_config_path
    from cmstream.settings_loader import load_settings

    settings = load_settings(default_config_path(), {"engine.model": model, "engine.device": device})
    out.mkdir(parents=True, exist_ok=True)
    short = 0
    for side_px in sides:
        result = measure_pipeline(settings.engine, side_px, seconds, out / f"trace-{side_px}.json")
        (out / f"pipeline-{side_px}.json").write_text(json.dumps(result.as_json(), indent=2) + "\n", encoding="utf-8")
        print(
            f"{side_px}²: {result.four_streams_fps:.4g} frames/s of 4 streams, {result.of_compute:.2f} of compute alone, "
            f"{result.four_streams_to_one:.2f}× one stream, {result.to_synchronous_loop:.2f}× a synchronous loop"
        )
        for words in result.falls_short():
            short += 1
            print(f"  falls short: {words}")
    if strict and short:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(gpu)
