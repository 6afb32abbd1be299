"""`cmstream bench`: measures this machine and prints tables, or JSON to keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from cmstream.cli.serve import Device, ModelName

if TYPE_CHECKING:
    from rich.table import Table

    from cmstream.bench.report import EngineResult, GrpcResult, Percentiles, Report, RunnerResult

Row: TypeAlias = tuple[str | float, ...]


def bench(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    seconds: Annotated[float, typer.Option(min=0.2, max=600, help="How long each figure is measured.")] = 4.0,
    engine_only: Annotated[bool, typer.Option("--engine-only", help="Leave gRPC out.")] = False,
    model: ModelName = None,
    device: Device = None,
) -> None:
    """Measure this machine: the engine at three sizes, every form of the model on a CPU, and gRPC against a bare echo."""
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

    console, on = Console(highlight=False, markup=False), report.hardware
    console.print(f"cmstream {report.cmstream}, torch {on.torch}, Python {on.python}")
    console.print(", ".join((f"{on.cpu}, {on.cores} cores", *on.cuda)))
    if report.engine:
        first = report.engine[0]
        console.print(
            f"\nEngine: {first.model} on {first.device} in {first.precision}; ms a frame, batch {first.batch} for frames/s"
        )
        rows: list[Row] = [
            (_size(one), one.fps, *_three(one.latency_ms), *(stage.p50 for stage in one.stages_ms.values()))
            for one in report.engine
        ]
        console.print(_table(("size", "frames/s", "p50", "p95", "p99", *(f"{stage} p50" for stage in first.stages_ms)), rows))
    if report.runners:
        console.print(
            f"\nForms of the model on {report.runners[0].threads} threads, in turns: ms a frame, bytes in, bytes out; "
            "PSNR in dB against the first"
        )
        forms = [(one.runner, _size(one), one.fps, *_three(one.latency_ms), _psnr(one)) for one in report.runners]
        console.print(_table(("form", "size", "frames/s", "p50", "p95", "p99", "PSNR"), forms))
    if report.grpc:
        console.print("\ngRPC to another process: raw RGB, one frame in flight, ms a round trip, beside a bare echo")
        trips = [
            (f"{one.engine} {_size(one)}", *_three(one.round_trip_ms), one.echo_ms.p50, one.ratio_p50) for one in report.grpc
        ]
        console.print(_table(("engine", "p50", "p95", "p99", "echo p50", "ratio"), trips))


def _psnr(result: RunnerResult) -> str | float:
    return "equal" if result.psnr_db is None else result.psnr_db


def _size(result: EngineResult | RunnerResult | GrpcResult) -> str:
    return f"{result.width_px}×{result.height_px}"


def _three(ms: Percentiles) -> tuple[float, float, float]:
    return ms.p50, ms.p95, ms.p99


def _table(headings: Sequence[str], rows: Sequence[Row]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, str) else f"{cell:.4g}" for cell in row))
    return table
