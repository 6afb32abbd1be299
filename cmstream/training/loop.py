"""The training loop: steps, moving average, schedule, checkpoints, and an end by steps or by time.

Synchronous, on the calling thread; tells its caller how it goes and prints nothing. A loss that is not finite stops it:
training on would only spend hours on a broken net.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor
from torch.nn.utils import clip_grad_norm_

from cmstream.core.clock import NS_PER_S, Clock
from cmstream.core.errors import CmstreamError, WeightsRejected
from cmstream.models.config import PainterConfig
from cmstream.models.painter import PainterModel, PainterNet, in_channels_last
from cmstream.models.weights import save_painter
from cmstream.training.checkpoint import Live, Place, restore_checkpoint, save_checkpoint
from cmstream.training.losses import psnr_db
from cmstream.training.objective import Objective
from cmstream.training.pairs import Pairs


class TrainingDiverged(CmstreamError):
    """The loss is not finite; the last checkpoint is from before."""


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop: after `steps` or after `minutes` of training, whichever is set (both: whichever comes first)."""

    steps: int | None = None
    minutes: float | None = None

    def progress(self, place: Place) -> float:
        """How much is spent, in [0,1]."""
        by_steps = place.step / self.steps if self.steps else 0.0
        by_time = place.elapsed_s / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_steps, by_time))


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train."""

    budget: Budget
    seed: int = 0
    device: str = "cpu"
    batch: int = 16
    crop_px: int = 96
    learning_rate: float = 8e-4
    warmup_steps: int = 400
    clip_norm: float = 0.5
    average_decay: float = 0.999
    checkpoint_every_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Report:
    """How the training goes, after every step."""

    place: Place
    progress: float
    loss: float
    psnr_db: float
    """Of the served point on training crops, averaged over about the last hundred steps."""


class Training:
    """One training of one net. `run` goes on from wherever it stands."""

    def __init__(self, config: PainterConfig, objective: Objective, pairs: Pairs, plan: Plan, clock: Clock) -> None:
        self._device = torch.device(plan.device)
        self._config, self._objective, self._pairs, self._plan, self._clock = config, objective, pairs, plan, clock
        self._generator = Generator().manual_seed(plan.seed)
        # Modules draw their first weights from torch's global generator; fork it so that nobody else's draws change.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            self._net = in_channels_last(PainterNet(config).to(self._device))
        self.average = copy.deepcopy(self._net).requires_grad_(False)
        self._optimizer = torch.optim.AdamW(self._net.parameters(), plan.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3)
        self.place = Place(0, 0.0)
        self._mean_square: float | None = None

    def __repr__(self) -> str:
        return f"<Training {self._objective.name} step {self.place.step} after {self.place.elapsed_s:.0f} s>"

    @property
    def _live(self) -> Live:
        return Live(self._net, self.average, self._optimizer, self._generator)

    @property
    def _identity(self) -> dict[str, object]:
        return {
            "objective": self._objective.name,
            "config": asdict(self._config),
            "pairs": asdict(self._pairs.recipe),
            "seed": self._plan.seed,
            "batch": self._plan.batch,
            "crop_px": self._plan.crop_px,
        }

    def resume(self, checkpoint: Path) -> None:
        """Take up the training that `checkpoint` is of. Raises WeightsRejected if that is another one."""
        self.place = restore_checkpoint(checkpoint, self._live, self._identity)

    def start_from(self, model: PainterModel) -> None:
        """Take over the weights of `model`, and of its styles those that are trained here. Raises WeightsRejected."""
        known, wanted = model.config.styles, self._config.styles
        state = dict(model.net.state_dict())
        rows = self._net.embed_style.weight.detach().clone()  # [E,S]
        if rows.shape[0] == state["embed_style.weight"].shape[0]:
            for column, style in enumerate(wanted):
                if style in known:
                    rows[:, column] = state["embed_style.weight"][:, known.index(style)]
        state["embed_style.weight"] = rows
        try:
            self._net.load_state_dict(state)
        except RuntimeError as error:
            raise WeightsRejected(f"{model!r} is of another size than the net that is trained: {str(error)[:200]}") from error
        self.average.load_state_dict(self._net.state_dict())

    def save(self, checkpoint: Path) -> None:
        """Write the state to `checkpoint`, atomically."""
        save_checkpoint(checkpoint, self._live, self.place, self._identity)

    def export(self, path: Path) -> None:
        """Write the averaged weights as a model that can be served."""
        about = {
            "objective": self._objective.name,
            "steps": str(self.place.step),
            "minutes": f"{self.place.elapsed_s / 60:.1f}",
            "pairs": json.dumps(asdict(self._pairs.recipe)),
            "plan": json.dumps(asdict(self._plan)),
        }
        save_painter(path, self._config, self.average.state_dict(), about)

    def run(self, checkpoint: Path, on_report: Callable[[Report], None]) -> None:
        """Train until the budget is spent, saving to `checkpoint` now and then and at the end. Raises TrainingDiverged.

        An exception, KeyboardInterrupt too, leaves the last checkpoint for `resume`.
        """
        saved_ns = last_ns = self._clock.now_ns()
        while (progress := self._plan.budget.progress(self.place)) < 1:
            loss = self._step(progress)
            now_ns = self._clock.now_ns()
            self.place = Place(self.place.step + 1, self.place.elapsed_s + (now_ns - last_ns) / NS_PER_S)
            last_ns = now_ns
            if now_ns - saved_ns > self._plan.checkpoint_every_s * NS_PER_S:
                self.save(checkpoint)
                saved_ns = now_ns
            on_report(Report(self.place, self._plan.budget.progress(self.place), loss, psnr_db(self._mean_square or 4.0)))
        self.save(checkpoint)

    def _step(self, progress: float) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = self._plan.learning_rate * learning_rate_factor(self.place.step, self._plan.warmup_steps, progress)
        clips = self._plan.batch // 8
        batch = self._pairs.sample(self._plan.batch, self._plan.crop_px, self._generator, clips).to(self._device)
        step = self._objective.loss(self._net, batch, progress, self._generator)
        loss = float(step.total.detach())
        if not math.isfinite(loss):
            raise self._diverged("loss", loss)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(step.total)
        norm = clip_grad_norm_(self._net.parameters(), self._plan.clip_norm)
        if not torch.isfinite(norm):
            raise self._diverged("gradient", float(norm))
        self._optimizer.step()
        self._track(float(step.served_mse))
        return loss

    def _diverged(self, what: str, value: float) -> TrainingDiverged:
        advice = "go on from the last checkpoint with --resume and a lower --learning-rate"
        return TrainingDiverged(f"the {what} became {value} at step {self.place.step}; {advice}")

    @torch.no_grad()
    def _track(self, mean_square: float) -> None:
        """Move the averages; the weights' follows fast at first, so that a short training is not mostly its start."""
        decay = min(self._plan.average_decay, (1 + self.place.step) / (10 + self.place.step))
        averages: list[Tensor] = list(self.average.parameters())
        weights: list[Tensor] = list(self._net.parameters())
        torch._foreach_lerp_(averages, weights, 1 - decay)
        before = self._mean_square
        self._mean_square = mean_square if before is None else before + 0.02 * (mean_square - before)


def learning_rate_factor(step: int, warmup_steps: int, progress: float) -> float:
    """Linear warm-up, flat for the first 40 % of the training, then a cosine to 2 %."""
    warm = min(1.0, (step + 1) / max(1, warmup_steps))
    fall = max(0.0, (progress - 0.4) / 0.6)
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * fall)))
