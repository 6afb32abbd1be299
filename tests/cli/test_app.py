"""The application as a whole: help, version, and errors as one line."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import cmstream as package
from cmstream.cli import loading
from cmstream.cli.app import app, run

Cmstream = Callable[..., Any]
COMMANDS = ("serve", "publish", "view", "stylize", "models", "swap", "train", "bench", "doctor")


def test_version(cmstream: Cmstream) -> None:
    assert cmstream("--version").out == f"cmstream {package.__version__}\n"


def test_no_arguments_and_help_list_every_command(cmstream: Cmstream) -> None:
    for arguments in ([], ["--help"]):
        outcome = cmstream(*arguments)
        assert outcome.code == 0
        for command in COMMANDS:
            assert f" {command} " in outcome.out


def test_there_is_no_command_beyond_those_of_the_contract() -> None:
    names = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert names == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example(cmstream: Cmstream, command: str) -> None:
    outcome = cmstream(command, "--help")
    assert outcome.code == 0
    assert f"Example:  cmstream {command}" in " ".join(outcome.out.split(" "))


def test_help_is_instant_and_loads_nothing_heavy() -> None:
    script = (
        "import sys; from cmstream.cli.app import run; run(['--help']);"
        "heavy = {'torch', 'numpy', 'av', 'grpc', 'aiohttp', 'aiortc', 'pydantic_settings', 'PIL', 'cv2'} & set(sys.modules);"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    took_s = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.returncode == 0, done.stderr
    assert min(took_s) < 0.5, "processor time, so that a busy machine does not decide"


@pytest.mark.parametrize(
    "arguments", [["no-such"], ["stylize"], ["serve", "--http-port", "many"], ["stylize", "a", "b", "--no-such"]]
)
def test_wrong_usage_is_one_line_that_points_to_the_help(cmstream: Cmstream, arguments: list[str]) -> None:
    outcome = cmstream(*arguments)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith("cmstream: ")
    assert "--help" in outcome.err


def test_verbose_shows_the_trace_wherever_it_stands(cmstream: Cmstream) -> None:
    for arguments in (["--verbose", "stylize", "absent.png", "b.png"], ["stylize", "absent.png", "b.png", "--verbose"]):
        outcome = cmstream(*arguments)
        assert outcome.code == 1
        assert "Traceback" in outcome.err
        assert outcome.err.rstrip().splitlines()[-1].startswith("cmstream: there is no absent.png")
    assert "Traceback" not in cmstream("stylize", "absent.png", "b.png").err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "pip install 'cmstream[server]'"),
        (OSError(28, "No space left on device"), "disk is full"),
        (PermissionError(13, "Permission denied", "/root/x"), "/root/x: Permission denied"),
        (RuntimeError("two\nlines"), "unexpected RuntimeError: two lines; run it again with --verbose"),
        (KeyboardInterrupt(), ""),
    ],
)
def test_every_error_becomes_one_line(
    cmstream: Cmstream, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, error: BaseException, said: str
) -> None:
    def fail(model: str | None, device: str | None) -> None:
        raise error

    source = tmp_path / "in.png"
    source.touch()
    monkeypatch.setattr(loading, "load_engine", fail)
    outcome = cmstream("stylize", source, tmp_path / "out.png")
    assert outcome.code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert said in outcome.err
    assert outcome.err.count("\n") == (1 if said else 0)


def test_the_module_and_the_script_are_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cmstream", "--version"], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == f"cmstream {package.__version__}\n"
    assert run(["--version"]) == 0
