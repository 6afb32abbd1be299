"""`python -m cmstream.cli.bench_readme REPORT.json`: keeps a whole report as docs/bench.json, its table in the README."""

from __future__ import annotations

import sys
from pathlib import Path

from cmstream.bench.baseline import load_baseline
from cmstream.bench.markdown import is_whole, markdown, replaced
from cmstream.core.errors import CmstreamError, InvalidInput


def refresh(report: Path, root: Path) -> None:
    """Write both below `root`. Raises InvalidInput when the report lacks a part of the table; then nothing is written."""
    measured = load_baseline(report)
    if not is_whole(measured):
        raise InvalidInput(f"{report} is not of everything, so the README keeps its table; run: cmstream bench --out {report}")
    readme = root / "README.md"
    text = replaced(readme.read_text(encoding="utf-8"), markdown(measured))
    readme.write_text(text, encoding="utf-8")
    (root / "docs" / "bench.json").write_text(report.read_text(encoding="utf-8"), encoding="utf-8")


if __name__ == "__main__":
    try:
        refresh(Path(sys.argv[1]), Path.cwd())
    except CmstreamError as error:
        sys.exit(str(error))
