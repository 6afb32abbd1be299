"""Every part of a report that has a picture gets one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmstream.bench.plots import check_plots, draw
from cmstream.bench.report import Report
from cmstream.core.errors import ConfigurationError
from tests.bench.reports import HARDWARE, WHOLE


def test_a_whole_report_is_drawn(tmp_path: Path) -> None:
    paths = draw(WHOLE, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["grpc-fake.png", "webrtc.png", "streams.png", "overload-painter.png"]
    for path in paths:
        with Image.open(path) as picture:
            assert picture.width > 800
            assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 20, "something is drawn"


def test_what_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    assert [path.name for path in draw(Report("1", HARDWARE, streams=WHOLE.streams), tmp_path)] == ["streams.png"]


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cmstream\[bench\]'"):
        check_plots()
