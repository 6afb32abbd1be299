"""Checkpoints in one file: unpacked once, and then what the folder that they were made of is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cmstream.core.errors import ResourceExhausted, WeightsRejected
from cmstream.models.latent.header import Header, read_header
from cmstream.models.latent.loading import load_folder
from cmstream.models.latent.reference import HubReference
from cmstream.models.latent.single_file import BASES, NETWORK, base_of, is_single_file, unpacked
from tests.models.latent.checkpoints import HIDDEN
from tests.models.latent.conftest import Checkpoints
from tests.models.latent.ldm import write_single_file


@pytest.fixture(scope="module")
def single(checkpoint: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_single_file(tmp_path_factory.mktemp("single") / "mine.safetensors", checkpoint("sd-turbo"))


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The width of tiny prompts is known too."""
    monkeypatch.setattr("cmstream.models.latent.single_file.BASES", {**BASES, HIDDEN: HubReference("tiny/tiny")})


@pytest.mark.usefixtures("known")
def test_a_single_file_becomes_the_folder_that_it_was_made_of_and_is_unpacked_once(
    single: Path, checkpoint: Checkpoints, tmp_path: Path
) -> None:
    asked: list[str] = []

    def configs_of(reference: HubReference) -> Path:
        asked.append(reference.repository)
        return checkpoint("sd-turbo")

    folder = unpacked(single, configs_of, tmp_path / "unpacked")
    found = load_folder(folder, tiny=checkpoint("sd-turbo") / "vae_tiny")
    own = load_folder(checkpoint("sd-turbo"))
    assert found.family == own.family
    state = own.path.network.module.state_dict()
    for name, value in found.path.network.module.state_dict().items():
        torch.testing.assert_close(value, state[name].half().float(), msg=name)
    one, other = (loaded.text.encode("fog").tokens for loaded in (found, own))
    torch.testing.assert_close(one, other, atol=0.02, rtol=0)
    vae = load_folder(folder, vae="full").pipeline.vae.state_dict()
    for name, value in load_folder(checkpoint("sd-turbo"), vae="full").pipeline.vae.state_dict().items():
        torch.testing.assert_close(vae[name], value.half().float(), msg=name)
    assert unpacked(single, configs_of, tmp_path / "unpacked") == folder
    assert asked == ["tiny/tiny"]
    assert [path.name for path in (tmp_path / "unpacked").iterdir()] == [folder.name], "nothing half-made is left"


@pytest.mark.parametrize(
    ("width", "repository"),
    [
        (768, "stable-diffusion-v1-5/stable-diffusion-v1-5"),
        (1024, "stabilityai/sd-turbo"),
        (2048, "stabilityai/stable-diffusion-xl-base-1.0"),
    ],
)
def test_the_base_is_known_by_the_width_of_prompts(width: int, repository: str) -> None:
    shapes: dict[str, tuple[int, ...]] = {f"{NETWORK}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, width)}
    assert base_of(Path("x.safetensors"), Header(shapes, {})).repository == repository


def test_what_is_no_such_checkpoint_is_told_apart(single: Path, tmp_path: Path) -> None:
    assert is_single_file(single)
    save_file({"some.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    assert not is_single_file(tmp_path / "other.safetensors")
    assert not is_single_file(tmp_path / "absent.safetensors")
    with pytest.raises(WeightsRejected, match="a network that is not known here"):
        base_of(single, read_header(single))


@pytest.mark.usefixtures("known")
def test_a_file_that_lacks_a_part_and_a_disk_without_room_leave_nothing_behind(
    single: Path, checkpoint: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "unpacked"
    save_file(
        {name: value for name, value in load_file(single).items() if name.startswith(NETWORK)}, tmp_path / "bare.safetensors"
    )
    with pytest.raises(WeightsRejected, match=r"bare\.safetensors is no whole checkpoint: .* appear to be missing") as caught:
        unpacked(tmp_path / "bare.safetensors", lambda _: checkpoint("sd15"), root)
    assert "\n" not in str(caught.value)
    assert list(root.iterdir()) == []
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(ResourceExhausted, match="free some space"):
        unpacked(single, lambda _: checkpoint("sd15"), root)
