"""Makes cmstream/v1 from the protos, or proves it fresh.

    python protos/generate.py            write cmstream/v1
    python protos/generate.py --check    exit 1 and name the files that differ

The generator lives in an environment of its own (.venv-protoc, made on first use) because generated code is accepted by
protobuf runtimes from the generator's version on: it must be the oldest that pyproject.toml allows, not the newest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Generated code runs on protobuf 6.31.1 and later, and on grpcio 1.76 and later: the lower bounds in pyproject.toml.
GENERATOR = ("grpcio-tools==1.76.0", "protobuf==6.31.1", "mypy-protobuf==3.7.0", "setuptools<81")
PROTOS = Path(__file__).resolve().parent
TARGET = PROTOS.parent / "cmstream" / "v1"
INIT = '"""Generated from protos/cmstream/v1 by protos/generate.py. Do not edit."""\n'


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if cmstream/v1 is not fresh")
    check = parser.parse_args(arguments).check
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = Path(scratch) / "cmstream" / "v1"
        if check:
            return report(stale(fresh, TARGET))
        write(fresh, TARGET)
    return 0


def generate(out: Path) -> None:
    """Run the pinned generator on every proto, into `out`/cmstream/v1."""
    python = environment(PROTOS.parent / ".venv-protoc")
    sources = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "cmstream").rglob("*.proto"))
    plugins = [f"--plugin=protoc-gen-{name}={python.parent / f'protoc-gen-{name}'}" for name in ("mypy", "mypy_grpc")]
    outputs = [f"--{kind}_out={out}" for kind in ("python", "grpc_python")]
    stubs = [f"--{kind}_out=quiet:{out}" for kind in ("mypy", "mypy_grpc")]
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}  # mypy-protobuf's own messages are a major version older
    command = [python, "-m", "grpc_tools.protoc", f"-I{PROTOS}", *plugins, *outputs, *stubs, *sources]
    subprocess.run(command, check=True, cwd=PROTOS, env=quiet)
    made = out / "cmstream" / "v1"
    for path in (*made.glob("*_pb2_grpc.py"), *made.glob("*_pb2_grpc.pyi")):
        if "Stub" not in path.read_text():
            path.unlink()  # a file of messages only: its service stubs are empty
    (made / "__init__.py").write_text(INIT)


def environment(folder: Path) -> Path:
    """The Python of the generator's environment, made anew when its pins have changed."""
    python = folder / "bin" / "python"
    stamp = folder / "pins.txt"
    pins = "\n".join(GENERATOR)
    if not stamp.is_file() or stamp.read_text() != pins:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *GENERATOR], check=True)
        stamp.write_text(pins)
    return python


def stale(fresh: Path, target: Path) -> list[str]:
    """Names of files in `target` that are missing, left over or different from `fresh`."""
    names = {path.name for folder in (fresh, target) for path in folder.glob("*.py*")}
    return sorted(name for name in names if _text(fresh / name) != _text(target / name))


def write(fresh: Path, target: Path) -> None:
    """Make the generated files of `target` those of `fresh`."""
    target.mkdir(exist_ok=True)
    for path in target.glob("*.py*"):
        path.unlink()
    for path in fresh.glob("*.py*"):
        (target / path.name).write_text(path.read_text())


def report(names: list[str]) -> int:
    """Say what is stale, on stderr; returns the exit status."""
    if names:
        sys.stderr.write(f"cmstream/v1 is not what protos/ makes: {', '.join(names)}. Run: make proto\n")
    return 1 if names else 0


def _text(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
