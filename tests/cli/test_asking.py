"""What a command asks of a model: how options become parameters, and which are refused before a model is loaded."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cmstream.cli.asking import REFERENCE_PX, asked, reference_url, written_params
from cmstream.core.errors import InvalidFrame, InvalidInput, InvalidParameters
from cmstream.core.params import ParameterSpec, apply_patch, common_parameters, default_params
from cmstream.core.sent_picture import sent_picture
from cmstream.models.latent.family import Family, Guidance, Prediction, Sampler
from cmstream.models.latent.parameters import latent_parameters

PAINTER = common_parameters(("oil", "ink"))
FAMILY = Family(Sampler.TCD, Prediction.EPSILON, Guidance.FREE, ())
LATENT = latent_parameters(FAMILY, ("film",), keeps_edges=True, hears_pictures=True)


def accepted(specs: tuple[ParameterSpec, ...], *options: str, **named: Any) -> dict[str, Any]:
    return apply_patch(specs, default_params(specs), asked(specs, named, written_params(options))).as_json()


@pytest.mark.parametrize(
    ("specs", "option", "value"),
    [
        (PAINTER, "strength=0.25", 0.25),
        (PAINTER, "seed = 7", 7),
        (PAINTER, "style=ink", "ink"),
        (PAINTER, 'style={"oil": 1, "ink": 3}', {"oil": 0.25, "ink": 0.75}),
        (LATENT, "prompt=2024", "2024"),
        (LATENT, "prompt=a=b", "a=b"),
        (LATENT, "prompt={curly", "{curly"),
        (LATENT, 'prompt={"fog": 1, "sun": 1}', {"fog": 0.5, "sun": 0.5}),
        (LATENT, 'loras={"film": 0.8}', {"film": 0.8}),
        (LATENT, "guidance_mode=full", "full"),
        (LATENT, "structure=1", 1.0),
        (LATENT, "eta=0.5", 0.5),
    ],
)
def test_a_value_is_read_as_its_parameter_takes_it(specs: tuple[ParameterSpec, ...], option: str, value: Any) -> None:
    assert accepted(specs, option)[option.partition("=")[0].strip()] == value


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("strength=much", "strength: must be a number from 0 to 1"),
        ("strength=NaN", "strength: must be a number from 0 to 1"),
        ("strength=1e999", "strength: must be a number from 0 to 1"),
        ("strength=" + "[" * 100_000, "strength: must be a number from 0 to 1"),
        ("seed=1.5", "seed: must be a whole number"),
        ("style=cubism", "unknown style 'cubism'; choose from oil, ink"),
        ("structure=1", "structure: unknown parameter; this model knows style, strength, seed, transition_ms"),
    ],
)
def test_a_bad_value_is_refused_as_the_server_refuses_it(option: str, message: str) -> None:
    with pytest.raises(InvalidParameters, match=message.replace("(", r"\(")):
        accepted(PAINTER, option)


@pytest.mark.parametrize("options", [["feedback"], ["=1"], ["seed=1", "seed=2"]])
def test_what_is_no_pair_or_stands_there_twice_is_refused(options: list[str]) -> None:
    with pytest.raises(InvalidInput, match="--param"):
        written_params(options)


def test_an_option_and_a_written_value_for_the_same_are_refused() -> None:
    with pytest.raises(InvalidInput, match="--seed and --param seed say the same thing"):
        accepted(PAINTER, "seed=1", seed=2)
    assert accepted(PAINTER, "seed=1", seed=None)["seed"] == 1


def test_a_negative_prompt_brings_full_guidance_unless_another_is_asked_for() -> None:
    assert accepted(LATENT, "negative_prompt=fog")["guidance_mode"] == "full"
    assert accepted(LATENT, negative_prompt="fog")["guidance_mode"] == "full"
    assert accepted(LATENT, "guidance_mode=residual", negative_prompt="fog")["guidance_mode"] == "residual"
    assert accepted(LATENT, negative_prompt="")["guidance_mode"] == "residual"


@pytest.mark.parametrize(("size", "sent"), [((2000, 1000), (512, 256)), ((64, 48), (64, 48)), ((6000, 20), (512, 16))])
def test_a_reference_of_any_size_becomes_a_picture_that_streams_may_be_sent(
    tmp_path: Path, size: tuple[int, int], sent: tuple[int, int]
) -> None:
    path = tmp_path / "look.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)).save(path)
    picture = sent_picture(reference_url(path))
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.size == sent
        assert max(image.size) <= REFERENCE_PX


def test_a_reference_is_upright_and_on_white(tmp_path: Path) -> None:
    path = tmp_path / "look.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGBA", (64, 32), (255, 0, 0, 0)).save(path, exif=exif)
    data = base64.b64decode(reference_url(path).partition(",")[2])
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (32, 64)
        assert min(np.asarray(image).min(axis=(0, 1))) > 250


def test_a_reference_that_is_not_there_or_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no file"):
        reference_url(tmp_path / "absent.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(InvalidFrame, match="not a picture"):
        reference_url(tmp_path / "text.png")
