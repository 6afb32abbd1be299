"""The benchmark of latent models, on a CPU with tiny networks: whole and honest, if not fast."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer import Exit

from cmstream.bench.hardware import hardware
from cmstream.bench.latent_bench import Compilers, LatentCourse, measure_latent
from cmstream.bench.latent_report import (
    ALONE,
    DOCUMENTED,
    DOCUMENTED_COMPILED,
    KEEPING_EDGES,
    LOOP,
    OURS,
    OURS_COMPILED,
    TINY,
    TINY_COMPILED,
    LatentFigure,
    LatentResult,
)
from cmstream.bench.percentiles import Percentiles
from cmstream.cli.gpu_latent import gpu_latent
from cmstream.core.errors import InvalidInput

pytestmark = pytest.mark.timeout(300)
"""The run of all contestants takes minutes where other work runs beside it."""

COURSE = LatentCourse((64,), (2,), 0.01)
RUN = {OURS, OURS_COMPILED, KEEPING_EDGES, LOOP, TINY, DOCUMENTED}


def as_it_is(function: Any) -> Any:
    return function


def broken(function: Any) -> Any:
    raise RuntimeError("no compiler\nhere")


@pytest.fixture(scope="module")
def result() -> LatentResult:
    """Of a run in which diffusers' compiler is broken."""
    return measure_latent("cpu", "float32", "tiny", COURSE, Compilers(theirs=broken, ours=as_it_is))


def test_every_contestant_runs_every_case(result: LatentResult) -> None:
    found = {(each.contestant, each.side_px, each.batch, each.has_codec) for each in result.figures}
    cases = {(64, 2, codec) for codec in (False, True)}
    assert found == {(ALONE, 64, 2, False)} | {(name, *case) for name in RUN for case in cases}
    assert result.device == "cpu"


def test_shares_of_the_limit_are_operations_by_the_rate_that_was_measured(result: LatentResult) -> None:
    gflop = sum(result.gflop[64].values())
    assert gflop > 0
    assert result.matrix_tflops > 0
    for each in result.figures:
        assert each.of_limit == pytest.approx(each.fps * gflop / 1e3 / result.matrix_tflops, rel=0.05, abs=1e-3)
        assert 0 < each.latency_ms.p50 <= each.latency_ms.p95


def test_who_cannot_run_is_named_and_costs_the_others_nothing(result: LatentResult) -> None:
    assert set(result.failed) == {TINY_COMPILED, DOCUMENTED_COMPILED}
    assert f"{TINY_COMPILED} did not run: RuntimeError: no compiler here" in result.falls_short()


def test_several_steps_are_measured_shared_and_frame_after_frame(result: LatentResult) -> None:
    """On a CPU one frame fills the device, so nothing is promised of the gain here."""
    assert [(each.side_px, each.steps) for each in result.steps] == [(64, 2), (64, 4)]
    for each in result.steps:
        assert min(each.alone_fps, each.shared_fps) > 0
        assert each.gain == pytest.approx(each.shared_fps / each.alone_fps, rel=0.05)
        assert each.aging == pytest.approx(each.shared_age_ms.p50 / each.alone_age_ms.p50, abs=1e-3)
        assert each.under_way >= 2
    assert [each["gain"] for each in result.as_json()["steps"]] == [each.gain for each in result.steps]


@pytest.mark.parametrize("strict", [False, True])
def test_the_command_writes_json_and_says_what_falls_short(
    result: LatentResult, strict: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cmstream.bench.latent_bench.measure_latent", lambda *arguments, **named: result)
    out = tmp_path / "new"
    with pytest.raises(Exit) if strict else nullcontext():
        gpu_latent(out, shapes=["tiny"], device="cpu", strict=strict)
    told = json.loads((out / "latent-tiny.json").read_text())
    assert told["hardware"]["cores"] > 0
    assert {each["contestant"] for each in told["figures"]} == {*RUN, ALONE}
    said = capsys.readouterr().out
    assert "cmstream, 64², batch 2, no codec" in said
    assert "  4 steps a frame, 64², one stream: " in said
    assert f"falls short: {DOCUMENTED_COMPILED} did not run" in said


def test_another_shape_is_refused() -> None:
    with pytest.raises(InvalidInput, match="there is no shape 'sd3'; choose from sd-turbo, sdxl-turbo"):
        measure_latent("cpu", "float32", "sd3", COURSE)


def figure(contestant: str, batch: int, fps: float, of_limit: float, side_px: int = 512) -> LatentFigure:
    return LatentFigure(contestant, side_px, batch, False, fps, Percentiles(1, 1, 1), of_limit)


GOOD = LatentResult(
    hardware(),
    "cuda:0",
    "float16",
    "sd-turbo",
    600.0,
    {},
    (
        figure(OURS, 1, 80, 0.1),
        figure(OURS_COMPILED, 1, 120, 0.2),
        figure(LOOP, 1, 60, 0.1),
        figure(OURS_COMPILED, 8, 300, 0.5),
    ),
)


def test_what_keeps_its_promises_falls_short_of_nothing() -> None:
    assert GOOD.falls_short() == []
    assert replace(GOOD, shape="sdxl-turbo", figures=(figure(OURS, 8, 1, 0.01),)).falls_short() == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (figure(OURS_COMPILED, 1, 85, 0.2), "batch 1 makes 1.42× the loop, not 1.5×"),
        (figure(OURS_COMPILED, 8, 200, 0.39), "batch 8 reaches 0.39 of the matrix limit, not 0.4"),
    ],
)
def test_each_promise_that_is_broken_is_said(changed: LatentFigure, words: str) -> None:
    kept = [each for each in GOOD.figures if (each.contestant, each.batch) != (changed.contestant, changed.batch)]
    assert replace(GOOD, figures=(*kept, changed)).falls_short() == [words]
