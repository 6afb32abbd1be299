"""What a soak writes: figures as JSON, and a picture of age and memory over time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cmstream.bench.slope import Slope
from tests.e2e.overload import Overload

WIDTH_PX, PANEL_PX, MARGIN_PX = 1000, 220, 56
INK, LINE, PAPER = (60, 50, 45), (40, 90, 220), 255

Points = Sequence[tuple[float, float]]


def write(folder: Path, figures: dict[str, Any], panels: Sequence[tuple[str, Points, Slope]]) -> None:
    """`soak.json` and `soak.png` in `folder`; a panel is a title, its points (second, value), and their slope."""
    folder.mkdir(parents=True, exist_ok=True)
    slopes = {title: asdict(slope) for title, _, slope in panels}
    (folder / "soak.json").write_text(json.dumps({**figures, "slopes": slopes}, indent=2) + "\n", encoding="utf-8")
    picture = np.vstack([_panel(*panel) for panel in panels])
    cv2.imwrite(str(folder / "soak.png"), picture)


def figures_of(run: Overload) -> dict[str, Any]:
    """The counts of both streams."""
    names = ("frames_received", "frames_delivered", "frames_dropped", "rung", "limiting_factor")
    return {name: {key: state[key] for key in names} for name, state in (("greedy", run.greedy), ("modest", run.modest))}


def _panel(title: str, points: Points, slope: Slope) -> Any:
    panel = np.full((PANEL_PX, WIDTH_PX, 3), PAPER, np.uint8)
    at_s, values = np.array(points).T
    top, left = float(values.max()) * 1.1, MARGIN_PX
    x = left + (at_s / max(at_s.max(), 1e-9) * (WIDTH_PX - 2 * MARGIN_PX)).astype(int)
    y = PANEL_PX - 30 - (values / top * (PANEL_PX - 70)).astype(int)
    cv2.polylines(panel, [np.stack([x, y], 1).astype(np.int32)], False, LINE, 1, cv2.LINE_AA)
    cv2.line(panel, (left, PANEL_PX - 30), (WIDTH_PX - MARGIN_PX, PANEL_PX - 30), INK, 1)
    interval = f"{slope.per_x:+.4f} ± {slope.within:.4f} a minute, 99 % sure"
    _write(panel, f"{title}: slope {interval}", (left, 24))
    _write(panel, f"{top:.0f}", (6, 48))
    _write(panel, "0", (6, PANEL_PX - 26))
    _write(panel, f"{at_s.max() / 60:.1f} min", (WIDTH_PX - MARGIN_PX - 40, PANEL_PX - 10))
    return panel


def _write(panel: Any, text: str, place: tuple[int, int]) -> None:
    cv2.putText(panel, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
