"""A picture to look like is heard as in diffusers' own pipelines, with a scale for each row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage import data
from torch import Generator, Tensor

from cmstream.core.errors import EngineFailed, WeightsRejected
from cmstream.core.frame import Rgb
from cmstream.models.latent.direct import Heard
from cmstream.models.latent.hints import Hints, Likeness
from cmstream.models.latent.ip_adapter import fit_adapter
from cmstream.models.latent.likeness import PictureReader, clip_pixels
from cmstream.models.latent.loading import Loaded, load_folder
from cmstream.models.latent.schedule import plan
from tests.models.latent.conftest import Checkpoints, Load
from tests.models.latent.hinting import SEEN, together, write_adapter, write_image_encoder
from tests.models.latent.test_direct import TOLERANCE, apart, noises, source

PHOTOGRAPH = data.astronaut()  # type: ignore[no-untyped-call]  # scikit-image annotates none of its samples
PICTURE: Rgb = np.ascontiguousarray(PHOTOGRAPH[:300, :420])


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_image_encoder(tmp_path_factory.mktemp("image_encoder"))


@pytest.fixture(scope="module")
def fitted(
    tmp_path_factory: pytest.TempPathFactory, checkpoint: Checkpoints, load: Load, encoder: Path
) -> Callable[..., tuple[Loaded, PictureReader, Path]]:
    """A model with an adapter fitted for good, its reader, and the adapter's file; once for each."""
    root, made = tmp_path_factory.mktemp("adapters"), dict[tuple[str, bool], tuple[Loaded, PictureReader, Path]]()

    def of(name: str, *, is_fine: bool = False) -> tuple[Loaded, PictureReader, Path]:
        if (name, is_fine) not in made:
            file = write_adapter(root / f"{name}-{is_fine}.safetensors", load(name), is_fine=is_fine)
            loaded = load_folder(checkpoint(name))
            made[name, is_fine] = (loaded, fit_adapter(loaded, file, encoder), file)
        return made[name, is_fine]

    return of


def through_diffusers(folder: Path, file: Path, likeness: Likeness, scale: float, **more: Any) -> Tensor:
    loaded, weights = load_folder(folder), load_file(file)
    parts = {
        prefix: {name.removeprefix(f"{prefix}."): each for name, each in weights.items() if name.startswith(f"{prefix}.")}
        for prefix in ("image_proj", "ip_adapter")
    }
    pipeline = loaded.pipeline
    pipeline.unet._load_ip_adapter_weights([parts], low_cpu_mem_usage=False)
    pipeline.set_ip_adapter_scale(scale)
    pipeline.set_progress_bar_config(disable=True)
    asked: dict[str, Any] = {"num_inference_steps": 4, "strength": 0.5, "guidance_scale": 1.0, "output_type": "pt"} | more
    is_twice = asked["guidance_scale"] > 1
    embeds = torch.cat([likeness.against, likeness.picture]) if is_twice else likeness.picture
    found = pipeline(
        "a red cat", image=(source() + 1) / 2, ip_adapter_image_embeds=[embeds], generator=Generator().manual_seed(0), **asked
    ).images
    return torch.as_tensor(found) * 2 - 1


def heard(loaded: Loaded, likeness: Likeness | None, text: str = "a red cat", **more: Any) -> Heard:
    negative = loaded.text.encode(more["negative"]) if "negative" in more else None
    return Heard(loaded.text.encode(text), torch.tensor([more.get("guidance", 1.0)]), negative, Hints(likeness=likeness))


def painted(loaded: Loaded, told: Heard) -> Tensor:
    return loaded.path.paint(source(), noises(loaded, 3), [plan(loaded.family, 2, 0.5)], told)


@pytest.mark.parametrize(("name", "is_fine"), [("sd-turbo", False), ("sd-turbo", True), ("sdxl-turbo", False)])
def test_a_picture_is_heard_as_in_the_pipeline(
    fitted: Callable[..., tuple[Loaded, PictureReader, Path]], checkpoint: Checkpoints, name: str, is_fine: bool
) -> None:
    loaded, reader, file = fitted(name, is_fine=is_fine)
    likeness = reader.read(PICTURE, 0.6)
    found = painted(loaded, heard(loaded, likeness))
    assert apart(found, through_diffusers(checkpoint(name), file, likeness, 0.6)) <= TOLERANCE
    assert apart(found, painted(loaded, heard(loaded, None))) > 1e-3


def test_classifier_free_guidance_leads_away_from_no_picture(
    fitted: Callable[..., tuple[Loaded, PictureReader, Path]], checkpoint: Checkpoints
) -> None:
    loaded, reader, file = fitted("sd-turbo", is_fine=True)
    likeness = reader.read(PICTURE, 0.6)
    expected = through_diffusers(checkpoint("sd-turbo"), file, likeness, 0.6, guidance_scale=2.0, negative_prompt="blurry")
    assert apart(painted(loaded, heard(loaded, likeness, negative="blurry", guidance=2.0)), expected) <= TOLERANCE


def test_rows_with_a_picture_and_without_share_a_batch(
    fitted: Callable[..., tuple[Loaded, PictureReader, Path]], load: Load
) -> None:
    loaded, reader, _ = fitted("sd-turbo")
    other = np.ascontiguousarray(PICTURE[::-1])
    told = [
        heard(loaded, reader.read(PICTURE, 0.9)),
        heard(loaded, None, "fog"),
        heard(loaded, reader.read(other, 0.4)),
        heard(loaded, reader.read(PICTURE, 0.0)),
    ]
    plans = [plan(loaded.family, 2, 0.5)] * 4
    both = loaded.path.paint(source().repeat(4, 1, 1, 1), noises(loaded, 3).repeat(4, 1, 1, 1, 1), plans, together(told))
    for row, one in enumerate(told):
        torch.testing.assert_close(both[row : row + 1], painted(loaded, one), atol=1e-5, rtol=0)
    plain = load("sd-turbo")
    assert apart(painted(loaded, told[1]), painted(plain, heard(plain, None, "fog"))) <= 1e-6
    assert apart(painted(loaded, told[3]), painted(plain, heard(plain, None))) <= 1e-6


def test_a_picture_without_an_adapter_is_an_error_of_its_batch(load: Load) -> None:
    loaded = load("sd-turbo")
    nothing = Likeness(torch.zeros(1, 1, SEEN), torch.zeros(1, 1, SEEN), torch.ones(1))
    with pytest.raises(EngineFailed, match="no IP-Adapter was loaded"):
        painted(loaded, heard(loaded, nothing))


def test_pictures_are_scaled_by_the_shorter_side_and_cut_to_the_middle() -> None:
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 40:80] = 255
    found = clip_pixels(wide, 32)
    assert found.shape == (1, 3, 32, 32)
    assert float(found[..., 8:24, 8:24].min()) > 1.9  # white, normalised
    tall = clip_pixels(wide.transpose(1, 0, 2), 32)
    torch.testing.assert_close(tall, found.transpose(2, 3))


@pytest.mark.parametrize("scale", [-0.1, 1.5, float("nan")])
def test_a_scale_out_of_bounds_is_refused(fitted: Callable[..., tuple[Loaded, PictureReader, Path]], scale: float) -> None:
    with pytest.raises(ValueError, match="must be 0 to 1"):
        fitted("sd-turbo")[1].read(PICTURE, scale)


def refusal(loaded: Loaded, file: Path, encoder: Path) -> str:
    with pytest.raises(WeightsRejected) as caught:
        fit_adapter(loaded, file, encoder)
    assert "\n" not in str(caught.value)
    network: Any = loaded.path.network
    assert not getattr(network, "hears_likeness", False)
    return str(caught.value)


def test_adapters_that_do_not_fit_are_refused_before_the_network_is_touched(load: Load, encoder: Path, tmp_path: Path) -> None:
    mine, other = load("sd-turbo"), load("sdxl-turbo")
    file = write_adapter(tmp_path / "xl.safetensors", other)
    assert "was made for another base: ip_adapter.1.to_k_ip.weight has shape" in refusal(mine, file, encoder)
    assert "this model is of another" in refusal(load("sana-sprint"), file, encoder)
    save_file({"unet.down": torch.zeros(1)}, tmp_path / "lora.safetensors")
    assert "is no IP-Adapter" in refusal(mine, tmp_path / "lora.safetensors", encoder)
    faces = {"image_proj.proj.0.weight": torch.zeros(1), "ip_adapter.1.to_k_ip.weight": torch.zeros(1)}
    save_file(faces, tmp_path / "faces.safetensors")
    assert "for faces" in refusal(mine, tmp_path / "faces.safetensors", encoder)
    file = write_adapter(tmp_path / "mine.safetensors", mine)
    content = file.read_bytes()
    file.write_bytes(content[:-3])
    assert "half-downloaded" in refusal(mine, file, encoder)
    file.write_bytes(content)
    (tmp_path / "mine.bin").write_bytes(b"")
    assert "is a pickle" in refusal(mine, tmp_path / "mine.bin", encoder)
    fine = write_adapter(tmp_path / "fine.safetensors", mine, is_fine=True)
    narrow = load_file(fine)
    narrow["image_proj.proj_in.weight"] = narrow["image_proj.proj_in.weight"][:, :8].contiguous()
    save_file(narrow, fine)
    assert "not this adapter's image encoder: it sees 16 numbers, and the adapter hears 8" in refusal(mine, fine, encoder)
    assert "cannot be read" in refusal(mine, file, tmp_path / "absent")


def test_a_second_adapter_is_refused(fitted: Callable[..., tuple[Loaded, PictureReader, Path]], encoder: Path) -> None:
    loaded, _, file = fitted("sd-turbo")
    with pytest.raises(WeightsRejected, match="has an IP-Adapter already"):
        fit_adapter(loaded, file, encoder)
