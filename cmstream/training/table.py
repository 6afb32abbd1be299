"""What was measured, as data: rows, how they came about, means and ratios with their errors, and the file that keeps them.

Knows nothing of pictures and networks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

PAINTER = "painter"
"""The contestant that all others are held to."""

VERSION = 1
"""Raised whenever a measure changes, so that figures of two kinds are never put side by side."""


@dataclass(frozen=True, slots=True)
class Row:
    """The scores of one contestant on one picture or clip in one style."""

    style: str
    contestant: str
    group: str
    picture: str
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Setting:
    """What was asked, and of which models; equal settings give equal figures on one machine, times aside."""

    size_px: int
    seed: int
    scenes: int
    """Of every family."""
    clips: int
    models: Mapping[str, Mapping[str, str]]
    """Contestant -> its file, digest, objective and training steps."""
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Cost:
    """What one picture costs a contestant."""

    evaluations: int
    gmac: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its standard error over pictures; that is nan for fewer than two."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.3f}" if math.isnan(self.error) else f"{self.value:.3f} ± {self.error:.3f}"


@dataclass(frozen=True, slots=True)
class Table:
    """All rows of one run."""

    setting: Setting
    machine: str
    costs: Mapping[str, Cost]
    rows: tuple[Row, ...]

    @property
    def styles(self) -> tuple[str, ...]:
        """In the order measured."""
        return tuple(dict.fromkeys(row.style for row in self.rows))

    def contestants(self, style: str) -> tuple[str, ...]:
        """Whoever was measured in `style`."""
        return tuple(dict.fromkeys(row.contestant for row in self.rows if row.style == style))

    def values(self, style: str, contestant: str, score: str, groups: Collection[str] = ()) -> dict[str, float]:
        """Picture -> `score`, of all pictures of `groups` (of any, if none is named) that have it."""
        return {
            row.picture: row.scores[score]
            for row in self.rows
            if (row.style, row.contestant) == (style, contestant)
            and score in row.scores
            and row.group in (groups or (row.group,))
        }

    def mean(self, style: str, contestant: str, score: str, groups: Collection[str] = ()) -> Estimate | None:
        """The mean over pictures, None where nothing was measured."""
        values = list(self.values(style, contestant, score, groups).values())
        return Estimate(mean(values), _standard_error(values)) if values else None

    def ratio(self, style: str, score: str, above: str, below: str, groups: Collection[str] = ()) -> Estimate | None:
        """Mean of `above` over mean of `below`, None where one was not measured.

        The error is of the ratio estimator (Cochran 1977, 6.4): both were held to the same pictures, paintings and
        directions, and what these do to both alike is no error of the ratio.
        """
        return _ratio(*(self.values(style, who, score, groups) for who in (above, below)))

    def detail(self, style: str, contestant: str, groups: Collection[str] = ()) -> Estimate | None:
        """High-frequency energy over the painter's: 1 is as sharp, 0 is blur.

        Of all pictures together: the ratio of one flat picture alone can be anything, and a mean of such ratios too.
        """
        return self.ratio(style, "energy", contestant, PAINTER, groups)

    def detail_error(self, style: str, contestant: str) -> Estimate | None:
        """How far the energy of each picture is from the painter's, over the painter's: 0 is as sharp in every picture.

        Unlike `detail`, nothing that is too sharp makes up for what is blurred elsewhere.
        """
        found, wanted = (self.values(style, who, "energy") for who in (contestant, PAINTER))
        if found.keys() != wanted.keys():
            return None
        return _ratio({picture: abs(found[picture] - wanted[picture]) for picture in found}, wanted)


def table_json(table: Table) -> str:
    """`table` as JSON; `read_table` is the way back."""
    return json.dumps(asdict(table), indent=1)


def read_table(path: Path) -> Table:
    """The table that `table_json` wrote into `path`. Raises OSError, and ValueError for anything else."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        costs = {label: Cost(**cost) for label, cost in found["costs"].items()}
        return Table(Setting(**found["setting"]), found["machine"], costs, tuple(Row(**row) for row in found["rows"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a table of measures ({error!r})") from error


def _ratio(a: Mapping[str, float], b: Mapping[str, float]) -> Estimate | None:
    if not a or a.keys() != b.keys() or not any(b.values()):
        return None
    ratio = mean(a.values()) / mean(b.values())
    residuals = [a[picture] - ratio * b[picture] for picture in a]
    return Estimate(ratio, _standard_error(residuals) / mean(b.values()))


def joined(tables: Iterable[Table]) -> Table:
    """Tables of the same setting as one."""
    first, *rest = tables
    return Table(first.setting, first.machine, first.costs, first.rows + tuple(row for each in rest for row in each.rows))


def _standard_error(values: list[float]) -> float:
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
