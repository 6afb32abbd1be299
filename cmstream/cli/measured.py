"""The measured table as Markdown: what was asked, one line a style, what was promised, and everything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from cmstream.training.claims import COUPLED, RIVALS, TEACHER, findings
from cmstream.training.contestants import ONE_STEP
from cmstream.training.exhibit import CLIPS
from cmstream.training.table import PAINTER, Cost, Estimate, Table

SCORES = {
    "psnr_db": ("same-z PSNR, dB", 1),
    "ssim": ("same-z SSIM", 2),
    "detail": ("detail", 2),
    "strokes": ("strokes", 2),
    "swd": ("SWD", 3),
    "gmsd": ("GMSD", 3),
    "edges": ("edges", 2),
    "diversity": ("diversity", 2),
    "flicker": ("flicker", 2),
    "warping": ("warping", 3),
    "ms": ("ms", 0),
}

LEGEND = """*PSNR, SSIM* and *strokes* (correlation of the high-passed pictures) are against the painting with the same noise.
*Detail*: high-frequency energy over the painter's, of all pictures together. *SWD*: sliced Wasserstein distance of patches
from paintings with other noise; the painter's own line is the floor. *GMSD* and *edges* (F1) are against the source.
*Diversity*: difference of two seeds' pictures over the painter's. *Flicker*: change of the picture of a still camera over
its sensor noise. *Warping*: error along exact motion. ± is the standard error over pictures."""


def markdown(table: Table) -> str:
    """The whole report."""
    parts = (_heading(table), _lines(_summary(table)), _lines(_promises(table)), _lines(_everything(table)))
    families = ("## One step, group by group", _lines(_groups(table)))
    return "\n\n".join((*parts[:2], "## What was promised", parts[2], *families, "## Everything", LEGEND, parts[3])) + "\n"


def _heading(table: Table) -> str:
    asked = table.setting
    setting = (
        f"{table.machine}, float32. Three photographs and {asked.scenes} scenes of every family, two seeds each, "
        f"{asked.clips} clips; seed {asked.seed}."
    )
    models = [_model(label, about, table.costs[label]) for label, about in asked.models.items()]
    return "\n\n".join((f"# Measured at {asked.size_px}²", setting, "\n".join(models)))


def _model(label: str, about: Mapping[str, str], cost: Cost) -> str:
    made = f"{about['objective'] or 'no objective named'}, {about['steps'] or 'unknown'} steps, sha256 {about['sha256'][:12]}"
    return f"- {label}: `{about['file']}` ({made}), {cost.evaluations} evaluations of {cost.gmac / cost.evaluations:.2f} GMAC"


def _summary(table: Table) -> Iterator[list[str]]:
    yield ["style", "detail", "SWD", "teacher's", "over teacher's", "floor", "warping / painter's", "flicker / painter's"]
    for style in table.styles:
        yield [
            style,
            _said(table.detail(style, ONE_STEP)),
            *(_said(table.mean(style, who, "swd")) for who in (ONE_STEP, TEACHER)),
            _said(table.ratio(style, "swd", ONE_STEP, TEACHER)),
            _said(table.mean(style, PAINTER, "swd")),
            *(_said(table.ratio(style, score, ONE_STEP, PAINTER)) for score in ("warping", "flicker")),
        ]


def _promises(table: Table) -> Iterator[list[str]]:
    yield ["", "style", "promise", "measured"]
    for found in findings(table):
        yield ["kept" if found.kept else "**not kept**", found.style, found.claim, found.figure]


def _groups(table: Table) -> Iterator[list[str]]:
    groups = [group for group in dict.fromkeys(row.group for row in table.rows) if group != CLIPS]
    yield ["style", *(f"{group}: {score}" for group in groups for score in ("detail", "SWD", "floor"))]
    for style in table.styles:
        found = (
            (table.detail(style, ONE_STEP, {group}), *(table.mean(style, who, "swd", {group}) for who in (ONE_STEP, PAINTER)))
            for group in groups
        )
        yield [style, *(_said(each, short=True) for three in found for each in three)]


def _everything(table: Table) -> Iterator[list[str]]:
    yield ["style", "model", *(title for title, _ in SCORES.values())]
    for style in table.styles:
        for who in table.contestants(style):
            yield [style, who, *(_cell(table, style, who, score) for score in SCORES)]
        for absent in sorted({TEACHER, COUPLED, *RIVALS} - set(table.contestants(style))):
            yield [style, absent, "not measured", *[""] * (len(SCORES) - 1)]


def _cell(table: Table, style: str, who: str, score: str) -> str:
    found = table.detail(style, who) if score == "detail" else table.mean(style, who, score)
    if found is None:
        return ""
    # The painter is its own target: the figure says nothing.
    return "∞" if score == "psnr_db" and found.value > 100 else f"{found.value:.{SCORES[score][1]}f}"


def _said(found: Estimate | None, short: bool = False) -> str:
    if found is None:
        return "not measured"
    return f"{found.value:.2f}" if short else str(found)


def _lines(rows: Iterable[list[str]]) -> str:
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))
