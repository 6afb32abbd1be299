"""The captured path paints what the direct path paints, and orders every access to its memory."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from cmstream.bench.engine_bench import picture
from cmstream.core.frame import Rgb
from cmstream.engine.fixed_path import UNDER_WAY, FixedPath, FixedSlot
from cmstream.engine.latent_rivals import PROMPT, STRENGTH, Rivals, family_of, path_of
from cmstream.engine.pipeline.device import Device
from cmstream.engine.pipeline.eager_device import EagerDevice
from cmstream.models.latent.autoencoder import autoencoder_of
from cmstream.models.latent.direct import DirectPath, Heard
from cmstream.models.latent.embedding import Embedding, batched
from cmstream.models.latent.family import Guidance, Prediction
from cmstream.models.latent.fixed_step import FixedShape, bytes_of, painter_of, pictures_of
from cmstream.models.latent.network import UNet
from cmstream.models.latent.schedule import Plan, plan
from cmstream.models.latent.text import CheckpointText
from cmstream.models.latent.true_shapes import TINY, pipeline_of, tiny_autoencoder_of
from tests.engine.pipeline.recording_device import RecordingDevice

SIDE_PX, BATCH = 64, 2


class Set:
    """A tiny path, and what is asked of it."""

    def __init__(self, steps: int = 1) -> None:
        pipeline = pipeline_of(TINY, torch.device("cpu"), torch.float32, has_tiny=True)
        self.path: DirectPath = path_of(pipeline)
        self.prompt: Embedding = CheckpointText(pipeline).encode(PROMPT)
        self.levels: Plan = plan(family_of(pipeline), steps, STRENGTH)
        tokens = (self.prompt.tokens.shape[1], self.prompt.tokens.shape[2])
        self.shape = FixedShape(BATCH, (SIDE_PX, SIDE_PX), steps, 4, 8, tokens, 0, torch.float32)
        self.noise = torch.randn(self.shape.inputs()["noise"][0], generator=Generator().manual_seed(1))

    def on(self, device: Device) -> FixedPath:
        return FixedPath(device, self.path, self.shape, self.levels, self.prompt, self.noise)

    def expected(self, batch: list[Rgb]) -> list[Rgb]:
        heard = Heard(batched([self.prompt] * BATCH), torch.ones(BATCH))
        with torch.inference_mode():
            src = pictures_of(torch.from_numpy(np.stack(batch)), torch.float32)
            painted = self.path.paint(src, self.noise, [self.levels] * BATCH, heard)
            return list(bytes_of(painted).numpy())


def batches(count: int) -> list[list[Rgb]]:
    return [[picture(SIDE_PX, 10 * turn + row) for row in range(BATCH)] for turn in range(count)]


def painted(path: FixedPath, asked: list[list[Rgb]]) -> list[list[Rgb]]:
    """With two under way."""
    waiting: deque[FixedSlot] = deque()
    found = []
    for batch in asked:
        if len(waiting) == UNDER_WAY:
            found.append(path.result(waiting.popleft()))
        waiting.append(path.submit(batch))
    return found + [path.result(slot) for slot in waiting]


@pytest.mark.parametrize("steps", [1, 3])
def test_it_paints_what_the_direct_path_paints(steps: int) -> None:
    made, asked = Set(steps), batches(4)
    found = painted(made.on(EagerDevice()), asked)
    for mine, batch in zip(found, asked, strict=True):
        np.testing.assert_array_equal(np.stack(mine), np.stack(made.expected(batch)))
    assert not np.array_equal(found[0][0], found[1][0])


@pytest.mark.parametrize("seed", range(2))
def test_every_access_to_memory_is_ordered_at_any_timing(seed: int) -> None:
    made, asked, device = Set(), batches(4), RecordingDevice(seed)
    found = painted(made.on(device), asked)
    assert device.races == []
    assert device.accesses > 60
    for mine, batch in zip(found, asked, strict=True):
        np.testing.assert_array_equal(np.stack(mine), np.stack(made.expected(batch)))


@pytest.mark.parametrize("stream", ["compute", "copy-out"])
def test_a_wait_that_is_left_out_is_missed(stream: str) -> None:
    device = RecordingDevice(0, skips_wait_of=[stream])
    painted(Set().on(device), batches(4))
    assert device.races


def test_a_third_batch_has_to_wait_for_the_first() -> None:
    path, (first, second) = Set().on(EagerDevice()), batches(2)
    slot = path.submit(first)
    path.submit(second)
    with pytest.raises(RuntimeError, match="2 batches are under way"):
        path.submit(first)
    path.result(slot)
    path.submit(first)


class Plain(torch.nn.Module):
    """In the place of a network, which diffusers sees to: what is traced is ours around it."""

    config = SimpleNamespace(time_cond_proj_dim=None, addition_embed_type=None, encoder_hid_dim_type=None)

    def forward(self, x: Tensor, timestep: Tensor, tokens: Tensor, **asked: object) -> tuple[Tensor]:
        return (x * tokens.mean() + timestep[:, None, None, None] / 1000,)


def test_a_compiler_sees_the_path_as_one_graph() -> None:
    """The tracer alone, which is what a change of ours may break; kernels are the compiler's."""
    shape = FixedShape(BATCH, (SIDE_PX, SIDE_PX), 2, 4, 8, (5, 6), 0, torch.float32)
    with torch.inference_mode():
        autoencoder = autoencoder_of(tiny_autoencoder_of(TINY).eval())
        path = DirectPath(UNet(Plain(), 8), autoencoder, Prediction.EPSILON, Guidance.FREE)
        paint = painter_of(path, shape)
        inputs = [torch.ones(each, dtype=dtype) for each, dtype in shape.inputs().values()]
        traced = torch.compile(paint, backend="eager", fullgraph=True, dynamic=False)
        assert torch.equal(traced(*inputs), paint(*inputs))


def test_the_loop_of_published_servers_paints_one_frame_after_another() -> None:
    style = Rivals(TINY, EagerDevice(), torch.float32).published_loop()
    found = style(batches(1)[0])
    assert [rgb.shape for rgb in found] == [(SIDE_PX, SIDE_PX, 3)] * BATCH
    assert not np.array_equal(found[0], found[1])
