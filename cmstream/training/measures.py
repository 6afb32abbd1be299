"""One style measured: everyone who knows it paints every exhibit, and each picture is held to the painter's own.

No score here needs a downloaded network, and none is called what it is not. All are of clean sources: the painter and
the networks see the same picture. Sensor noise is for the flicker alone, where both see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter

import torch
from torch import Generator, Tensor

from cmstream.training.contestants import Contestant, Paint
from cmstream.training.exhibit import CLIPS, PHOTOGRAPHS, Exhibit
from cmstream.training.losses import psnr_db
from cmstream.training.painters import PAINTERS, Painter
from cmstream.training.sharpness import detail_energy, rms, ssim, stroke_correlation
from cmstream.training.steadiness import Moved, flicker, warping_error
from cmstream.training.structure import edge_f1, gmsd
from cmstream.training.table import PAINTER, Row
from cmstream.training.wasserstein import Reference

Tick = Callable[[str, int], None]
"""(who painted, of how much work this was a part); see `work_of`."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one contestant's pictures of one exhibit in one style, means over two seeds where a seed is enough."""

    psnr_db: float
    """Against the painter's painting with the same noise, and so are the next two."""
    ssim: float
    strokes: float
    """Correlation of the high-passed pictures."""
    energy: float
    """High-frequency energy of the picture: over the painter's it is `Table.detail`."""
    swd: float
    """Sliced Wasserstein distance of the picture's patches from those of two paintings with other noise."""
    gmsd: float
    """Gradient magnitude similarity deviation from the source."""
    edges: float
    """F1 of the edges against the source's."""
    diversity: float
    """Root mean square difference between two seeds' pictures over that between two seeds' paintings."""
    ms: float
    """For one picture, on this machine."""


@dataclass(frozen=True, slots=True)
class Sitter:
    """An exhibit, what the painter makes of it with two seeds, and the patches of what it makes with two more."""

    picture: Tensor
    noise: tuple[Tensor, Tensor]
    paintings: tuple[Tensor, Tensor]
    others: Reference


def sitter(painter: Painter, picture: Tensor, seed: int) -> Sitter:
    """`picture` [1,3,S,S] painted with `seed` and the three after it; directions of patches are the seed's too."""
    noise = [torch.randn(picture.shape, generator=Generator().manual_seed(seed + number)) for number in range(4)]
    first, second, *others = (painter.paint(picture, each) for each in noise)
    return Sitter(picture, (noise[0], noise[1]), (first, second), Reference(torch.cat(others), seed))


def score(paint: Paint, of: Sitter) -> Scores:
    """Scores of `paint`."""
    start_s = perf_counter()
    outputs = [paint(of.picture, each) for each in of.noise]
    took_ms = 1000 * (perf_counter() - start_s) / len(outputs)
    first, second = outputs
    painting = of.paintings[0]
    return Scores(
        psnr_db=psnr_db(float((first - painting).square().mean())),
        ssim=ssim(first, painting),
        strokes=stroke_correlation(first, painting),
        energy=sum(detail_energy(each) for each in outputs) / len(outputs),
        swd=sum(of.others.distance(each) for each in outputs) / len(outputs),
        gmsd=gmsd(first, of.picture),
        edges=edge_f1(first, of.picture),
        diversity=rms(first - second) / rms(of.paintings[0] - of.paintings[1]),
        ms=took_ms,
    )


@torch.inference_mode()
def measure(
    style: str,
    everyone: Sequence[Contestant],
    exhibits: Sequence[Exhibit],
    clips: Sequence[tuple[str, Moved]],
    seed: int,
    tick: Tick,
) -> Iterator[Row]:
    """Rows of whoever knows `style`: the scores of every exhibit, flicker of photographs, warping errors of clips."""
    those = [(each, each.in_style(style)) for each in everyone if style in each.styles]
    for number, exhibit in enumerate(exhibits):
        # Every exhibit has noise and directions of its own, so that a mean is over those too.
        subject = sitter(PAINTERS[style], exhibit.picture, seed + 100 * number)
        for who, paint in those:
            scores = asdict(score(paint, subject))
            if exhibit.group == PHOTOGRAPHS:
                scores["flicker"] = flicker(paint, exhibit.picture, subject.noise[0])
            tick(who.label, _weight(who) * (2 if exhibit.group == PHOTOGRAPHS else 1))
            yield Row(style, who.label, exhibit.group, exhibit.name, scores)
    for name, clip in clips:
        for who, paint in those:
            error = warping_error(paint, clip)
            tick(who.label, _weight(who))
            yield Row(style, who.label, CLIPS, name, {"warping": error})


def work_of(style: str, everyone: Sequence[Contestant], exhibits: Sequence[Exhibit], clips: int) -> int:
    """What the ticks of `measure` add up to."""
    pairs = clips + sum(2 if exhibit.group == PHOTOGRAPHS else 1 for exhibit in exhibits)
    return pairs * sum(_weight(each) for each in everyone if style in each.styles)


def _weight(who: Contestant) -> int:
    """About how long two pictures and their scores take, in evaluations of the network."""
    return 8 + (4 if who.label == PAINTER else who.evaluations)
