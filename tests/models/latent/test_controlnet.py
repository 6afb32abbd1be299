"""A ControlNet keeps edges as diffusers' own pipelines do, row by row."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionControlNetImg2ImgPipeline, StableDiffusionXLControlNetImg2ImgPipeline
from torch import Generator, Tensor

from cmstream.core.errors import EngineFailed, WeightsRejected
from cmstream.models.latent.controlnet import controlled
from cmstream.models.latent.direct import Heard
from cmstream.models.latent.edges import canny
from cmstream.models.latent.hints import Edges, Hints
from cmstream.models.latent.loading import Loaded
from cmstream.models.latent.network import UNet
from cmstream.models.latent.schedule import plan
from tests.models.latent.conftest import Load
from tests.models.latent.hinting import together, write_controlnet
from tests.models.latent.test_direct import TOLERANCE, apart, noises, source

Controlled = Callable[[str], Loaded]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, load: Load) -> Callable[[str], Path]:
    root, made = tmp_path_factory.mktemp("controlnets"), dict[str, Path]()

    def of(name: str) -> Path:
        if name not in made:
            made[name] = write_controlnet(root / name, load(name))
        return made[name]

    return of


@pytest.fixture
def model(load: Load, folders: Callable[[str], Path]) -> Controlled:
    return lambda name: controlled(load(name), folders(name))


def edges(seed: int = 0) -> Tensor:
    return (torch.rand(1, 3, 64, 64, generator=Generator().manual_seed(seed)) > 0.8).float()


def heard(loaded: Loaded, scale: float | None, text: str = "a red cat", seed: int = 0, **more: Any) -> Heard:
    hints = Hints() if scale is None else Hints(Edges(edges(seed), torch.tensor([scale])))
    negative = loaded.text.encode(more["negative"]) if "negative" in more else None
    return Heard(loaded.text.encode(text), torch.tensor([more.get("guidance", 1.0)]), negative, hints)


def painted(loaded: Loaded, told: Heard, strength: float = 0.5) -> Tensor:
    return loaded.path.paint(source(), noises(loaded, 3), [plan(loaded.family, 2, strength)], told)


def through_diffusers(loaded: Loaded, scale: float, **more: Any) -> Tensor:
    is_xl = loaded.checkpoint.pipeline.startswith("StableDiffusionXL")
    kind = StableDiffusionXLControlNetImg2ImgPipeline if is_xl else StableDiffusionControlNetImg2ImgPipeline
    none = {} if is_xl else {"requires_safety_checker": False}
    assert isinstance(loaded.path.network, UNet)
    pipeline = kind(**loaded.pipeline.components, controlnet=loaded.path.network.control, **none)
    pipeline.set_progress_bar_config(disable=True)
    asked = {"num_inference_steps": 4, "strength": 0.5, "guidance_scale": 1.0, "output_type": "pt"} | more
    images = {"image": (source() + 1) / 2, "control_image": edges()}
    generator = Generator().manual_seed(0)
    found = pipeline("a red cat", **images, controlnet_conditioning_scale=scale, generator=generator, **asked).images
    return torch.as_tensor(found) * 2 - 1


@pytest.mark.parametrize(("name", "scale"), [("sd-turbo", 0.4), ("sdxl-turbo", 1.0), ("sd21-v", 1.0), ("tcd", 0.6)])
def test_edges_are_kept_as_the_pipeline_keeps_them(model: Controlled, name: str, scale: float) -> None:
    loaded = model(name)
    more = {"eta": loaded.family.eta} if name == "tcd" else {}
    found = painted(loaded, heard(loaded, scale))
    assert apart(found, through_diffusers(loaded, scale, **more)) <= TOLERANCE
    assert apart(found, painted(loaded, heard(loaded, None))) > 1e-3


def test_classifier_free_guidance_keeps_them_on_both_sides(model: Controlled) -> None:
    loaded = model("sd-turbo")
    found = painted(loaded, heard(loaded, 0.8, negative="blurry", guidance=2.5))
    assert apart(found, through_diffusers(loaded, 0.8, guidance_scale=2.5, negative_prompt="blurry")) <= TOLERANCE


def test_rows_with_edges_and_without_share_a_batch(model: Controlled) -> None:
    loaded = model("sd-turbo")
    told = [heard(loaded, 0.9), heard(loaded, None, "fog"), heard(loaded, 0.3, seed=2), heard(loaded, 0.0)]
    plans = [plan(loaded.family, 2, 0.5)] * 4
    both = loaded.path.paint(source().repeat(4, 1, 1, 1), noises(loaded, 3).repeat(4, 1, 1, 1, 1), plans, together(told))
    for row, one in enumerate(told):
        torch.testing.assert_close(both[row : row + 1], painted(loaded, one), atol=1e-5, rtol=0)
    assert apart(painted(loaded, told[3]), painted(loaded, heard(loaded, None))) <= 1e-6


def test_the_frames_own_edges_are_a_hint(model: Controlled) -> None:
    loaded = model("sd-turbo")
    told = Heard(loaded.text.encode("fog"), torch.ones(1), hints=Hints(Edges(canny(source()), torch.tensor([1.0]))))
    assert torch.isfinite(painted(loaded, told)).all()


def test_edges_without_a_controlnet_are_an_error_of_their_batch(load: Load) -> None:
    loaded = load("sd-turbo")
    with pytest.raises(EngineFailed, match="no ControlNet was loaded"):
        painted(loaded, heard(loaded, 1.0))
    sana = load("sana-sprint")
    with pytest.raises(EngineFailed, match="SANA hears neither"):
        painted(sana, heard(sana, 1.0))


@pytest.fixture
def folder(folders: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folders("sd-turbo"), tmp_path / "mine"))


def refusal(loaded: Loaded, folder: Path) -> str:
    with pytest.raises(WeightsRejected) as caught:
        controlled(loaded, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


WEIGHTS = "diffusion_pytorch_model.safetensors"


def test_a_controlnet_of_another_base_is_refused(load: Load, folders: Callable[[str], Path], folder: Path) -> None:
    assert "made for another base: its cross_attention_dim is 64" in refusal(load("sd-turbo"), folders("sdxl-turbo"))
    assert "made for another base: its cross_attention_dim is 32" in refusal(load("sdxl-turbo"), folder)
    assert "this model is of another" in refusal(load("sana-sprint"), folder)


def test_what_is_no_controlnet_or_not_whole_is_refused(load: Load, folder: Path) -> None:
    loaded, content = load("sd-turbo"), (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:-5])
    assert "half-downloaded" in refusal(loaded, folder)
    (folder / WEIGHTS).rename(folder / "diffusion_pytorch_model.bin")
    assert "is a pickle by its name" in refusal(loaded, folder)
    (folder / "diffusion_pytorch_model.bin").unlink()
    assert "has no diffusion_pytorch_model.safetensors" in refusal(loaded, folder)
    (folder / WEIGHTS).write_bytes(content)
    edit(folder / "config.json", layers_per_block=2)
    assert "does not fit its config" in refusal(loaded, folder)
    edit(folder / "config.json", _class_name="T2IAdapter")
    assert "is a T2IAdapter, not a ControlNetModel" in refusal(loaded, folder)
    assert "cannot be read" in refusal(loaded, folder / "absent")
