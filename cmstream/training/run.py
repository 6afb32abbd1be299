"""One training from start to file: the pairs, the net, the loop, the export, the contact sheet. What `cmstream train` calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from cmstream.core.atomic import write_atomically
from cmstream.core.clock import Clock
from cmstream.core.errors import Conflict, InvalidInput
from cmstream.core.picture import encode_jpeg
from cmstream.models.config import PainterConfig
from cmstream.models.consistency import TrigFlow
from cmstream.models.weights import load_painter
from cmstream.training.contact_sheet import contact_sheet
from cmstream.training.diffusion import Diffusion
from cmstream.training.distillation import Distillation, net_of
from cmstream.training.loop import Budget, Plan, Report, Training
from cmstream.training.objective import Consistency, Objective
from cmstream.training.painters import PAINTERS
from cmstream.training.pairs import OnProgress, Pairs, prepare_pairs
from cmstream.training.rivals import Regression, Uncoupled
from cmstream.training.studio import Studio
from cmstream.training.teacher import Teacher

SIGMA_DATA = 0.5
"""Of `oil` paintings of dead leaves: measured 0.497. A constant of the format, so that nets can be compared."""

NETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "s": {"channels": (48, 64, 96), "blocks": (1, 1, 2)},
        "m": {"channels": (96, 128, 192), "blocks": (1, 2, 3)},
    }
)
"""S for two CPU cores, M for any GPU."""

SHEET_QUALITY = 92

DEVICES = ("auto", "cpu", "cuda")
_OBJECTIVES: Mapping[str, Callable[[TrigFlow], Objective]] = MappingProxyType(
    {"consistency": Consistency, "uncoupled": Uncoupled, "regression": Regression, "diffusion": Diffusion}
)
OBJECTIVES = (*_OBJECTIVES, "distillation")


@dataclass(frozen=True, slots=True)
class Order:
    """What to train. `steps` and `minutes` are limits; at least one is set."""

    out: Path
    cache: Path
    objective: str | None = None
    """None: consistency, distillation from a diffusion model, or uncoupled where the noise of paintings is not known."""
    styles: tuple[str, ...] = ("oil",)
    """Of this project's painters."""
    teacher: Teacher | None = None
    """Another teacher, in their place."""
    init: Path | None = None
    """A model of the same net to start from; styles it knows keep what it learned of them."""
    steps: int | None = None
    minutes: float | None = None
    scenes: int = 9216
    seed: int = 0
    threads: int = 0
    device: str = "cpu"
    """cpu, cuda, or auto: the GPU where there is one."""
    net: str = "s"
    batch: int = 16
    learning_rate: float = 8e-4
    resume: bool = False

    @property
    def checkpoint(self) -> Path:
        """Where the training's state is kept, beside the model."""
        return self.out.with_suffix(".training.safetensors")

    @property
    def sheet(self) -> Path:
        """The contact sheet. Not plain .jpg, which may well be the picture that the style is learned from."""
        return self.out.with_suffix(".sheet.jpg")


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how it goes."""

    rendering: OnProgress
    training: Callable[[Report], None]


def train(order: Order, watch: Watch, clock: Clock) -> Report | None:
    """Train, write `order.out` and `order.sheet`; returns the last report, None if the checkpoint was of a finished training.

    Raises InvalidInput for an impossible order, Conflict where it would overwrite a training, WeightsRejected for a
    checkpoint that is not this training's, and TrainingDiverged.
    """
    order = _on_device(order)
    _check(order)
    if order.threads:
        torch.set_num_threads(order.threads)
    teacher = order.teacher or Studio(order.styles)
    recipe = teacher.recipe(order.scenes, order.seed + 1, order.device)
    pairs = prepare_pairs(order.cache, recipe, lambda arrays: teacher.fill(recipe, arrays, watch.rendering))
    training = build(order, pairs, clock)
    if order.resume:
        training.resume(order.checkpoint)
    elif order.init is not None:
        training.start_from(load_painter(order.init))
    last: list[Report] = []

    def on_report(report: Report) -> None:
        last[:] = [report]
        watch.training(report)

    training.run(order.checkpoint, on_report)
    training.export(order.out)
    sheet = contact_sheet(load_painter(order.out), teacher.specimens(torch.device(order.device)))
    write_atomically(order.sheet, encode_jpeg(sheet, SHEET_QUALITY))
    return last[0] if last else None


def build(order: Order, pairs: Pairs, clock: Clock) -> Training:
    """The training that `order` describes, at its start."""
    objective = _objective(order)
    config = PainterConfig(
        styles=pairs.recipe.styles,
        sigma_data=SIGMA_DATA,
        **NETS[order.net],
        stroke_scales=pairs.recipe.stroke_scales,
        uses_noise=objective.name != "regression",
    )
    if order.teacher is not None:
        name = order.teacher.styles[0]
        config = replace(config, name=name, title=name.replace("-", " ").capitalize())
    budget = Budget(steps=order.steps, minutes=order.minutes)
    plan = Plan(budget, seed=order.seed, device=order.device, batch=order.batch, learning_rate=order.learning_rate)
    return Training(config, objective, pairs, plan, clock)


def _on_device(order: Order) -> Order:
    if order.device != "auto":
        return order
    return replace(order, device="cuda" if torch.cuda.is_available() else "cpu")


def _objective(order: Order) -> Objective:
    flow, net = TrigFlow(SIGMA_DATA), net_of(order.teacher)
    if _objective_name(order) == "distillation" and net is not None:
        return Distillation(flow, net.to(torch.device(order.device)))
    return _OBJECTIVES[_objective_name(order)](flow)


def _objective_name(order: Order) -> str:
    if order.objective is not None:
        return order.objective
    if net_of(order.teacher) is not None:
        return "distillation"
    return "consistency" if order.teacher is None or order.teacher.knows_noise else "uncoupled"


def _check(order: Order) -> None:
    _check_names(order)
    if order.device == "cuda" and not torch.cuda.is_available():
        raise InvalidInput("there is no CUDA device here; train with --device cpu")
    if order.steps is None and order.minutes is None:
        raise InvalidInput("say how long to train: --minutes or --steps")
    if order.out.suffix != ".safetensors":
        raise InvalidInput(f"{order.out} must end in .safetensors")
    if order.resume and not order.checkpoint.exists():
        raise InvalidInput(f"there is nothing to resume: {order.checkpoint} does not exist")
    if not order.resume and order.checkpoint.exists():
        raise Conflict(f"{order.checkpoint} is of a training that was begun: go on with --resume, or delete it")


def _check_names(order: Order) -> None:
    chosen = [("objective", _objective_name(order), OBJECTIVES), ("net", order.net, NETS), ("device", order.device, DEVICES)]
    styles = () if order.teacher is not None else order.styles
    for what, name, known in (*chosen, *(("style", style, PAINTERS) for style in styles)):
        if name not in known:
            raise InvalidInput(f"unknown {what} {name[:40]!r}; choose from {', '.join(known)}")
    if _objective_name(order) == "distillation" and net_of(order.teacher) is None:
        raise InvalidInput(
            "distillation needs the weights of a diffusion model as --teacher: train one with --objective diffusion"
        )
    if order.teacher is not None and not order.teacher.knows_noise and _objective_name(order) == "consistency":
        raise InvalidInput("what drove the strokes of given pictures is unknown; use --objective uncoupled or regression")
    if not order.styles or len(set(order.styles)) != len(order.styles):
        raise InvalidInput("name at least one style, and each only once")
