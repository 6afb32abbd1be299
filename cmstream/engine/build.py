"""Chooses and builds the engine that the settings ask for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cmstream.core.cache_folder import cache_folder
from cmstream.core.clock import Clock
from cmstream.core.errors import ConfigurationError
from cmstream.core.geometry import working_size
from cmstream.core.interpreter import loading
from cmstream.core.model_info import Listing
from cmstream.engine.base import Engine, Pace, Tell
from cmstream.engine.choice import Choice
from cmstream.engine.choice_folder import ChoiceFolder
from cmstream.engine.cpu import CpuEngine
from cmstream.engine.pipeline.cuda_device import CudaDevice
from cmstream.engine.pipeline.engine import PipelineEngine
from cmstream.engine.pipeline.evaluation import inductor
from cmstream.models.base import Model
from cmstream.models.latent.model import LatentModel
from cmstream.models.registry import load
from cmstream.models.roster import Roster
from cmstream.settings import EngineSettings, ModelSettings

COMMON_SOURCES_PX = ((1024, 1024), (1280, 720), (640, 480), (720, 1280), (480, 640))
"""Shapes of usual sources, on their sides too as phones send them: warmed up so that nobody's first frames are slow."""


def resolve_device(device: str) -> str:
    """ "auto" as "cuda:0" or "cpu". Raises ConfigurationError for a GPU that is not there."""
    if device == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        index = int(device.partition(":")[2] or 0)
        if index >= torch.cuda.device_count():
            raise ConfigurationError(
                f"no GPU {device} here: torch sees {torch.cuda.device_count()}; use --device cpu, or ask `cmstream doctor`"
            )
        return f"cuda:{index}"
    return device


def build_engine(
    settings: EngineSettings,
    clock: Clock,
    sizes_px: Sequence[int] = (),
    *,
    models: ModelSettings | None = None,
    tell: Tell | None = None,
    pace: Pace | None = None,
    like: Choice | None = None,
) -> Engine:
    """Load the model and warm the engine up; blocks for seconds, or for as long as a download takes: off the event loop.

    `sizes_px` are the working sizes to be ready for, `settings.size_px` alone where none are given; `tell` hears what is
    under way, in words. With a `pace`, another engine serves meanwhile: it is kept to, and on a CPU a painter runs `like`
    the one before, if that is given.

    Raises NotFound, WeightsRejected, Unavailable, ResourceExhausted or ConfigurationError.
    """
    device = resolve_device(settings.device)
    model = load(settings.model, models, tell)
    if tell is not None:
        tell("warming up")
    try:
        return _engine(model, settings, clock, device, sizes_px or (settings.size_px,), pace, like)
    except BaseException:
        if isinstance(model, LatentModel):
            model.close()
        raise


class SettingsBuilder:
    """The `EngineBuilder` of one server: engines as its settings say, of models that they allow. Raises ConfigurationError."""

    def __init__(self, settings: EngineSettings, models: ModelSettings, clock: Clock, sizes_px: Sequence[int]) -> None:
        self._settings = settings
        self._models = models
        self._clock = clock
        self._sizes_px = tuple(sizes_px)
        self._roster = Roster(models, settings.model)
        self._like: Choice | None = None  # what the last painter ran in

    def __repr__(self) -> str:
        return f"<SettingsBuilder for {self._settings.device}, {self._roster!r}>"

    @property
    def first(self) -> str:
        """See `EngineBuilder`."""
        return self._roster.first

    def listings(self) -> tuple[Listing, ...]:
        """See `EngineBuilder`."""
        return self._roster.listings()

    def check(self, name: str) -> None:
        """See `EngineBuilder`."""
        self._roster.place(name)

    def build(self, name: str, tell: Tell, pace: Pace | None = None) -> Engine:
        """See `EngineBuilder`."""
        place = self._settings.model if name == self.first else self._roster.place(name)
        settings = self._settings.model_copy(update={"model": place})
        with loading(is_serving=pace is not None):
            engine = build_engine(
                settings, self._clock, self._sizes_px, models=self._models, tell=tell, pace=pace, like=self._like
            )
        if isinstance(engine, CpuEngine):
            self._like = engine.choice or self._like
        return engine


def _engine(
    model: Model,
    settings: EngineSettings,
    clock: Clock,
    device: str,
    sizes_px: Sequence[int],
    pace: Pace | None,
    like: Choice | None,
) -> Engine:
    warm_up_px = tuple(dict.fromkeys(working_size(*source, size_px) for size_px in sizes_px for source in COMMON_SOURCES_PX))
    if device == "cpu":
        return CpuEngine(
            model,
            dtype=settings.dtype,
            runtime=settings.runtime,
            threads=settings.threads,
            batch=settings.batch,
            warm_up_px=warm_up_px,
            choices=ChoiceFolder(folder) if (folder := cache_folder(settings.remember)) else None,
            clock=clock,
            pace=pace,
            like=like,
        )
    return PipelineEngine(
        model,
        CudaDevice(device),
        dtype=settings.dtype,
        batch=settings.batch or 8,
        warm_up_px=warm_up_px,
        compiler=inductor if settings.compile else None,
        clock=clock,
        pace=pace,
    )
