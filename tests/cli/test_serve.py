"""`cmstream serve` as a process: the ready line, signals, and refusals."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

READY = re.compile(
    r"cmstream ready http=(http://127\.0\.0\.1:\d+) grpc=(127\.0\.0\.1:\d+) model=painter device=(cpu|cuda:\d+)\n"
)
FREE_PORTS = ("--http-port", "0", "--grpc-port", "0")


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "cmstream", "serve", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            yield process
        finally:
            process.kill()


def refused(folder: Path, *arguments: str) -> str:
    """What a server that cannot start says."""
    with serving(folder, *arguments) as process:
        out, err = process.communicate(timeout=50)
    assert process.returncode == 1, err
    assert out == ""
    return err.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_serves_and_ends_with_zero_within_five_seconds(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path, *FREE_PORTS) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = READY.fullmatch(line)
        assert ready, line
        with urllib.request.urlopen(f"{ready[1]}/readyz", timeout=5) as answer:
            assert answer.status == 200
        host, port = ready[2].split(":")
        socket.create_connection((host, int(port)), timeout=5).close()
        asked_s = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        took_s = time.monotonic() - asked_s
    assert process.returncode == 0, err
    assert took_s < 5
    assert out == "", "one line on stdout and no more"
    assert "Traceback" not in err


def test_a_signal_while_the_model_loads_ends_it_too(tmp_path: Path) -> None:
    with serving(tmp_path, *FREE_PORTS) as process:
        time.sleep(1.5)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=50)
    assert process.returncode in (0, -signal.SIGTERM), "-15: before Python had installed the handler"


@pytest.mark.parametrize("option", ["--http-port", "--grpc-port"])
def test_a_port_in_use_is_one_clear_line(tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        other = "--grpc-port" if option == "--http-port" else "--http-port"
        said = refused(tmp_path, option, port, other, "0")
    assert said.startswith("cmstream: ")
    assert port in said


def test_beyond_loopback_without_a_token_it_refuses(tmp_path: Path) -> None:
    said = refused(tmp_path, "--host", "0.0.0.0", *FREE_PORTS)
    assert "CMSTREAM_AUTH__TOKEN" in said


def test_an_unknown_model_and_a_pickle_are_refused_by_name(tmp_path: Path) -> None:
    assert "no model is called 'rembrandt'" in refused(tmp_path, "--model", "rembrandt", *FREE_PORTS)
    (tmp_path / "weights.pt").write_bytes(b"\x80\x04.")
    assert "pickle" in refused(tmp_path, "--model", "weights.pt", *FREE_PORTS)


def test_the_settings_file_of_the_working_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / "cmstream.toml").write_text("[http]\nprot = 1")
    assert "cmstream.toml:2: http.prot: unknown setting; did you mean http.port?" in refused(tmp_path, *FREE_PORTS)
