"""LoRAs written into a network where its weights lie: what a fused reload gives, back to the bit, and only where they fit."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cmstream.core.errors import CmstreamError, ConfigurationError, EngineFailed, Unavailable, WeightsRejected
from cmstream.models.latent.header import read_header
from cmstream.models.latent.loading import Loaded, load_folder
from cmstream.models.latent.lora import Adaptation, read_lora
from cmstream.models.latent.lora_shelf import LoraShelf, lora_places
from cmstream.models.latent.reference import HubReference
from tests.models.latent.checkpoints import write_lora
from tests.models.latent.conftest import Checkpoints

TIMEOUT_S = 10


@pytest.fixture
def loaded(checkpoint: Checkpoints) -> Loaded:
    """One's own: its weights are written to."""
    return load_folder(checkpoint("sd-turbo"))


@pytest.fixture(scope="module")
def ink(checkpoint: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lora(tmp_path_factory.mktemp("ink"), checkpoint("sd-turbo"), seed=1)


@pytest.fixture(scope="module")
def wash(checkpoint: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lora(tmp_path_factory.mktemp("wash"), checkpoint("sd-turbo"), seed=2, rank=8)


def state(loaded: Loaded) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in loaded.path.network.module.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], atol: float = 0.0) -> bool:
    return all(torch.allclose(value, other[name], atol=atol, rtol=0) for name, value in one.items())


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")  # of the reload: two adapters are meant
def test_a_swapped_mix_equals_a_fused_reload_keeps_every_pointer_and_is_taken_back_to_the_bit(
    loaded: Loaded, checkpoint: Checkpoints, ink: Path, wash: Path
) -> None:
    loras = {"ink": read_lora(ink, loaded), "wash": read_lora(wash, loaded)}
    plain, adaptation = state(loaded), Adaptation(loaded.path.network.module)
    pointers = [weight.data_ptr() for weight in loaded.path.network.module.parameters()]
    for mix in ((("wash", 1.0),), (("ink", 0.7), ("wash", -0.3)), (("ink", 2.0),)):
        adaptation.turn_to(mix, loras)
        pipeline = load_folder(checkpoint("sd-turbo")).pipeline
        for name, path in (("ink", ink), ("wash", wash)):
            pipeline.load_lora_weights(path, adapter_name=name)
        pipeline.set_adapters([name for name, _ in mix], [weight for _, weight in mix])
        pipeline.fuse_lora(adapter_names=[name for name, _ in mix])
        pipeline.unload_lora_weights()
        assert same(state(loaded), pipeline.unet.state_dict(), atol=1e-6)
        assert not same(state(loaded), plain, atol=1e-3)
    adaptation.turn_to((), loras)
    assert same(state(loaded), plain)
    assert [weight.data_ptr() for weight in loaded.path.network.module.parameters()] == pointers


def test_a_lora_as_other_trainers_write_it_is_read_with_its_alpha(loaded: Loaded, ink: Path, tmp_path: Path) -> None:
    renamed: dict[str, torch.Tensor] = {}
    for name, value in load_file(ink).items():
        layer, _, rest = name.removeprefix("unet.").partition(".lora")
        kohya = "lora_unet_" + layer.replace(".", "_")
        renamed[f"{kohya}.lora_{'down' if 'A' in rest else 'up'}.weight"] = value
        renamed[f"{kohya}.alpha"] = torch.tensor(2.0)  # of rank 4: half as strong
    save_file(renamed, tmp_path / "kohya.safetensors")
    plain, half = read_lora(ink, loaded), read_lora(tmp_path / "kohya.safetensors", loaded)
    assert half.layers.keys() == plain.layers.keys()
    for name in plain.layers:
        torch.testing.assert_close(half.delta(name), plain.delta(name) / 2)


def test_a_lora_for_another_base_is_refused_with_what_does_not_fit(
    loaded: Loaded, checkpoint: Checkpoints, tmp_path: Path
) -> None:
    before = state(loaded)
    other = write_lora(tmp_path, checkpoint("sdxl-turbo"), seed=1)
    with pytest.raises(WeightsRejected, match="another base model|cannot be loaded") as caught:
        read_lora(other, loaded)
    assert "\n" not in str(caught.value)
    assert same(state(loaded), before)


@pytest.mark.parametrize("kind", ["half", "pickle", "absent", "no LoRA", "not finite"])
def test_a_file_that_is_no_whole_lora_is_one_sentence(loaded: Loaded, ink: Path, tmp_path: Path, kind: str) -> None:
    path = Path(shutil.copy(ink, tmp_path / "mine.safetensors"))
    match kind:
        case "half":
            path.write_bytes(path.read_bytes()[:-100])
        case "pickle":
            path = path.rename(tmp_path / "mine.bin")
        case "absent":
            path.unlink()
        case "no LoRA":
            save_file({"unet.conv_in.weight": torch.zeros(3)}, path)
        case _:
            save_file({name: torch.full_like(value, torch.nan) for name, value in load_file(ink).items()}, path)
    with pytest.raises(WeightsRejected) as caught:
        read_lora(path, loaded)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_shelf_reads_each_once_off_the_callers_time_and_a_bad_one_is_told_to_who_asked(
    loaded: Loaded, ink: Path, tmp_path: Path
) -> None:
    go, fetched = threading.Event(), list[str]()
    read_header(ink)

    def fetch(name: str) -> Path:
        assert go.wait(TIMEOUT_S)
        fetched.append(name)
        return ink if name == "ink" else tmp_path / "absent.safetensors"

    shelf = LoraShelf(("ink", "bad"), fetch, loaded)
    try:
        asked = [shelf.prepare(["ink"]) for _ in range(3)]
        bad = shelf.prepare(["ink", "bad"])
        assert not any(one.done() for one in asked)
        with pytest.raises(EngineFailed, match="was not read before"):
            shelf.taken(["ink"])
        go.set()
        for one in asked:
            one.result(TIMEOUT_S)
        with pytest.raises(WeightsRejected, match="absent"):
            bad.result(TIMEOUT_S)
        assert shelf.taken(["ink"]).keys() == {"ink"}
        shelf.prepare(["ink"]).result(0)
        assert fetched == ["ink", "bad"]
    finally:
        shelf.close()
    with pytest.raises(Unavailable, match="closed"):
        shelf.prepare(["bad"])


def test_places_are_read_from_settings() -> None:
    found = lora_places(("ink=/x/ink.safetensors", "a_1=hf:owner/name", "b-2=hf:owner/name@v1/some.safetensors"))
    assert found == {
        "ink": Path("/x/ink.safetensors"),
        "a_1": (HubReference("owner/name"), "pytorch_lora_weights.safetensors"),
        "b-2": (HubReference("owner/name", "v1"), "some.safetensors"),
    }


@pytest.mark.parametrize("told", ["ink", "=x", "ink=", "i k=x", "../x=y", "ink=hf:../x", "ink=hf:a/b/../../c.safetensors"])
def test_a_place_that_is_none_says_how_to_write_one(told: str) -> None:
    with pytest.raises(CmstreamError, match=r"name=path|hf:owner/name"):
        lora_places((told,))
    with pytest.raises(ConfigurationError, match="each name once"):
        lora_places(("ink=a.safetensors", "ink=b.safetensors"))
