"""`cmstream bench`: measures this machine and prints tables, or JSON to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cmstream.cli.serve import Device, ModelName

if TYPE_CHECKING:
    from cmstream.bench.report import Report


def bench(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    seconds: Annotated[float, typer.Option(min=0.2, max=600, help="How long each figure is measured.")] = 4.0,
    engine_only: Annotated[bool, typer.Option("--engine-only", help="Leave gRPC out.")] = False,
    model: ModelName = None,
    device: Device = None,
) -> None:
    """Measure this machine: the engine at three sizes, and gRPC against a bare echo."""
    import json

    from cmstream.bench.run import run_bench
    from cmstream.settings import default_config_path
    from cmstream.settings_loader import load_settings

    settings = load_settings(default_config_path(), {"engine.model": model, "engine.device": device})
    report = run_bench(settings, seconds, with_grpc=not engine_only, tell=_tell)
    if as_json:
        print(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        _print_tables(report)


def _tell(what: str) -> None:
    typer.echo(f"measuring {what} …", err=True)


def _print_tables(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    console, on = Console(), report.hardware
    console.print(f"cmstream {report.cmstream}, torch {on.torch}, Python {on.python}", highlight=False)
    console.print(", ".join((f"{on.cpu}, {on.cores} cores", *on.cuda)), highlight=False, markup=False)
    if report.engine:
        first = report.engine[0]
        table = Table(title=f"Engine: {first.model} on {first.device} in {first.precision}, ms a frame")
        for heading in ("size", "frames/s", "batch", "p50", "p95", "p99", *(f"{stage} p50" for stage in first.stages_ms)):
            table.add_column(heading, justify="right")
        for one in report.engine:
            ms = one.latency_ms
            figures = (one.fps, one.batch, ms.p50, ms.p95, ms.p99, *(stage.p50 for stage in one.stages_ms.values()))
            table.add_row(f"{one.width_px}×{one.height_px}", *(f"{figure:.4g}" for figure in figures))
        console.print(table)
    if report.grpc:
        table = Table(title="gRPC over loopback, raw RGB, one frame in flight, ms a round trip")
        for heading in ("engine", "size", "p50", "p95", "p99", "echo p50", "ratio"):
            table.add_column(heading, justify="right")
        for trip in report.grpc:
            ms = trip.round_trip_ms
            figures = (ms.p50, ms.p95, ms.p99, trip.echo_ms.p50, trip.ratio_p50)
            table.add_row(trip.engine, f"{trip.width_px}×{trip.height_px}", *(f"{figure:.4g}" for figure in figures))
        console.print(table)
