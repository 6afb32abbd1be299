"""Rules of the house that a machine can check and no linter does."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

import cmstream

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cmstream"
LONGEST_FILE = 350
SOURCES = sorted(path for folder in ("cmstream", "tests") for path in (ROOT / folder).rglob("*.py") if "v1" not in path.parts)
MODULES = [path for path in SOURCES if path.is_relative_to(PACKAGE)]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_what_is_tested_is_what_is_installed() -> None:
    """In CI that is the wheel, in a checkout the checkout itself; never one shadowing the other."""
    direct_url = json.loads(distribution("cmstream").read_text("direct_url.json") or "{}")
    editable = direct_url.get("dir_info", {}).get("editable", False)
    expected = ROOT if editable else Path(sysconfig.get_path("purelib"))
    assert Path(cmstream.__file__).is_relative_to(expected)


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_no_file_is_longer_than_one_noun_needs(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_every_module_says_what_it_owns(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text)), "a module docstring says what it owns"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_module_is_named_after_nothing(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "misc", "common", "manager", "handler"}
    classes = [node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ClassDef)]
    assert not [name for name in classes if name.endswith(("Manager", "Handler", "Utils", "Helper"))]


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_every_ignore_carries_its_code(path: Path) -> None:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if "type: ignore" in line:
            assert "type: ignore[" in line, f"line {number}"
        if "# noqa" in line:
            assert "# noqa: " in line, f"line {number}"


@pytest.mark.parametrize("module", ["cmstream", "cmstream.client", "cmstream.wire", "cmstream.core.frame", "cmstream.cli.app"])
def test_importing_leaves_torch_and_the_server_unloaded(module: str) -> None:
    heavy = {"torch", "aiortc", "aiohttp", "pydantic_settings", "prometheus_client"}
    script = f"import sys, {module}; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""


def test_importing_the_server_leaves_torch_unloaded() -> None:
    """A server with another engine, and every transport test, must not wait for torch."""
    script = "import sys, cmstream.server; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


def test_every_dependency_has_a_tested_version() -> None:
    """A name that pyproject.toml asks for and constraints.txt does not pin is installed untested."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = {canonical(line) for line in [*project["dependencies"], *extras["server"], *extras["dev"]]} - {"cmstream"}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonical(line) for line in lines if "==" in line}
    assert asked <= pinned, f"not pinned: {asked - pinned}"
    assert "torch==2.13.0" in lines, "no local version: the same line must hold for CPU and CUDA builds"


def canonical(requirement: str) -> str:
    name = "".join(c if c.isalnum() or c in "-_." else " " for c in requirement).split()[0]
    return name.lower().replace("_", "-").replace(".", "-")


def test_every_module_is_covered_by_its_own_test_file() -> None:
    """`cmstream/a/b.py` by a file of tests/a, or tests/test_a.py; generated code and the entry point aside."""
    areas = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES} - {"__init__", "__main__"}
    tested = {path.name for path in (ROOT / "tests").iterdir()}
    missing = {area for area in areas if area not in tested and f"test_{area}.py" not in tested}
    assert missing <= {"settings_loader"}, f"no tests for {missing}"  # tested in test_settings.py
