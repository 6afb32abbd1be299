"""docs/whip.md is true: every test it names exists, and no row of its table is without one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "whip.md").read_text(encoding="utf-8")
HEADS = ("| requirement", "| client", "| ---")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(HEADS)]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


@cache
def names_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_test_that_the_table_names_exists() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) > 30
    for file, name in named:
        assert name in names_in(ROOT / file), f"docs/whip.md names {file}::{name}, which is not there"


def test_every_requirement_is_held_by_a_test() -> None:
    assert len(ROWS) > 30
    assert [row for row in ROWS if not NAMED.search(row.rpartition("|")[0].rpartition("|")[2])] == []
