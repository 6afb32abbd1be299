"""The loop: deterministic, resumable to the bit, bounded by steps or time, and stopped by a loss that is not finite."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from cmstream.core.clock import Clock, FakeClock
from cmstream.core.errors import WeightsRejected
from cmstream.models.config import PainterConfig
from cmstream.models.consistency import TrigFlow
from cmstream.models.painter import PainterNet
from cmstream.models.weights import load_painter, read_tensors
from cmstream.training.loop import Budget, Plan, Report, Training, TrainingDiverged, learning_rate_factor
from cmstream.training.objective import Consistency, Objective, StepLoss
from cmstream.training.pairs import Batch, Pairs

CONFIG = PainterConfig(styles=("oil",), sigma_data=0.5, channels=(8, 12), blocks=(1, 1), embedding=8)
PLAN = Plan(Budget(steps=6), seed=3, batch=4, crop_px=32, warmup_steps=2)


class Ticking:
    """A clock that moves 10 s at every look."""

    def __init__(self) -> None:
        self._fake = FakeClock()

    def now_ns(self) -> int:
        self._fake.advance_ms(10_000)
        return self._fake.now_ns()


@dataclass(frozen=True)
class Poisoned:
    """An objective whose loss breaks at one step."""

    at: int
    gradient_only: bool = False

    @property
    def name(self) -> str:
        return "poisoned"

    def loss(self, net: PainterNet, batch: Batch, progress: float, generator: Generator) -> StepLoss:
        weight = net.exit.weight.square().sum()
        if round(progress * 6) == self.at:
            # The root's slope at zero is infinite though its value is not.
            weight = torch.sqrt(weight * 0) if self.gradient_only else weight * float("nan")
        return StepLoss(weight, torch.tensor(0.1))


def _training(pairs: Pairs, plan: Plan = PLAN, objective: Objective | None = None, clock: Clock | None = None) -> Training:
    return Training(CONFIG, objective or Consistency(TrigFlow(0.5)), pairs, plan, clock or FakeClock())


def _weights(training: Training) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in training.average.state_dict().items()}


def _ignore(report: Report) -> None:
    pass


def test_equal_seeds_train_equal_nets(pairs: Pairs, tmp_path: Path) -> None:
    nets = []
    for name in ("a", "b"):
        training = _training(pairs)
        training.run(tmp_path / f"{name}.safetensors", _ignore)
        nets.append(_weights(training))
    assert all(torch.equal(nets[0][name], nets[1][name]) for name in nets[0])
    other = _training(pairs, replace(PLAN, seed=4))
    assert not torch.equal(other.average.entry.weight, nets[0]["entry.weight"])


def test_an_interrupted_and_resumed_training_ends_in_the_same_net(pairs: Pairs, tmp_path: Path) -> None:
    whole = _training(pairs)
    whole.run(tmp_path / "whole.safetensors", _ignore)
    checkpoint = tmp_path / "parts.safetensors"

    def interrupt(report: Report) -> None:
        if report.place.step == 3:
            first.save(checkpoint)
            raise KeyboardInterrupt

    first = _training(pairs)
    with pytest.raises(KeyboardInterrupt):
        first.run(checkpoint, interrupt)
    second = _training(pairs)
    second.resume(checkpoint)
    assert second.place.step == 3
    second.run(checkpoint, _ignore)
    assert second.place.step == 6
    for name, tensor in _weights(whole).items():
        assert torch.equal(tensor, _weights(second)[name]), name


def test_it_learns(pairs: Pairs, tmp_path: Path) -> None:
    losses: list[float] = []
    plan = replace(PLAN, budget=Budget(steps=60), learning_rate=3e-3)
    _training(pairs, plan).run(tmp_path / "c.safetensors", lambda report: losses.append(report.loss))
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


def test_time_ends_a_training_and_is_carried_over_by_a_checkpoint(pairs: Pairs, tmp_path: Path) -> None:
    plan = replace(PLAN, budget=Budget(minutes=1))
    checkpoint = tmp_path / "c.safetensors"
    training = _training(pairs, plan, clock=Ticking())
    training.run(checkpoint, _ignore)
    assert training.place.step == 6
    assert training.place.elapsed_s == pytest.approx(60)
    again = _training(pairs, plan, clock=Ticking())
    again.resume(checkpoint)
    again.run(checkpoint, _ignore)
    assert again.place.step == 6


def test_checkpoints_are_written_on_the_way(pairs: Pairs, tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"
    seen: list[bool] = []
    plan = replace(PLAN, checkpoint_every_s=25.0)
    _training(pairs, plan, clock=Ticking()).run(checkpoint, lambda report: seen.append(checkpoint.exists()))
    assert seen == [False, False, True, True, True, True]


@pytest.mark.parametrize("gradient_only", [False, True])
def test_what_is_not_finite_stops_the_training_with_advice_and_keeps_the_weights(
    pairs: Pairs, tmp_path: Path, gradient_only: bool
) -> None:
    training = _training(pairs, objective=Poisoned(at=2, gradient_only=gradient_only))
    with pytest.raises(TrainingDiverged, match="at step 2.*--learning-rate"):
        training.run(tmp_path / "c.safetensors", _ignore)
    assert training.place.step == 2
    assert all(torch.isfinite(tensor).all() for tensor in _weights(training).values())


def test_a_checkpoint_of_another_training_is_refused_with_the_difference(pairs: Pairs, tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"
    _training(pairs).save(checkpoint)
    with pytest.raises(WeightsRejected, match="seed 3, not 9"):
        _training(pairs, replace(PLAN, seed=9)).resume(checkpoint)
    with pytest.raises(WeightsRejected, match="objective 'consistency', not 'poisoned'"):
        _training(pairs, objective=Poisoned(at=1)).resume(checkpoint)


def test_a_damaged_checkpoint_and_a_model_are_refused(pairs: Pairs, tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"
    training = _training(pairs)
    training.save(checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(WeightsRejected):
        _training(pairs).resume(checkpoint)
    training.export(checkpoint)
    with pytest.raises(WeightsRejected, match="not a training checkpoint"):
        _training(pairs).resume(checkpoint)


def test_the_export_is_the_averaged_net_and_says_how_it_was_made(pairs: Pairs, tmp_path: Path) -> None:
    training = _training(pairs)
    training.run(tmp_path / "c.safetensors", _ignore)
    out = tmp_path / "model.safetensors"
    training.export(out)
    model = load_painter(out)
    for name, tensor in model.net.state_dict().items():
        assert torch.equal(tensor, _weights(training)[name].half().float())
    metadata = read_tensors(out).metadata
    assert metadata["objective"] == "consistency"
    assert metadata["steps"] == "6"


def test_the_learning_rate_warms_up_holds_and_falls() -> None:
    assert learning_rate_factor(0, 100, 0.0) == pytest.approx(0.01)
    assert learning_rate_factor(99, 100, 0.1) == 1
    assert learning_rate_factor(5000, 100, 0.4) == pytest.approx(1)
    assert learning_rate_factor(5000, 100, 0.7) == pytest.approx(0.51)
    assert learning_rate_factor(5000, 100, 1.0) == pytest.approx(0.02)
