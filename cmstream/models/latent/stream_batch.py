"""Several evaluations a frame at the rate of one: consecutive frames, each at another of its steps, share a batch.

StreamDiffusion's idea (arXiv:2312.12491, section 3.1). With K steps a stream has K frames under way, every tick is one
evaluation of all of them, and one of them is done: K - 1 ticks after it set out, at the throughput of a batch of K. It pays
where one frame does not fill a chip. What is painted is what `DirectPath.paint` paints, since each frame keeps its own plan,
noise, prompt and source to the end. No state is kept here: who is under way goes in and comes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from cmstream.models.latent.direct import DirectPath, Heard, Rows, together
from cmstream.models.latent.schedule import Plan


@dataclass(frozen=True, slots=True)
class Traveller:
    """A frame before its evaluation number `step`. Its tensors are batches of one; nothing writes to them."""

    stream: int
    index: int
    """Of the frame in its stream, ascending."""
    plan: Plan
    step: int
    x: Tensor  # [1,C,h,w], float32 at least
    latent: Tensor  # [1,C,h,w], the source's
    noise: Tensor  # [1,K,C,h,w], as for `DirectPath.paint`
    heard: Heard

    @property
    def is_done(self) -> bool:
        """Whether x is what was painted."""
        return self.step == len(self.plan)

    def fresh(self) -> Tensor:
        """The noise that is added after this evaluation: nothing after the last."""
        following = self.step + 1
        return self.noise[:, following] if following < self.noise.shape[1] else torch.zeros_like(self.x)


@dataclass(frozen=True, slots=True)
class Tick:
    """What one evaluation led to; each tuple in the order in which the frames set out."""

    done: tuple[Traveller, ...]
    overtaken: tuple[Traveller, ...]
    """Under way still, while a newer frame of their stream is done: nobody wants to see them any more."""
    under_way: tuple[Traveller, ...]


Numbered: TypeAlias = tuple[int, int]
"""The stream of a frame, and its number in that stream."""


def set_out(
    path: DirectPath, src: Tensor, noise: Tensor, plans: Sequence[Plan], heard: Heard, numbered: Sequence[Numbered]
) -> tuple[Traveller, ...]:
    """New frames before their first evaluation; arguments as of `DirectPath.paint`, but plans may differ in length.

    Raises ValueError for an empty plan: there is nothing to evaluate, and the source is what is shown.
    """
    if not all(plans):
        raise ValueError("a frame without noise to remove does not set out: show its source")
    latent = path.autoencoder.encode(src)
    x = path.begun(latent, noise[:, 0], Rows([plan[0] for plan in plans], latent.device, latent.dtype))
    return tuple(
        Traveller(
            stream,
            index,
            plans[row],
            0,
            x[row : row + 1],
            latent[row : row + 1],
            noise[row : row + 1, : len(plans[row])],
            heard.row(row),
        )
        for row, (stream, index) in enumerate(numbered)
    )


def tick(path: DirectPath, travellers: Sequence[Traveller], rows: int | None = None) -> Tick:
    """One evaluation of each. `rows` makes every batch of the network that large, as a graph of that bucket wants it.

    Frames of a stream are in the order in which they set out. Rows of several sizes, or of which some have a negative
    prompt, are evaluated in as many batches.
    """
    moved: dict[Numbered, Traveller] = {}
    for group in _groups(travellers, rows):
        for traveller in _evaluated(path, group, rows or len(group)):
            moved[traveller.stream, traveller.index] = traveller
    found = [moved[each.stream, each.index] for each in travellers]
    newest = {each.stream: each.index for each in found if each.is_done}
    left = [each for each in found if not each.is_done]
    return Tick(
        tuple(each for each in found if each.is_done),
        tuple(each for each in left if each.index < newest.get(each.stream, each.index)),
        tuple(each for each in left if each.index >= newest.get(each.stream, each.index)),
    )


def arrived(path: DirectPath, done: Sequence[Traveller]) -> Tensor:
    """The pictures of frames of one size that are done, [B,3,H,W] in about [-1,1]."""
    return path.autoencoder.decode(torch.cat([each.x for each in done]).to(done[0].latent.dtype))


def _groups(travellers: Sequence[Traveller], rows: int | None) -> Iterator[list[Traveller]]:
    alike: dict[tuple[torch.Size, bool], list[Traveller]] = {}
    for each in travellers:
        alike.setdefault((each.x.shape, each.heard.negative is None), []).append(each)
    for group in alike.values():
        for begin in range(0, len(group), rows or len(group)):
            yield group[begin : begin + (rows or len(group))]


def _evaluated(path: DirectPath, group: Sequence[Traveller], rows: int) -> Iterator[Traveller]:
    batch = [*group, *[group[-1]] * (rows - len(group))]
    x = path.evaluate(
        torch.cat([each.x for each in batch]),
        Rows([each.plan[each.step] for each in batch], group[0].x.device, group[0].x.dtype),
        together([each.heard for each in batch]),
        torch.cat([each.latent for each in batch]),
        torch.cat([each.fresh() for each in batch]),
    )
    for row, each in enumerate(group):
        yield replace(each, step=each.step + 1, x=x[row : row + 1])
