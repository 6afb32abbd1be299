"""The README's table of measured figures, made from a report, and where in the README it stands. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cmstream.bench.percentiles import Percentiles
from cmstream.bench.report import Report
from cmstream.core.errors import InvalidInput

BEGIN, END = "<!-- measured: begin (make bench) -->", "<!-- measured: end -->"


def is_whole(report: Report) -> bool:
    """Whether it has every part that the table shows."""
    return all((report.engine, report.grpc, report.webrtc, report.streams, report.overload))


def markdown(report: Report) -> str:
    """The table with the machine it was measured on and the command that measures it."""
    on = report.hardware
    lines = [f"{on}; torch {on.torch}, Python {on.python}. `make bench` measures your machine.", "", "| | p50 | p95 | p99 |"]
    lines += ["|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in _rows(report))]
    return "\n".join(lines)


def replaced(readme: str, table: str) -> str:
    """The README with `table` between its markers. Raises InvalidInput when they are not there, once each and in order."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise InvalidInput(f"the README needs {BEGIN} and {END}, once each, around its table")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def _rows(report: Report) -> Iterator[tuple[str, str, str, str]]:
    for engine in report.engine:
        size = f"{engine.width_px}×{engine.height_px}"
        yield _row(f"engine alone, {size}, ms ({engine.fps:.0f} frames/s in {engine.precision})", *_three(engine.latency_ms))
    for webrtc in report.webrtc:
        size = f"{webrtc.width_px}×{webrtc.height_px}"
        ours, theirs = webrtc.cmstream, webrtc.echo
        yield _row(f"WebRTC glass to glass, {webrtc.codec}, {size}, ms ({ours.fps:.1f} fps)", *_three(ours.glass_ms))
        yield _row(f"… through a plain aiortc echo that styles nothing ({theirs.fps:.1f} fps)", *_three(theirs.glass_ms))
    for grpc in report.grpc:
        size = f"{grpc.width_px}×{grpc.height_px}"
        yield _row(f"gRPC round trip, raw {size}, engine `{_name(grpc.engine)}`, ms", *_three(grpc.round_trip_ms))
        yield _row("… through a bare grpc.aio echo of those bytes", *_three(grpc.echo_ms))
        yield _row("… through a bare grpc.aio echo of those messages", *_three(grpc.message_echo_ms))
    for many in report.streams:
        each = "stream" if many.streams == 1 else "streams"
        label = f"{many.streams} {each} over gRPC, ms ({many.fps:.0f} frames/s together, least share {many.least_share:.0%})"
        yield _row(label, *_three(many.age_ms))
    for overload in report.overload:
        rates = f"{overload.sent_hz:.0f} fps sent, {overload.server_fps:.0f} styled, every drop counted"
        rates = rates if overload.unaccounted == 0 else f"{rates} but {overload.unaccounted}"
        yield _row(f"age under overload, ms: first third ({rates})", *_three(overload.first_third_ms))
        slope = f"{overload.slope_ms_per_s:+.2f} ± {overload.slope_within_ms_per_s:.2f} ms a second"
        yield _row(f"… last third (slope {slope})", *_three(overload.last_third_ms))


def _row(label: str, p50: float, p95: float, p99: float) -> tuple[str, str, str, str]:
    return label, f"{p50:.1f}", f"{p95:.1f}", f"{p99:.1f}"


def _three(ms: Percentiles) -> tuple[float, float, float]:
    return ms.p50, ms.p95, ms.p99


def _name(engine: str) -> str:
    return Path(engine).stem
