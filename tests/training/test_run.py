"""`cmstream train`, from the command line to the file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cmstream.cli.app import run
from cmstream.models.registry import embedded_path
from cmstream.models.weights import load_painter, read_tensors


def _train(folder: Path, *more: str) -> int:
    out = folder / "mine.safetensors"
    small = ["--scenes", "16", "--batch", "2", "--cache", str(folder / "pairs"), "--threads", "1"]
    return run(["train", "--out", str(out), *small, *more])


def test_it_trains_writes_a_model_and_goes_on_with_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _train(tmp_path, "--steps", "2") == 0
    assert "after 2 steps" in capsys.readouterr().out
    assert load_painter(tmp_path / "mine.safetensors").spec.styles == ("oil",)
    assert _train(tmp_path, "--steps", "4") == 1
    assert "--resume" in capsys.readouterr().err
    assert _train(tmp_path, "--steps", "4", "--resume") == 0
    assert "after 4 steps" in capsys.readouterr().out
    assert read_tensors(tmp_path / "mine.safetensors").metadata["steps"] == "4"
    assert _train(tmp_path, "--steps", "4", "--resume") == 0
    assert "over already" in capsys.readouterr().out


def test_the_baseline_knows_that_it_has_no_noise(tmp_path: Path) -> None:
    assert _train(tmp_path, "--steps", "1", "--objective", "regression") == 0
    assert not load_painter(tmp_path / "mine.safetensors").config.uses_noise


@pytest.mark.timeout(180)
def test_a_diffusion_model_is_trained_and_then_distilled(tmp_path: Path) -> None:
    slow, fast = tmp_path / "slow", tmp_path / "fast"
    slow.mkdir()
    fast.mkdir()
    assert _train(slow, "--steps", "1", "--objective", "diffusion") == 0
    assert _train(fast, "--steps", "1", "--teacher", str(slow / "mine.safetensors")) == 0
    assert read_tensors(fast / "mine.safetensors").metadata["objective"] == "distillation"
    assert (fast / "mine.sheet.jpg").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--objective", "magic"], "consistency, uncoupled"),
        (["--style", "crayon"], "choose from oil"),
        (["--style", "oil", "--style", "oil"], "each only once"),
        (["--net", "xl"], "choose from s, m"),
        (["--resume"], "nothing to resume"),
        (["--objective", "distillation"], "needs the weights of a diffusion model"),
        (["--teacher", str(embedded_path("painter"))], "is no diffusion model"),
    ],
)
def test_an_impossible_order_is_one_clear_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert _train(tmp_path, "--steps", "1", *arguments) == 1
    error = capsys.readouterr().err
    assert told in error
    assert len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_training_on_a_gpu_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert _train(tmp_path, "--steps", "1", "--device", "cuda") == 1
    assert "--device cpu" in capsys.readouterr().err


def test_one_net_learns_several_styles_and_starts_from_another_model(tmp_path: Path) -> None:
    assert _train(tmp_path, "--steps", "1", "--style", "ink", "--style", "comic") == 0
    first = load_painter(tmp_path / "mine.safetensors")
    assert first.spec.styles == ("ink", "comic")
    assert "stroke_scale" in {spec.name for spec in first.spec.parameters}
    (tmp_path / "first.safetensors").write_bytes((tmp_path / "mine.safetensors").read_bytes())
    (tmp_path / "mine.training.safetensors").unlink()
    more = ("--style", "oil", "--style", "ink", "--cache", str(tmp_path / "other"), "--learning-rate", "1e-7")
    assert _train(tmp_path, "--steps", "1", "--init", str(tmp_path / "first.safetensors"), *more) == 0
    second = load_painter(tmp_path / "mine.safetensors")
    torch.testing.assert_close(second.net.entry.weight, first.net.entry.weight, atol=1e-3, rtol=0)
    columns = (second.net.embed_style.weight[:, 1], first.net.embed_style.weight[:, 0])
    torch.testing.assert_close(*columns, atol=1e-3, rtol=0)


def test_a_model_of_another_size_is_no_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _train(tmp_path, "--steps", "1", "--net", "m", "--init", str(embedded_path("painter"))) == 1
    assert "another size" in capsys.readouterr().err
    assert not (tmp_path / "mine.safetensors").exists()


def test_the_output_must_be_safetensors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--out", str(tmp_path / "model.pt"), "--steps", "1"]) == 1
    assert "must end in .safetensors" in capsys.readouterr().err


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "cmstream train --out" in shown
    assert "--resume" in shown
