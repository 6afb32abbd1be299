"""The report of `cmstream bench` as tables for a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.table import Table

from cmstream.bench.baseline import Comparison
from cmstream.bench.percentiles import Percentiles
from cmstream.bench.report import Report, WebRtcResult

Row: TypeAlias = tuple[str | float, ...]


def print_report(console: Console, report: Report) -> None:
    """What was measured, on what."""
    on = report.hardware
    console.print(f"cmstream {report.cmstream}, torch {on.torch}, Python {on.python}")
    console.print(str(on))
    for part in (_engine, _forms, _grpc, _webrtc, _streams, _overload):
        for title, headings, rows in part(report):
            console.print(f"\n{title}")
            console.print(_table(headings, rows))


def print_comparison(console: Console, compared: Sequence[Comparison]) -> None:
    """Every figure beside the baseline's; a mark and a colour where it left the tolerance."""
    table = _table(("figure", "before", "now", "now/before", ""), ())
    for one in compared:
        verdict, style = ("WORSE", "bold red") if one.regressed else ("better", "green") if one.improved else ("", "")
        table.add_row(one.figure, f"{one.before:.4g}", f"{one.now:.4g}", f"{one.ratio:.2f}", verdict, style=style)
    table.columns[0].justify = "left"
    console.print("\nBeside the baseline")
    console.print(table)


Part: TypeAlias = Iterator[tuple[str, Sequence[str], Sequence[Row]]]


def _engine(report: Report) -> Part:
    if not report.engine:
        return
    first = report.engine[0]
    title = f"Engine: {first.model} on {first.device} in {first.precision}; ms a frame, batch {first.batch} for frames/s"
    rows: list[Row] = [
        (_size(one.width_px, one.height_px), one.fps, *_three(one.latency_ms), *(stage.p50 for stage in one.stages_ms.values()))
        for one in report.engine
    ]
    yield title, ("size", "frames/s", "p50", "p95", "p99", *(f"{stage} p50" for stage in first.stages_ms)), rows


def _forms(report: Report) -> Part:
    if not report.runners:
        return
    title = (
        f"Forms of the model on {report.runners[0].threads} threads, in turns: ms a frame, bytes in and out;\n"
        "PSNR in dB against the first; the engine's speed as a share of its form's, called in a loop"
    )
    rows = [
        (
            one.runner,
            _size(one.width_px, one.height_px),
            one.fps,
            *_three(one.latency_ms),
            "equal" if one.psnr_db is None else one.psnr_db,
            "" if one.of_compute is None else f"{one.of_compute:.0%}",
        )
        for one in report.runners
    ]
    yield title, ("form", "size", "frames/s", "p50", "p95", "p99", "PSNR", "share"), rows


def _grpc(report: Report) -> Part:
    if not report.grpc:
        return
    title = (
        "gRPC to another process: raw RGB, one frame in flight, ms a round trip, beside bare echoes of bytes and of messages;\n"
        "ratio to each, and to that of bytes without the engine's own time"
    )
    rows = [
        (
            f"{_name(one.engine)} {_size(one.width_px, one.height_px)}",
            *_three(one.round_trip_ms),
            one.engine_ms.p50,
            one.echo_ms.p50,
            one.ratio_p50,
            one.server_ratio_p50,
            one.message_echo_ms.p50,
            one.message_ratio_p50,
        )
        for one in report.grpc
    ]
    yield title, ("engine", "p50", "p95", "p99", "engine p50", "bytes p50", "ratio", "without", "messages p50", "ratio"), rows


def _webrtc(report: Report) -> Part:
    if not report.webrtc:
        return
    first = report.webrtc[0]
    size = _size(first.width_px, first.height_px)
    title = f"WebRTC at {size}, {first.sent_hz:g} fps sent: ms from glass to glass, encode and decode at both ends"
    yield title, ("through", "fps", "p50", "p95", "p99", "age at the server", "added"), list(_sides(report.webrtc))
    stages = list(first.stages_ms)
    rows: list[Row] = [(one.codec, *(one.stages_ms.get(stage, 0.0) for stage in stages)) for one in report.webrtc]
    yield "… and where the server spends it, ms p50", ("codec", *stages), rows


def _sides(results: Sequence[WebRtcResult]) -> Iterator[Row]:
    for one in results:
        ours, theirs = one.cmstream, one.echo
        name = f"cmstream, {_name(one.engine)}, {one.codec}"
        yield name, ours.fps, *_three(ours.glass_ms), one.server_age_ms, f"{one.added_p50_ms:+.1f}"
        yield f"plain aiortc echo, {one.codec}", theirs.fps, *_three(theirs.glass_ms), "", ""


def _streams(report: Report) -> Part:
    if not report.streams:
        return
    first = report.streams[0]
    size = _size(first.width_px, first.height_px)
    title = (
        f"Streams at once over gRPC, {_name(first.engine)} at {size}: ms from sending to result;\n"
        "shares of an equal share, Jain's fairness"
    )
    rows = [
        (str(one.streams), one.fps, one.scaling, one.least_share, one.most_share, one.fairness, *_three(one.age_ms))
        for one in report.streams
    ]
    yield title, ("streams", "frames/s", "of one's", "least", "most", "fairness", "p50", "p95", "p99"), rows


def _overload(report: Report) -> Part:
    for one in report.overload:
        dropped = ", ".join(f"{count} {reason}" for reason, count in one.dropped.items()) or "none"
        title = (
            f"Overload, {_name(one.engine)} at {_size(one.width_px, one.height_px)}: {one.sent_hz:.1f} fps sent, "
            f"{one.server_fps:.1f} styled; ms from sending to result\n"
            f"{one.sent} sent, {one.delivered} delivered, dropped: {dropped}; {one.unaccounted} unaccounted\n"
            f"slope of age {one.slope_ms_per_s:+.3f} ± {one.slope_within_ms_per_s:.3f} ms/s; "
            f"memory {one.memory_first_mb:.0f} → {one.memory_last_mb:.0f} MB"
        )
        rows: list[Row] = [("first third", *_three(one.first_third_ms)), ("last third", *_three(one.last_third_ms))]
        yield title, ("", "p50", "p95", "p99"), rows


def _size(width_px: int, height_px: int) -> str:
    return f"{width_px}×{height_px}"


def _name(engine: str) -> str:
    """A model may be named by its path."""
    return Path(engine).stem


def _three(ms: Percentiles) -> tuple[float, float, float]:
    return ms.p50, ms.p95, ms.p99


def _table(headings: Sequence[str], rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, str) else f"{cell:.4g}" for cell in row))
    return table
