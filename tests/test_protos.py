"""protos/generate.py: what counts as fresh. (That cmstream/v1 is fresh is `make check`, which has the generator.)"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", Path(__file__).parents[1] / "protos" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_missing_left_over_and_changed_files_are_all_stale(generate: ModuleType, tmp_path: Path) -> None:
    fresh, target = tmp_path / "fresh", tmp_path / "target"
    fresh.mkdir()
    target.mkdir()
    for name, made, there in (("a.py", "1", "1"), ("b.py", "1", "2"), ("c.pyi", "1", None), ("d.py", None, "1")):
        for folder, text in ((fresh, made), (target, there)):
            if text is not None:
                (folder / name).write_text(text)
    assert generate.stale(fresh, target) == ["b.py", "c.pyi", "d.py"]
    generate.write(fresh, target)
    assert generate.stale(fresh, target) == []


def test_a_stale_file_is_named_and_fails(generate: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.report([]) == 0
    assert generate.report(["frame_pb2.py"]) == 1
    assert "frame_pb2.py" in capsys.readouterr().err


def test_the_generator_is_the_oldest_that_the_package_allows(generate: ModuleType) -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert '"grpcio>=1.76"' in text
    assert "grpcio-tools==1.76.0" in generate.GENERATOR
    assert '"protobuf>=6.31.1,<8"' in text
    assert "protobuf==6.31.1" in generate.GENERATOR
