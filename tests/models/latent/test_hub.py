"""Downloads against a stand-in for the hub on this machine (`hub_server`); the real hub was not asked."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from cmstream.core.errors import CmstreamError, NotFound, ResourceExhausted, Unavailable, WeightsRejected
from cmstream.models.latent.hub import Hub, RemoteFile, wanted_files
from cmstream.models.latent.reference import HubReference, parse_reference
from tests.models.latent.hub_server import COMMIT, FakeHub, serving

NAME = "someone/tiny"
REFERENCE = HubReference(NAME)
WEIGHTS = bytes(range(256)) * 4096


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    root = tmp_path / "remote"
    for path, content in {
        "model_index.json": b"{}",
        "README.md": b"not wanted",
        "whole.safetensors": b"not wanted",
        "unet/config.json": b"{}",
        "unet/diffusion_pytorch_model.safetensors": b"full precision, not wanted",
        "unet/diffusion_pytorch_model.fp16.safetensors": WEIGHTS,
        "unet/diffusion_pytorch_model.bin": b"never",
        "vae/config.json": b"{}",
        "vae/diffusion_pytorch_model.safetensors": b"vae",
        "evil/run.py": b"never",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    with serving({NAME: root}) as found:
        yield found


class Told(NamedTuple):
    calls: list[tuple[int, int]]

    def __call__(self, present: int, total: int) -> None:
        self.calls.append((present, total))


def quiet(present: int, total: int) -> None:
    assert 0 <= present <= total


def test_it_downloads_configs_and_one_set_of_weights_and_tells_how_far_it_is(hub: FakeHub, tmp_path: Path) -> None:
    told = Told([])
    folder = Hub(tmp_path / "models", endpoint=hub.endpoint).fetch(REFERENCE, told.__call__)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    wanted = {"unet/diffusion_pytorch_model.fp16.safetensors", "vae/diffusion_pytorch_model.safetensors"}
    assert found == wanted | {"model_index.json", "unet/config.json", "vae/config.json"}
    assert (folder / "unet/diffusion_pytorch_model.fp16.safetensors").read_bytes() == WEIGHTS
    present = [each for each, _ in told.calls]
    assert present[0] == 0
    assert present[-1] == told.calls[-1][1] == len(WEIGHTS) + 3 + 3 * 2
    assert present == sorted(present)


def test_weights_that_are_not_wanted_stay_there(hub: FakeHub, tmp_path: Path) -> None:
    folder = Hub(tmp_path / "models", endpoint=hub.endpoint).fetch(REFERENCE, quiet, without=frozenset({"vae"}))
    assert (folder / "vae/config.json").is_file()
    assert not (folder / "vae/diffusion_pytorch_model.safetensors").exists()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small chunks, so that a file of a test has several, and no waiting between tries."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 16)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub: FakeHub, tmp_path: Path) -> None:
    hub.cut_after = len(WEIGHTS) * 3 // 4
    folder = Hub(tmp_path / "models", endpoint=hub.endpoint).fetch(REFERENCE, quiet)
    assert (folder / "unet/diffusion_pytorch_model.fp16.safetensors").read_bytes() == WEIGHTS
    starts = [asked for _, path, asked in hub.asked if "fp16" in path and asked and not asked.startswith("bytes=0")]
    assert len(starts) == 1


@pytest.mark.usefixtures("impatient")
def test_after_a_download_that_failed_what_is_whole_is_not_asked_for_again(hub: FakeHub, tmp_path: Path) -> None:
    here = Hub(tmp_path / "models", endpoint=hub.endpoint)
    hub.cut_after = 100
    with pytest.raises(Unavailable, match="start again: files that are whole are kept"):
        here.fetch(REFERENCE, quiet)
    hub.cut_after = None
    hub.asked.clear()
    folder = here.fetch(REFERENCE, quiet)
    assert (folder / "unet/diffusion_pytorch_model.fp16.safetensors").read_bytes() == WEIGHTS
    assert not [path for method, path, _ in hub.asked if method == "GET" and path.endswith("model_index.json")]


@pytest.mark.usefixtures("impatient")
def test_a_download_that_is_called_off_stops_at_once_leaves_no_part_and_keeps_what_is_whole(
    hub: FakeHub, tmp_path: Path
) -> None:
    here, heard = Hub(tmp_path / "models", endpoint=hub.endpoint), Told([])

    def called_off(present: int, total: int) -> None:
        heard(present, total)
        if present > len(WEIGHTS) // 2:
            raise Unavailable("nobody waits for this model any more")

    with pytest.raises(Unavailable, match="nobody waits for this model any more"):
        here.fetch(REFERENCE, called_off)
    assert heard.calls[-1][0] < len(WEIGHTS) * 3 // 4
    left = {path.name for path in (tmp_path / "models").rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert not [name for name in left if "incomplete" in name]
    assert "model_index.json" in left
    hub.asked.clear()
    folder = here.fetch(REFERENCE, quiet)
    assert (folder / "unet/diffusion_pytorch_model.fp16.safetensors").read_bytes() == WEIGHTS
    assert not [path for method, path, _ in hub.asked if method == "GET" and path.endswith("model_index.json")]


def test_what_was_downloaded_is_found_offline_and_nothing_is_asked(hub: FakeHub, tmp_path: Path) -> None:
    folder = Hub(tmp_path / "models", endpoint=hub.endpoint).fetch(REFERENCE, quiet)
    hub.asked.clear()
    offline = Hub(tmp_path / "models", endpoint=hub.endpoint, offline=True)
    assert offline.fetch(REFERENCE, quiet) == folder
    assert offline.fetch(HubReference(NAME, COMMIT), quiet) == folder
    with pytest.raises(Unavailable, match="not downloaded"):
        offline.fetch(HubReference("someone/else"), quiet)
    assert hub.asked == []


def test_the_hubs_own_offline_flag_is_honoured(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Unavailable, match="not downloaded"):
        Hub(tmp_path / "models", endpoint=hub.endpoint).fetch(REFERENCE, quiet)
    assert hub.asked == []


def test_a_gated_model_says_where_to_accept_its_licence(hub: FakeHub, tmp_path: Path) -> None:
    hub.gated.add(NAME)
    with pytest.raises(Unavailable, match=f"accept its licence at https://huggingface.co/{NAME}, then set HF_TOKEN"):
        Hub(tmp_path / "models", endpoint=hub.endpoint).fetch(REFERENCE, quiet)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [(HubReference("nobody/nothing"), "has no model nobody/nothing"), (HubReference(NAME, "v9"), "has no revision v9")],
)
def test_a_missing_model_or_revision_is_named(hub: FakeHub, tmp_path: Path, reference: HubReference, expected: str) -> None:
    with pytest.raises(NotFound, match=expected):
        Hub(tmp_path / "models", endpoint=hub.endpoint).fetch(reference, quiet)


def test_no_network_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="check the network"):
        Hub(tmp_path / "models", endpoint="http://127.0.0.1:9").fetch(REFERENCE, quiet)


def test_too_little_room_is_seen_before_anything_is_downloaded(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cmstream.models.latent.hub.RESERVE_BYTES", 1 << 60)
    with pytest.raises(ResourceExhausted, match="free some space"):
        Hub(tmp_path / "models", endpoint=hub.endpoint).fetch(REFERENCE, quiet)
    assert not [path for _, path, _ in hub.asked if "resolve" in path]


def test_a_disk_that_fills_up_meanwhile_is_said(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **named: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    with pytest.raises(ResourceExhausted, match="is full"):
        Hub(tmp_path / "models", endpoint=hub.endpoint).fetch(REFERENCE, quiet)


def test_a_repository_of_pickles_is_refused_before_anything_is_downloaded(hub: FakeHub, tmp_path: Path) -> None:
    for path in hub.repositories[NAME].glob("unet/*.safetensors"):
        path.unlink()
    with pytest.raises(WeightsRejected, match="pickles only"):
        Hub(tmp_path / "models", endpoint=hub.endpoint).fetch(REFERENCE, quiet)
    assert not [path for _, path, _ in hub.asked if "resolve" in path]


def test_full_precision_is_taken_where_there_is_no_half() -> None:
    names = [
        "unet/model.safetensors.index.json",
        "unet/model-00001-of-00002.safetensors",
        "unet/model-00002-of-00002.safetensors",
    ]
    other = ["unet/diffusion_pytorch_model.non_ema.safetensors", "unet/flax_model.msgpack"]
    found = wanted_files(REFERENCE, [RemoteFile(name, 1) for name in names + other])
    assert sorted(one.path for one in found) == sorted(names)


@pytest.mark.parametrize(
    ("text", "revision"), [("hf:a/b", None), ("hf:Some-One/x_1.5@v1.0", "v1.0"), (f"hf:a/b@{COMMIT}", COMMIT)]
)
def test_names_on_the_hub_are_read(text: str, revision: str | None) -> None:
    found = parse_reference(text)
    assert found.revision == revision
    assert str(found) == text


@pytest.mark.parametrize(
    "text",
    ["hf:", "hf:a", "hf:../../etc/passwd", "hf:a/..", "hf:a/b/c", "hf:a/b@../x", "hf:a--b/c", "hf:/a/b", "hf:a/b\n", "hf:a /b",
     "hf:a/b@", "a/b", "hf:a/b?x=1", "hf:a/" + "b" * 200, "hf:a/b%2e%2e"],
)  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(CmstreamError, match="hf:owner/name"):
        parse_reference(text)
