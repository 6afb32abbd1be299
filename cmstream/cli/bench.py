"""`cmstream bench`: measures this machine and prints tables, or JSON to keep; beside an earlier run, if there is one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmstream.cli.serve import Device, ModelName

if TYPE_CHECKING:
    from cmstream.bench.baseline import Comparison
    from cmstream.bench.report import Report
    from cmstream.bench.run import Measurement

EVERYTHING = "all"
COLUMNS = 100


def bench(
    what: Annotated[
        list[str] | None,
        typer.Argument(help="engine, grpc, webrtc, streams, overload, or all of them.", show_default=EVERYTHING),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the JSON to this file, too.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Draw PNGs into this folder (needs cmstream[bench]).")] = None,
    baseline: Annotated[Path | None, typer.Option(help="JSON of an earlier run on this hardware to compare with.")] = None,
    tolerance: Annotated[float, typer.Option(min=0, max=1000, help="Percent that a figure may be worse.")] = 10.0,
    fail_on_regression: Annotated[bool, typer.Option("--fail-on-regression", help="Exit 1 if a figure is.")] = False,
    seconds: Annotated[float, typer.Option(min=0.2, max=3600, help="How long each figure is measured.")] = 4.0,
    engine_only: Annotated[bool, typer.Option("--engine-only", help="The same as: bench engine.")] = False,
    model: ModelName = None,
    device: Device = None,
) -> None:
    """Measure this machine: engine, gRPC, WebRTC, many streams, overload; each beside what it should be compared with."""
    import json

    from cmstream.bench.plots import check_plots, draw
    from cmstream.bench.run import Measurement, run_bench
    from cmstream.settings import default_config_path
    from cmstream.settings_loader import load_settings

    asked = {Measurement.ENGINE} if engine_only else _asked(what or [])
    if plots is not None:
        check_plots()
    before = _baseline(baseline, fail_on_regression)
    settings = load_settings(default_config_path(), {"engine.model": model, "engine.device": device})
    report = run_bench(settings, seconds, asked, tell=_tell)
    text = json.dumps(report.as_json(), indent=2, ensure_ascii=False)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n", encoding="utf-8")
    if plots is not None:
        for path in draw(report, plots):
            typer.echo(f"drawn {path}", err=True)
    compared = _compared(before, report, tolerance / 100)
    if as_json:
        print(text)
    else:
        _print(report, compared)
    if fail_on_regression:
        _fail_on(compared)


def _asked(names: list[str]) -> set[Measurement]:
    from cmstream.bench.run import Measurement

    known = {*(one.value for one in Measurement), EVERYTHING}
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"there is no measurement {name!r}; choose from {', '.join(sorted(known))}.")
    return set(Measurement) if not names or EVERYTHING in names else {Measurement(name) for name in names}


def _baseline(path: Path | None, must_compare: bool) -> Report | None:
    """The earlier report; None without one, or where it says nothing about this machine. Refused before minutes are spent."""
    from cmstream.bench.baseline import load_baseline, other_hardware
    from cmstream.bench.hardware import hardware
    from cmstream.core.errors import InvalidInput

    if path is None:
        if must_compare:
            raise InvalidInput("--fail-on-regression needs --baseline FILE to compare with")
        return None
    report = load_baseline(path)
    refusal = other_hardware(report.hardware, hardware())
    if refusal is None:
        return report
    if must_compare:
        raise InvalidInput(refusal)
    typer.echo(f"warning: {refusal}", err=True)
    return None


def _compared(before: Report | None, now: Report, tolerance: float) -> tuple[Comparison, ...]:
    from cmstream.bench.baseline import compare

    return () if before is None else compare(before, now, tolerance)


def _print(report: Report, compared: tuple[Comparison, ...]) -> None:
    from rich.console import Console

    from cmstream.cli.bench_tables import print_comparison, print_report

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=COLUMNS)  # a file or a pipe has no width of its own
    print_report(console, report)
    if compared:
        print_comparison(console, compared)


def _fail_on(compared: tuple[Comparison, ...]) -> None:
    worse = [one.figure for one in compared if one.regressed]
    if worse:
        typer.echo(f"worse than the baseline: {', '.join(worse)}", err=True)
        raise typer.Exit(1)


def _tell(what: str) -> None:
    typer.echo(f"measuring {what} …", err=True)
