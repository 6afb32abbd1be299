"""A painter in OpenVINO (the extra `openvino`): its compiler fuses what PyTorch runs one by one, and it depends less on
threads that all run at once. Engine thread only; the one file that imports openvino.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.engine.moving_noise import Places
from cmstream.engine.patches import RUN, LaidNoise, LookConditions, in_patches
from cmstream.engine.runner import RunnerInput
from cmstream.models.config import PATCH_PX
from cmstream.models.served import MIDDLE, ServedPainter

NOISE = 1
"""Which input of the graph it is."""
ANY = -1
"""A side of any length, as OpenVINO writes it."""
SIDES = (3, RUN * PATCH_PX)
"""What the two inputs that have sides, the source and the noise, have at each place."""


def is_installed() -> bool:
    """Without importing it, which takes a while."""
    return importlib.util.find_spec("openvino") is not None


class FrameNet(nn.Module):
    """All of one frame as one graph: bytes, noise and conditions in, bytes out. A graph takes its inputs in a row.

    What the noise adds at each level is worked out in it too: for noise that rests that costs a frame nothing that shows,
    for it is as much to read, and for noise that moves it is several times faster than PyTorch.
    """

    def __init__(self, net: ServedPainter) -> None:
        super().__init__()
        self.net = net

    def forward(self, src: Tensor, noise: Tensor, strength: Tensor, *conditions: Tensor) -> Tensor:
        """`src` [H,W,3] uint8, `noise` [H/4,W/4,48], `strength` [1] -> [H,W,3] uint8."""
        height, width, _ = noise.shape
        noise = noise.float()
        source = src.view(height, PATCH_PX, width, RUN).transpose(1, 2).reshape_as(noise).float() - MIDDLE
        patches, coarse = torch.cat([noise, source], 2)[None], self.net.coarse_noise(noise @ self.net.average)
        painted = self.net(patches, coarse, conditions)[0].clamp(-MIDDLE, MIDDLE)
        mixed = (source + strength * (painted - source) + MIDDLE).round().to(torch.uint8)
        frame: Tensor = mixed.view(height, width, PATCH_PX, RUN).transpose(1, 2).reshape_as(src)
        return frame


def converted(net: ServedPainter, styles: int) -> Any:
    """The graph of `net` for frames of any size: it takes a second or two, and one serves every precision."""
    openvino = _openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    side_px = net.multiple_px
    with torch.no_grad():
        noise = in_patches(torch.zeros(side_px, side_px, 3)).flatten(2).half()
        src = torch.zeros(side_px, side_px, 3, dtype=torch.uint8)
        example = (src, noise, torch.ones(1), *net.conditions(torch.ones(1, styles) / styles, torch.ones(1)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch calls tracing deprecated; it is what OpenVINO reads
            traced = torch.jit.trace(FrameNet(net).eval(), example, check_trace=False)  # type: ignore[no-untyped-call] # torch's
            frontend = FrontEndManager().load_by_framework("pytorch")
            decoder = TorchScriptPythonDecoder(traced, example_input=example)  # read until the conversion ends: keep it
            graph = frontend.convert(frontend.load(decoder))
    for port, tensor in zip(graph.inputs, example, strict=True):
        port.get_node().set_element_type(openvino.Type.u8 if tensor.dtype == torch.uint8 else openvino.Type.f32)
        port.get_node().set_partial_shape(openvino.PartialShape([-1] * tensor.dim()))
    graph.validate_nodes_and_infer_types()
    return graph


class OpenVinoRunner:
    """`converted(net)`, compiled for every size in a fraction of a second until it is settled, and from then on for all others
    at once: those are a little slower, but a stream of a strange size holds up nobody, and one that changes its size with
    every frame fills no memory. `precision` is "float32" or "bfloat16".

    A frame alone runs on `threads`; frames at once share `cores`, by default as many.
    """

    runtime = "openvino"

    def __init__(
        self, net: ServedPainter, styles: tuple[str, ...], graph: Any, precision: str, threads: int, cores: int = 0
    ) -> None:
        self.precision = precision
        self.name = f"OpenVINO {precision}"
        self._threads = threads
        self._cores = cores or threads
        self._conditions = LookConditions(net, styles)
        # bfloat16 has fewer digits than float16, so nothing is lost of what is computed in it.
        self._noise_in = torch.float32 if precision == "float32" else torch.float16
        self._noise: defaultdict[int, LaidNoise] = defaultdict(partial(LaidNoise, self._noise_in))
        self._graph = graph
        self._requests: dict[tuple[int, ...], Any] = {}
        self._together: dict[tuple[int, tuple[int, ...]], list[Any]] = {}
        self._any_size: Any = None

    def __repr__(self) -> str:
        return f"<OpenVinoRunner {self.name}, {self._threads} threads, {len(self._requests)} sizes>"

    def style(self, src: Rgb, noise: Tensor, look: Look, *, places: Places | None = None, stream_id: int = 0) -> Rgb:
        """See `Runner`."""
        inputs = self._inputs(RunnerInput(src, noise, look, places, stream_id))
        rgb: Rgb = self._request(inputs).infer(inputs, share_inputs=True)[0].copy()  # the request writes there again
        return rgb

    def style_together(self, frames: Iterable[RunnerInput], count: int) -> list[Rgb]:
        """See `ParallelRunner`."""
        under_way: list[tuple[Any, list[Rgb]]] = []  # with what they read, which has to last as long
        with ExitStack() as waits:  # also where one fails: what the others read is written to again by the next frame
            for place, frame in enumerate(frames):
                inputs = self._inputs(frame)
                request = self._requests_of(inputs, count)[place]
                request.start_async(inputs, share_inputs=True)
                under_way.append((request, inputs))
                waits.callback(request.wait)
        return [request.get_output_tensor(0).data.copy() for request, _ in under_way]

    def settle(self) -> None:
        """Compile no size any more: call it once those of usual sources have run, and run another after it."""
        conditions = [list(port.get_partial_shape()) for port in self._graph.inputs[len(SIDES) :]]
        self._any_size = self._compiled([[ANY, ANY, channels] for channels in SIDES] + conditions)

    def _inputs(self, frame: RunnerInput) -> list[Rgb]:
        """As the graph takes them; the noise is valid until the next frame of the stream."""
        with torch.inference_mode():
            noise = self._noise[frame.stream_id].of(frame.noise, frame.places)
            tensors = (noise, torch.tensor([frame.look.strength]), *self._conditions.of(frame.look))
        return [np.ascontiguousarray(frame.src), *(each.numpy() for each in tensors)]

    def _request(self, inputs: list[Rgb]) -> Any:
        request = self._requests.get(inputs[0].shape, self._any_size)
        if request is None:
            request = self._requests[inputs[0].shape] = self._compiled([each.shape for each in inputs])
        return request

    def _requests_of(self, inputs: list[Rgb], count: int) -> list[Any]:
        key = count, inputs[0].shape
        if key not in self._together:
            # What is compiled already is optimised already: to read that takes half of what compiling takes.
            blob = self._request(inputs).get_compiled_model().export_model()
            own = {"NUM_STREAMS": count, "INFERENCE_NUM_THREADS": self._cores // count * count}
            compiled = _openvino().Core().import_model(blob, "CPU", self._config(own))
            self._together[key] = [compiled.create_infer_request() for _ in range(count)]
        return self._together[key]

    def forget(self, stream_id: int) -> None:
        """See `Runner`."""
        self._noise.pop(stream_id, None)

    def _compiled(self, shapes: Sequence[Sequence[Any]]) -> Any:
        openvino = _openvino()
        noise_type = {torch.float32: openvino.Type.f32, torch.float16: openvino.Type.f16}[self._noise_in]
        self._graph.inputs[NOISE].get_node().set_element_type(noise_type)  # the graph serves every precision
        self._graph.reshape(dict(zip(self._graph.inputs, map(openvino.PartialShape, map(list, shapes)), strict=True)))
        config = self._config({"INFERENCE_NUM_THREADS": self._threads})
        return openvino.Core().compile_model(self._graph, "CPU", config).create_infer_request()

    def _config(self, own: dict[str, int]) -> dict[str, Any]:
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[self.precision],
            "ENABLE_CPU_PINNING": False,  # pinned threads wait for a core that a codec holds while the other is free
            **own,
        }


def _openvino() -> Any:
    """The package, kept from reporting to its makers over the network that it was imported: then it takes its own stub."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # None makes an import fail, by the language
    import openvino

    return openvino
