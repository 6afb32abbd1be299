"""The images as their files describe them: parsed, not built (nothing here has a Docker daemon)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"


class Instruction(NamedTuple):
    stage: str
    word: str
    rest: str


def instructions() -> list[Instruction]:
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    stage, found = "", []
    for line in filter(str.strip, joined.splitlines()):
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            stage = rest.rsplit(" AS ", 1)[1]
        found.append(Instruction(stage, word, rest.strip()))
    return found


def of_stage(stage: str, word: str) -> list[str]:
    return [one.rest for one in instructions() if (one.stage, one.word) == (stage, word)]


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def test_there_is_a_cpu_and_a_cuda_target_on_one_runtime() -> None:
    assert of_stage("cpu", "FROM") == ["runtime AS cpu"]
    assert of_stage("cuda", "FROM") == ["runtime AS cuda"]


def test_the_base_image_is_pinned_to_a_full_version() -> None:
    bases = [one.rest for one in instructions() if one.word == "FROM"]
    assert all(base.startswith(("${PYTHON_IMAGE} AS ", "runtime AS ")) for base in bases)
    (image,) = of_stage("", "ARG")
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.11\.\d+-slim-bookworm", image)


def test_the_server_does_not_run_as_root() -> None:
    users = of_stage("runtime", "USER")
    assert users == ["10001"]
    assert not [one for one in instructions() if one.word == "USER" and one.rest in ("root", "0")]
    assert "--uid 10001" in " ".join(of_stage("runtime", "RUN"))


def test_the_health_check_asks_readyz_without_a_shell() -> None:
    (check,) = of_stage("runtime", "HEALTHCHECK")
    assert '["python", "-c"' in check
    assert "/readyz" in check


def test_every_install_is_held_to_the_tested_versions() -> None:
    for stage in ("install-cpu", "install-cuda"):
        (run,) = of_stage(stage, "RUN")
        assert "--constraint /tmp/constraints.txt" in run
        assert "--no-cache-dir" in run


def test_nothing_is_added_from_the_network_and_no_secret_is_baked_in() -> None:
    assert not [one for one in instructions() if one.word == "ADD"]
    assert not [one for one in instructions() if one.word in ("ENV", "ARG") and re.search("TOKEN|SECRET|PASSWORD", one.rest)]


def test_the_command_is_exec_form_so_that_sigterm_reaches_the_server() -> None:
    assert of_stage("runtime", "ENTRYPOINT") == ['["cmstream"]']
    assert of_stage("runtime", "CMD") == ['["serve", "--host", "0.0.0.0"]']


def test_what_the_builder_copies_exists_and_is_let_through_dockerignore() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")}
    for one in instructions():
        if one.word == "COPY" and not one.rest.startswith("--from"):
            for source in one.rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source in allowed, source


def test_compose_refuses_to_start_without_a_token() -> None:
    for name, service in compose()["services"].items():
        assert service["environment"]["CMSTREAM_AUTH__TOKEN"].startswith("${CMSTREAM_AUTH__TOKEN:?"), name


def test_compose_runs_the_cpu_by_default_and_the_gpu_on_request() -> None:
    services = compose()["services"]
    assert "profiles" not in services["cmstream"]
    assert services["cmstream"]["build"]["target"] == "cpu"
    assert services["cmstream-gpu"]["profiles"] == ["gpu"]
    assert services["cmstream-gpu"]["build"]["target"] == "cuda"


def test_compose_takes_every_right_away_that_the_server_does_not_need() -> None:
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_compose_mounts_the_reference_settings_where_the_server_looks() -> None:
    (workdir,) = of_stage("runtime", "WORKDIR")
    for service in compose()["services"].values():
        source, target, mode = service["volumes"][0].split(":")
        assert (DOCKER / source).is_file()
        assert target == f"{workdir}/cmstream.toml"
        assert mode == "ro"
