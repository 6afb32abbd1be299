"""Builds the OBS filter and what drives its parts, once for all tests; blocking."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.lack import need

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "clients" / "obs"
BUILD = SOURCES / "build"
PACKAGES = (
    "obs-studio obs-plugins xvfb cmake g++ libobs-dev libgrpc++-dev libprotobuf-dev protobuf-compiler"
    " protobuf-compiler-grpc libturbojpeg0-dev doctest-dev"
)
NEEDED = ("obs", "Xvfb", "cmake", "g++", "protoc", "grpc_cpp_plugin")
HEADERS = ("obs/obs-module.h", "grpcpp/grpcpp.h", "google/protobuf/message.h", "turbojpeg.h", "doctest/doctest.h")
BUILD_TIMEOUT_S = 600.0


def missing() -> str | None:
    """What the tests of the filter lack here and how to get it, in one line; None when they can run."""
    absent = [name for name in NEEDED if shutil.which(name) is None]
    absent += [name for name in HEADERS if not list(Path("/usr/include").glob(f"**/{name}"))]
    return f"{', '.join(absent)} not installed: apt-get install {PACKAGES}" if absent else None


def need_obs() -> None:
    """Skip the test where OBS or what the filter is built with is absent; in CI that is a failure."""
    need(missing())


@cache
def built() -> Path:
    """The folder of the plugin and its harness, built when first called; what the compiler said is in `build.log` there."""
    need_obs()
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "build.log").open("w", encoding="utf-8") as log:
        run(log.fileno(), "cmake", "-S", str(SOURCES), "-B", str(BUILD), "-DCMSTREAM_HARNESS=ON")
        run(log.fileno(), "cmake", "--build", str(BUILD), "--parallel", str(os.cpu_count() or 1))
    return BUILD


def installed(home: Path) -> None:
    """The plugin in the plugin folder of a user whose configuration is in `home`."""
    prefix = home / "obs-studio" / "plugins"
    subprocess.run(["cmake", "--install", str(built()), "--prefix", str(prefix)], check=True, timeout=60, capture_output=True)


def run(log: int, *command: str) -> None:
    """One step of the build. Fails the test with the end of the log."""
    done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, timeout=BUILD_TIMEOUT_S, check=False)
    if done.returncode != 0:
        said = (BUILD / "build.log").read_text(encoding="utf-8")
        pytest.fail(f"{' '.join(command)} failed:\n{said[-4000:]}", pytrace=False)
