"""Folders that cannot be run: each is one sentence that says what to do."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from cmstream.core.errors import CmstreamError, ConfigurationError, ResourceExhausted, WeightsRejected
from cmstream.models.latent.family import Guidance, Prediction, Sampler, Strengths
from cmstream.models.latent.loading import load_folder
from tests.models.latent.conftest import Checkpoints, Load

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(checkpoint: Checkpoints, tmp_path: Path) -> Path:
    """A copy of a checkpoint, to be spoilt."""
    return Path(shutil.copytree(checkpoint("sd-turbo"), tmp_path / "mine"))


def refusal(folder: Path, kind: type[CmstreamError] = WeightsRejected) -> str:
    with pytest.raises(kind) as caught:
        load_folder(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("name", "sampler", "prediction", "guidance", "strengths"),
    [
        ("sd-turbo", Sampler.EULER, Prediction.EPSILON, Guidance.FREE, Strengths.CUT),
        ("sd21-v", Sampler.EULER, Prediction.V, Guidance.FREE, Strengths.CUT),
        ("sd-sample", Sampler.EULER, Prediction.SAMPLE, Guidance.FREE, Strengths.CUT),
        ("sdxl-turbo", Sampler.ANCESTRAL, Prediction.EPSILON, Guidance.FREE, Strengths.CUT),
        ("lcm", Sampler.LCM, Prediction.EPSILON, Guidance.EMBEDDED, Strengths.SHORTENED),
        ("tcd", Sampler.TCD, Prediction.EPSILON, Guidance.FREE, Strengths.CUT),
        ("sana-sprint", Sampler.SCM, Prediction.V, Guidance.EMBEDDED, Strengths.CUT),
    ],
)
def test_a_family_is_known_by_its_config(
    load: Load, name: str, sampler: Sampler, prediction: Prediction, guidance: Guidance, strengths: Strengths
) -> None:
    found = load(name).family
    assert (found.sampler, found.prediction, found.guidance, found.strengths) == (sampler, prediction, guidance, strengths)
    assert found.is_few_step


def test_an_ordinary_diffusion_model_is_loaded_with_a_warning(
    checkpoint: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    found = load_folder(checkpoint("sd15"))
    assert not found.family.is_few_step
    assert "add a LoRA" in caplog.text


def test_the_large_autoencoder_is_not_even_read_unless_it_is_asked_for(folder: Path) -> None:
    (folder / "vae/diffusion_pytorch_model.safetensors").unlink()
    assert type(load_folder(folder).path.autoencoder).__name__ == "TinyAutoencoder"
    with pytest.raises(WeightsRejected, match="vae has no .safetensors weights"):
        load_folder(folder, vae="full")


def test_without_a_tiny_autoencoder_it_says_where_to_put_one(folder: Path) -> None:
    shutil.rmtree(folder / "vae_tiny")
    assert "put one (TAESD) into its folder vae_tiny" in refusal(folder)
    assert type(load_folder(folder, vae="full").path.autoencoder).__name__ == "FullAutoencoder"


def test_a_folder_that_is_none_says_what_is_wanted(tmp_path: Path) -> None:
    assert "a folder as diffusers writes it" in refusal(tmp_path / "absent")
    (tmp_path / "model_index.json").write_text("[]")
    assert "not an object" in refusal(tmp_path)
    (tmp_path / "model_index.json").write_text("{")
    assert "not JSON" in refusal(tmp_path)


def test_another_architecture_is_named(folder: Path) -> None:
    edit(folder / "model_index.json", _class_name="FluxPipeline")
    message = refusal(folder)
    assert "FluxPipeline" in message
    assert "StableDiffusionXL" in message


def test_code_beside_the_weights_is_neither_imported_nor_run(folder: Path) -> None:
    ran = folder / "ran"
    (folder / "unet" / "my_unet.py").write_text(f"open({str(ran)!r}, 'w')")
    edit(folder / "model_index.json", unet=["my_unet", "MyUNet"])
    assert "its unet is a MyUNet" in refusal(folder)
    assert not ran.exists()


def test_pickles_are_refused_by_name(folder: Path) -> None:
    (folder / UNET).rename(folder / "unet/diffusion_pytorch_model.bin")
    message = refusal(folder)
    assert "diffusion_pytorch_model.bin is a pickle by its name" in message
    assert "convert it" in message


@pytest.mark.parametrize("part", ["unet", "vae_tiny", "text_encoder"])
def test_a_file_that_ends_early_is_half_downloaded(folder: Path, part: str) -> None:
    (path,) = (folder / part).glob("*.safetensors")
    content = path.read_bytes()
    for kept in (len(content) - 1, len(content) // 2, 20, 3):
        path.write_bytes(content[:kept])
        message = refusal(folder)
        assert "download it again" in message
        assert path.name in message


def test_a_part_that_is_missing_is_named(folder: Path) -> None:
    (folder / UNET).unlink()
    assert "unet has no .safetensors weights: it is half-downloaded" in refusal(folder)
    shutil.rmtree(folder / "text_encoder")
    assert "lacks its text_encoder" in refusal(folder)


def test_weights_of_another_network_are_refused_with_the_first_tensor(folder: Path, checkpoint: Checkpoints) -> None:
    shutil.copy(checkpoint("sdxl-turbo") / UNET, folder / UNET)
    assert "tensors that its config does not" in refusal(folder)
    shutil.copy(checkpoint("sd15") / UNET, folder / UNET)
    edit(folder / "unet/config.json", block_out_channels=[16, 24])
    assert "and its config asks for" in refusal(folder)


def test_an_inpainting_model_is_refused_by_its_channels(folder: Path) -> None:
    edit(folder / "unet/config.json", in_channels=9)
    assert "as for inpainting" in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"_class_name": "FlowMatchEulerDiscreteScheduler"}, "its scheduler"),
        ({"prediction_type": "flow"}, "prediction_type 'flow' is not one of"),
        ({"original_inference_steps": -1}, "original_inference_steps must be"),
        ({"timestep_scaling": "much"}, "timestep_scaling must be a number above 0"),
        ({"_class_name": "LCMScheduler", "clip_sample": True}, "clip_sample on, which is for models of pixels"),
        ({"_class_name": "DDIMScheduler", "thresholding": True}, "thresholding on"),
    ],
)
def test_an_unknown_way_of_sampling_is_refused(folder: Path, changes: dict[str, object], expected: str) -> None:
    edit(folder / "scheduler/scheduler_config.json", **changes)
    assert expected in refusal(folder)


def test_an_index_of_shards_cannot_climb_out_of_its_folder(folder: Path) -> None:
    (folder / UNET).unlink()
    index = {"weight_map": {"conv_in.weight": "../../secret.safetensors"}}
    (folder / f"{UNET}.index.json").write_text(json.dumps(index))
    assert "outside of its folder" in refusal(folder)


def test_a_config_of_nonsense_is_one_sentence(folder: Path) -> None:
    edit(folder / "unet/config.json", block_out_channels="many")
    assert "cannot be loaded" in refusal(folder)


def test_the_missing_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    assert "pip install 'cmstream[latent]'" in refusal(folder, ConfigurationError)


def test_too_little_memory_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **named: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr("diffusers.StableDiffusionImg2ImgPipeline.from_pretrained", full)
    assert "does not fit into memory" in refusal(folder, ResourceExhausted)


def test_half_precision_files_are_found(checkpoint: Checkpoints, tmp_path: Path) -> None:
    from diffusers import StableDiffusionImg2ImgPipeline

    pipeline = StableDiffusionImg2ImgPipeline.from_pretrained(checkpoint("sd-turbo"), dtype=torch.float16)
    pipeline.save_pretrained(tmp_path / "half", variant="fp16")
    shutil.copytree(checkpoint("sd-turbo") / "vae_tiny", tmp_path / "half/vae_tiny")
    found = load_folder(tmp_path / "half")
    assert found.checkpoint.variant == "fp16"
    assert next(found.path.network.module.parameters()).dtype is torch.float32
