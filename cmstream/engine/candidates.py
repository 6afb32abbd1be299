"""The forms in which a model could run on this CPU, and which of them is fastest. Engine thread only."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch

from cmstream.core.clock import NS_PER_MS, Clock
from cmstream.core.cores import usable_cores
from cmstream.core.errors import ConfigurationError
from cmstream.core.frame import Rgb
from cmstream.core.look import Look, look_of
from cmstream.core.params import default_params
from cmstream.engine.base import Pace
from cmstream.engine.latent_runner import LatentRunner
from cmstream.engine.noise import NoiseBank
from cmstream.engine.openvino_runner import OpenVinoRunner, converted, is_installed
from cmstream.engine.pace import unhurried
from cmstream.engine.runner import ModelRunner, PatchRunner, Runner, precision_of
from cmstream.models.base import Model
from cmstream.models.latent.model import LatentModel
from cmstream.models.painter import PainterModel
from cmstream.models.served import ServedPainter

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
WARM_UP_RUNS = 2
MEASURED_RUNS = 4


def reference(model: Model) -> Runner:
    """The model in float32, as it is defined: what every candidate should paint."""
    return ModelRunner(copy.deepcopy(model), torch.float32)


def candidates(model: Model, *, dtype: str = "auto", runtime: str = "auto", threads: int = 1, cores: int = 0) -> list[Runner]:
    """Every form that `dtype` and `runtime` allow here. `model` is left as it is, unless it is too large for two of it.

    Frames at once, where a form can, share `cores`; 0 is as many as `threads`.

    Raises ConfigurationError when the settings ask for what is not installed or for what OpenVINO cannot do.
    """
    dtypes = _native() if dtype == "auto" else (DTYPES[dtype],)
    if isinstance(model, LatentModel):
        return [LatentRunner(model, dtypes[0])]  # which owns the weights from now on: there is memory for them once
    if not isinstance(model, PainterModel):
        return [ModelRunner(copy.deepcopy(model), each) for each in dtypes]
    styles = model.spec.styles
    found: list[Runner] = []
    if runtime != "openvino":
        found += [PatchRunner(ServedPainter(model, each), styles) for each in dtypes]
    if runtime == "openvino":
        _check_openvino(dtype)
    if runtime != "torch" and is_installed():
        try:
            found += _in_openvino(model, [precision_of(each) for each in dtypes if each != torch.float16], threads, cores)
        except ConfigurationError as error:
            if not found:
                raise
            log.warning("left out: %s", error)
    return found


def use_threads(threads: int) -> int:
    """Let this thread compute on so many, 0 being every core there is for us; returns how many that is."""
    count = threads or usable_cores()
    torch.set_num_threads(count)
    return count


def bound(runner: Runner, look: Look, size_px: tuple[int, int]) -> Callable[[Rgb], Rgb]:
    """`runner` with a look and its noise at `size_px` (width, height): what a stream asks of it frame after frame."""
    noise = NoiseBank(torch.device("cpu")).mixed(look.seeds, size_px[1], size_px[0])
    return lambda src: runner.style(src, noise, look)


def fastest(model: Model, runners: Sequence[Runner], size_px: tuple[int, int], clock: Clock, pace: Pace = unhurried) -> Runner:
    """Measured on frames of `size_px` (width, height), which must be multiples of the model's."""
    if len(runners) == 1:
        return runners[0]
    src, look = blank(model, size_px)
    runs = [bound(runner, look, size_px) for runner in runners]
    took_ms: list[list[float]] = [[] for _ in runners]
    for _ in range(WARM_UP_RUNS + MEASURED_RUNS):  # in turns, so that a busy moment meets all
        for run, mine in zip(runs, took_ms, strict=True):
            pace()
            start_ns = clock.now_ns()
            run(src)
            mine.append((clock.now_ns() - start_ns) / NS_PER_MS)
    best_ms = [min(mine[WARM_UP_RUNS:]) for mine in took_ms]
    log.info("%s", ", ".join(f"{runner.name} {ms:.1f} ms" for runner, ms in zip(runners, best_ms, strict=True)))
    return runners[best_ms.index(min(best_ms))]


def blank(model: Model, size_px: tuple[int, int]) -> tuple[Rgb, Look]:
    """A frame to warm up with, in the model's default look."""
    return np.full((size_px[1], size_px[0], 3), 127, np.uint8), look_of(default_params(model.spec.parameters))


def _native() -> tuple[torch.dtype, ...]:
    """bfloat16 first where the CPU computes in it; elsewhere it is emulated and only slower."""
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return (torch.bfloat16, torch.float32) if native else (torch.float32,)


def _check_openvino(dtype: str) -> None:
    if not is_installed():
        raise ConfigurationError(
            "engine.runtime is openvino, which is not installed: pip install 'cmstream[openvino]', or set it to auto"
        )
    if dtype == "float16":
        raise ConfigurationError("OpenVINO computes in float32 or bfloat16 on a CPU: set engine.dtype to auto")


def _in_openvino(model: PainterModel, precisions: Sequence[str], threads: int, cores: int) -> list[Runner]:
    net, styles = ServedPainter(model, torch.float32), model.spec.styles  # OpenVINO rounds the weights itself
    side_px = model.spec.multiple_px
    src, look = blank(model, (side_px, side_px))
    try:
        graph = converted(net, len(styles))
        found: list[Runner] = [OpenVinoRunner(net, styles, graph, precision, threads, cores) for precision in precisions]
        for runner in found:
            runner.style(src, torch.zeros(3, side_px, side_px), look)
    except (ImportError, RuntimeError) as error:  # another release of it, or a CPU it does not run on
        raise ConfigurationError(f"OpenVINO cannot run {model.spec.name} here, set engine.runtime to torch: {error}") from error
    return found
