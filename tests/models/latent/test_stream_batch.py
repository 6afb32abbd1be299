"""Frames at different steps in one batch are painted as each is painted step after step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from cmstream.models.latent.autoencoder import autoencoder_of
from cmstream.models.latent.direct import DirectPath, Heard, together
from cmstream.models.latent.embedding import Embedding
from cmstream.models.latent.hints import Hints
from cmstream.models.latent.loading import Loaded
from cmstream.models.latent.network import UNet
from cmstream.models.latent.schedule import Plan, plan
from cmstream.models.latent.stream_batch import Tick, Traveller, arrived, set_out, tick
from tests.models.latent.conftest import Load
from tests.models.latent.test_direct import FAMILIES, noises, source


class Counted:
    """A network that notes how many rows each evaluation had."""

    def __init__(self, path: DirectPath) -> None:
        self.rows: list[int] = []
        self.module: Any = path.network.module
        self._network = path.network

    def predict(self, x: Tensor, timestep: Tensor, heard: Embedding, guidance: Tensor, hints: Hints | None = None) -> Tensor:
        self.rows.append(len(x))
        return self._network.predict(x, timestep, heard, guidance, hints)


def counted(loaded: Loaded) -> tuple[DirectPath, Counted]:
    network = Counted(loaded.path)
    return DirectPath(network, loaded.path.autoencoder, loaded.family.prediction, loaded.family.guidance), network


def in_double(loaded: Loaded) -> DirectPath:
    """Where the rounding of one batch size or another is far below what is compared."""
    unet, vae = (deepcopy(module).double() for module in (loaded.path.network.module, loaded.path.autoencoder.module))
    autoencoder = autoencoder_of(vae)
    return DirectPath(UNet(unet, autoencoder.factor_px), autoencoder, loaded.family.prediction, loaded.family.guidance)


class Asked:
    """A frame as it is asked for, by itself."""

    def __init__(self, loaded: Loaded, index: int, steps: int = 4, stream: int = 1, **more: Any) -> None:
        self.numbered = (stream, index)
        self.src = source(100 * stream + index)
        self.noise = noises(loaded, steps, stream)
        self.plan: Plan = plan(loaded.family, steps, more.get("strength", 1.0))
        negative = loaded.text.encode(more["negative"]) if "negative" in more else None
        guidance = torch.tensor([more.get("guidance", 1.0)])
        self.heard = Heard(loaded.text.encode(more.get("prompt", "a red cat")), guidance, negative)

    def to_double(self) -> Asked:
        self.src, self.noise = self.src.double(), self.noise.double()
        self.heard = Heard(self.heard.prompt.to(self.src.device, torch.float64), self.heard.guidance.double())
        return self

    def alone(self, path: DirectPath, rows: int = 1) -> Tensor:
        """Step after step; in a batch of `rows` copies of it."""
        heard = together([self.heard] * rows)
        return path.paint(self.src.repeat(rows, 1, 1, 1), self.noise.repeat(rows, 1, 1, 1, 1), [self.plan] * rows, heard)[:1]

    def set_out(self, path: DirectPath) -> tuple[Traveller, ...]:
        return set_out(path, self.src, self.noise, [self.plan], self.heard, [self.numbered])


def travelled(path: DirectPath, arrivals: Sequence[Sequence[Asked]], rows: int | None = None) -> Iterator[Tick]:
    """A tick for each of `arrivals`, then until nobody is under way."""
    under_way: tuple[Traveller, ...] = ()
    waiting = list(arrivals)
    while waiting or under_way:
        new = waiting.pop(0) if waiting else ()
        found = tick(path, [*under_way, *(traveller for each in new for traveller in each.set_out(path))], rows)
        under_way = found.under_way
        yield found


def painted(path: DirectPath, ticks: Iterator[Tick]) -> dict[tuple[int, int], Tensor]:
    return {(each.stream, each.index): arrived(path, [each]) for found in ticks for each in found.done}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_frame_is_as_if_it_had_gone_step_after_step(load: Load, name: str) -> None:
    loaded = load(name)
    frames = [Asked(loaded, index, 3) for index in range(3)]
    found = painted(loaded.path, travelled(loaded.path, [[frame] for frame in frames]))
    assert list(found) == [frame.numbered for frame in frames]
    for frame in frames:
        torch.testing.assert_close(found[frame.numbered], frame.alone(loaded.path), atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", ["sdxl-turbo", "tcd"])
def test_in_double_precision_nothing_is_left_of_the_difference(load: Load, name: str) -> None:
    loaded = load(name)
    path = in_double(loaded)
    frames = [Asked(loaded, index, 4).to_double() for index in range(4)]
    found = painted(path, travelled(path, [[frame] for frame in frames]))
    for frame in frames:
        torch.testing.assert_close(found[frame.numbered], frame.alone(path), atol=1e-11, rtol=0)


@pytest.mark.parametrize("name", ["sd-turbo", "lcm"])
def test_in_batches_of_one_size_it_is_equal_to_the_bit(load: Load, name: str) -> None:
    loaded = load(name)
    frames = [Asked(loaded, index, 4) for index in range(4)]
    found = painted(loaded.path, travelled(loaded.path, [[frame] for frame in frames], rows=4))
    for frame in frames:
        latent = loaded.path.autoencoder.encode(frame.src)
        four = together([frame.heard] * 4)
        x = loaded.path.painted(latent.repeat(4, 1, 1, 1), frame.noise.repeat(4, 1, 1, 1, 1), [frame.plan] * 4, four)
        assert torch.equal(found[frame.numbered], loaded.path.autoencoder.decode(x[:1]))


@pytest.mark.parametrize("steps", [1, 2, 5, 8])
def test_each_tick_is_one_evaluation_and_a_frame_is_done(load: Load, steps: int) -> None:
    path, network = counted(loaded := load("sd-turbo"))
    ticks = list(travelled(path, [[Asked(loaded, index, steps)] for index in range(10)]))
    done = [tuple(each.index for each in found.done) for found in ticks]
    assert done == [()] * (steps - 1) + [(index,) for index in range(10)]
    assert network.rows[steps - 1 : 10] == [steps] * (11 - steps)
    assert len(network.rows) == len(ticks)
    assert not any(found.overtaken for found in ticks)


def test_what_changes_on_the_way_changes_only_the_frames_that_set_out_after_it(load: Load) -> None:
    loaded = load("tcd")
    asked: list[dict[str, Any]] = [{}, {"prompt": "fog"}, {"strength": 0.6}, {"guidance": 1.5}, {"prompt": "blue house"}]
    frames = [Asked(loaded, index, 4, **more) for index, more in enumerate(asked)]
    found = painted(loaded.path, travelled(loaded.path, [[frame] for frame in frames]))
    for frame in frames:
        torch.testing.assert_close(found[frame.numbered], frame.alone(loaded.path), atol=2e-5, rtol=0)


def test_streams_with_and_without_a_negative_prompt_and_of_other_sizes_share_a_tick(load: Load) -> None:
    path, network = counted(loaded := load("sd-turbo"))
    guided = {"guidance": 2.0, "negative": "blurry"}
    first, second, small = Asked(loaded, 0, 3), Asked(loaded, 0, 3, stream=2, **guided), Asked(loaded, 0, 3, stream=3)
    small.src, small.noise = small.src[..., :32], small.noise[..., :4]
    found = painted(path, travelled(path, [[first, second, small]]))
    assert network.rows == [1, 2, 1] * 3  # twice where there is a negative prompt
    for frame in (first, second, small):
        torch.testing.assert_close(found[frame.numbered], frame.alone(loaded.path), atol=2e-5, rtol=0)


def test_fewer_steps_overtake_what_is_under_way_and_no_other_stream(load: Load) -> None:
    loaded = load("sd-turbo")
    slow = [[Asked(loaded, index, 4), Asked(loaded, index, 4, stream=2)] for index in range(3)]
    ticks = list(travelled(loaded.path, [*slow, [Asked(loaded, 3, 1), Asked(loaded, 3, 4, stream=2)]]))
    mine = [[(each.stream, each.index) for each in found.done] for found in ticks]
    assert mine[3] == [(1, 0), (2, 0), (1, 3)]
    assert [(each.stream, each.index) for each in ticks[3].overtaken] == [(1, 1), (1, 2)]
    assert [(2, index) in done for index, done in enumerate(mine[3:])] == [True, True, True, True]


def test_more_steps_overtake_nobody(load: Load) -> None:
    loaded = load("sd-turbo")
    ticks = list(travelled(loaded.path, [[Asked(loaded, 0, 1)], [Asked(loaded, 1, 3)], [Asked(loaded, 2, 3)]]))
    assert [[each.index for each in found.done] for found in ticks] == [[0], [], [], [1], [2]]
    assert not any(found.overtaken for found in ticks)


def test_more_rows_than_a_batch_holds_go_in_several(load: Load) -> None:
    path, network = counted(loaded := load("sd-turbo"))
    frames = [Asked(loaded, 0, 2, stream=stream) for stream in range(5)]
    found = painted(path, travelled(path, [frames], rows=2))
    assert network.rows == [2, 2, 2] * 2
    assert len(found) == 5


def test_a_frame_with_nothing_to_remove_does_not_set_out(load: Load) -> None:
    loaded = load("sd-turbo")
    with pytest.raises(ValueError, match="show its source"):
        Asked(loaded, 0, strength=0.0).set_out(loaded.path)


def test_rows_that_are_evaluated_twice_do_not_share_a_batch_with_others(load: Load) -> None:
    loaded = load("sd-turbo")
    with pytest.raises(ValueError, match="cannot share a batch"):
        together([Asked(loaded, 0).heard, Asked(loaded, 0, negative="blurry").heard])
