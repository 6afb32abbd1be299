"""The pictures of a report: distributions of latency, age under overload, and what more streams bring. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cmstream.bench.percentiles import Curve
from cmstream.bench.report import GrpcResult, OverloadResult, Report, StreamsResult, WebRtcResult
from cmstream.core.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OURS, THEIRS, WORST = "#1f6f8b", "#9a9a9a", "#c8553d"
SIZE_INCHES = (7.2, 4.2)
DPI = 130


def check_plots() -> None:
    """Raises ConfigurationError when plots cannot be drawn, before anything is measured for them."""
    try:
        import matplotlib  # noqa: F401 - only whether it is there
    except ModuleNotFoundError:
        raise ConfigurationError("--plots needs matplotlib; run: pip install 'cmstream[bench]'") from None


def draw(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write a PNG for every part of the report that has a picture; says which. Makes the folder."""
    check_plots()
    folder.mkdir(parents=True, exist_ok=True)
    figures = [(f"grpc-{one.engine}", _grpc(one)) for one in report.grpc]
    figures += [("webrtc", _webrtc(report.webrtc))] if report.webrtc else []
    figures += [("streams", _streams(report.streams))] if report.streams else []
    figures += [(f"overload-{one.engine}", _overload(one)) for one in report.overload]
    paths: list[Path] = []
    for name, figure in figures:
        figure.text(0.99, 0.01, f"{report.hardware}; cmstream {report.cmstream}", ha="right", fontsize=7, color="#666666")
        paths.append(folder / f"{_file_name(name)}.png")
        figure.savefig(paths[-1], dpi=DPI)
    return tuple(paths)


def _file_name(name: str) -> str:
    """A model may be named by its path."""
    return Path(name).stem if "/" in name else name


def _grpc(result: GrpcResult) -> Figure:
    figure, axes = _figure(f"gRPC round trip, raw {result.width_px}×{result.height_px}, engine {result.engine}")
    _distribution(axes, result.round_trip_curve_ms, "cmstream", OURS, "-")
    _distribution(axes, result.echo_curve_ms, "bare grpc.aio echo", THEIRS, "-")
    return _finished(figure, axes, "ms", "share of frames, %")


def _webrtc(results: tuple[WebRtcResult, ...]) -> Figure:
    first = results[0]
    figure, axes = _figure(
        f"WebRTC glass to glass, {first.width_px}×{first.height_px}, {first.sent_hz:g} fps, model {Path(first.engine).stem}"
    )
    for result, line in zip(results, ("-", "--", ":"), strict=False):
        _distribution(axes, result.cmstream.glass_curve_ms, f"cmstream, {result.codec}", OURS, line)
        _distribution(axes, result.echo.glass_curve_ms, f"plain aiortc echo, {result.codec}", THEIRS, line)
    return _finished(figure, axes, "ms", "share of frames, %")


def _streams(results: tuple[StreamsResult, ...]) -> Figure:
    figure, axes = _figure(
        f"Streams at once, {results[0].width_px}×{results[0].height_px}, model {Path(results[0].engine).stem}"
    )
    counts = [one.streams for one in results]
    axes.plot(counts, [one.fps for one in results], "o-", color=OURS, label="all streams together")
    each = [one.fps / one.streams for one in results]
    below = [mean * (1 - one.least_share) for mean, one in zip(each, results, strict=True)]
    above = [mean * (one.most_share - 1) for mean, one in zip(each, results, strict=True)]
    axes.errorbar(counts, each, yerr=[below, above], fmt="s--", color=WORST, capsize=4, label="each stream, least to most")
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_ylim(bottom=0)
    return _finished(figure, axes, "streams", "frames a second")


def _overload(result: OverloadResult) -> Figure:
    figure, axes = _figure(
        f"Age under overload: {result.sent_hz:.0f} fps sent, {result.server_fps:.0f} styled, model {Path(result.engine).stem}"
    )
    at_s = [one.at_s for one in result.moments]
    axes.plot(at_s, [one.p50_ms for one in result.moments], color=OURS, label="median")
    axes.plot(at_s, [one.worst_ms for one in result.moments], color=WORST, linewidth=0.9, label="oldest")
    axes.set_ylim(bottom=0)
    return _finished(figure, axes, "s since the warm-up", "age of delivered frames, ms")


def _distribution(axes: Axes, curve_ms: Curve, label: str, colour: str, line: str) -> None:
    """A cumulative distribution up to a little beyond its 95th percentile: a hiccup would squeeze all else to the left."""
    axes.plot(curve_ms, range(len(curve_ms)), line, color=colour, label=f"{label}: p50 {curve_ms[50]:.1f} ms")
    right = max(axes.get_xlim()[1] if len(axes.lines) > 1 else 0.0, 1.2 * curve_ms[95])
    axes.set_xlim(0, right)
    axes.set_ylim(0, 100)


def _figure(title: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # without pyplot there is no window system to ask for

    figure = Figure(figsize=SIZE_INCHES)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11, loc="left")
    return figure, axes


def _finished(figure: Figure, axes: Axes, x: str, y: str) -> Figure:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    return figure
