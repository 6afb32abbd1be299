"""A model's folder in diffusers' layout, checked before anything of it is loaded. Reads JSON and headers only; no torch work.

Every fault is a WeightsRejected of one sentence that says what to do. Nothing a folder says names code to run: classes are
looked up in the tables below.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

from cmstream.core.errors import WeightsRejected
from cmstream.models.latent.header import MEND, Header, read_header, refuse_pickle

MAX_JSON_BYTES = 4 << 20

Vae = Literal["tiny", "full"]
"""Which autoencoder stands for an AutoencoderKL: TAESD, or the checkpoint's own."""

ARCHITECTURES = {
    "StableDiffusion": "StableDiffusionImg2ImgPipeline",
    "StableDiffusionXL": "StableDiffusionXLImg2ImgPipeline",
    "LatentConsistencyModel": "LatentConsistencyModelImg2ImgPipeline",
    "SanaSprint": "SanaSprintImg2ImgPipeline",
}
"""What a pipeline's name begins with, and the pipeline of diffusers that loads it."""

PARTS: Mapping[str, frozenset[str]] = {
    "unet": frozenset({"UNet2DConditionModel"}),
    "transformer": frozenset({"SanaTransformer2DModel"}),
    "vae": frozenset({"AutoencoderKL", "AutoencoderTiny", "AutoencoderDC"}),
    "text_encoder": frozenset({"CLIPTextModel", "Gemma2Model", "Gemma2PreTrainedModel"}),
    "text_encoder_2": frozenset({"CLIPTextModelWithProjection"}),
    "tokenizer": frozenset({"CLIPTokenizer", "CLIPTokenizerFast", "GemmaTokenizer", "GemmaTokenizerFast"}),
    "tokenizer_2": frozenset({"CLIPTokenizer", "CLIPTokenizerFast"}),
}
WEIGHED = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2")
VARIANTS = ("", "fp16")
"""Endings of the names of weights, best first."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that was found to be whole, of an architecture that can be run."""

    folder: Path
    pipeline: str
    """The class of diffusers that loads it."""
    scheduler: Mapping[str, Any]
    network: str
    """The part that predicts: unet or transformer."""
    config: Mapping[str, Any]
    """Of the network."""
    variant: str
    """Which weights: "" or "fp16"."""
    has_full_autoencoder: bool
    """Whether its own is an AutoencoderKL, too slow for real time."""

    @property
    def is_latent_consistency(self) -> bool:
        """Whether its own pipeline is that of LCM."""
        return self.pipeline.startswith("LatentConsistency")

    def header(self) -> Header:
        """Of the network's weights, all shards together."""
        shapes: dict[str, tuple[int, ...]] = {}
        for path in _weights(self.folder / self.network, self.variant):
            shapes |= read_header(path).shapes
        return Header(shapes, {})


def open_checkpoint(folder: Path, *, vae: Vae = "full") -> Checkpoint:
    """Check `folder` whole; "tiny" does without the weights of an AutoencoderKL. Raises WeightsRejected."""
    index = read_json(folder / "model_index.json")
    pipeline = _pipeline(folder, str(index.get("_class_name")))
    parts = {name: entry[1] for name, entry in index.items() if name in PARTS and _is_present(entry)}
    for name, kind in parts.items():
        if kind not in PARTS[name]:
            raise WeightsRejected(f"{folder}: its {name} is a {kind[:60]}; {' or '.join(sorted(PARTS[name]))} can be run")
    network = "transformer" if "transformer" in parts else "unet"
    _check_complete(folder, pipeline, parts)
    variant = _variant(folder / network)
    is_replaced = vae == "tiny" and parts["vae"] == "AutoencoderKL"
    for name in WEIGHED:
        if name in parts and not (name == "vae" and is_replaced):
            for path in _weights(folder / name, _variant(folder / name)):
                read_header(path)
    config = read_json(folder / network / "config.json")
    _check_network(folder, config)
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    return Checkpoint(folder, pipeline, scheduler, network, config, variant, parts["vae"] == "AutoencoderKL")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What a folder's index says, before anything else of it is there."""

    name: str
    """The class of diffusers that loads it."""
    is_slow: bool
    """Whether its autoencoder is an AutoencoderKL, too slow for real time."""


def pipeline_of(folder: Path) -> Pipeline:
    """Raises WeightsRejected for an architecture that cannot be run."""
    index = read_json(folder / "model_index.json")
    autoencoder = index.get("vae")
    is_slow = _is_present(autoencoder) and autoencoder[1] == "AutoencoderKL"
    return Pipeline(_pipeline(folder, str(index.get("_class_name"))), is_slow)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a small JSON file. Raises WeightsRejected."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(MAX_JSON_BYTES))
    except OSError as error:
        raise WeightsRejected(
            f"{path} cannot be read ({error.strerror or error}): a latent model is a folder as diffusers writes it, "
            "with model_index.json and a folder for each part"
        ) from error
    except (ValueError, RecursionError) as error:
        raise WeightsRejected(f"{path} is not JSON; {MEND}") from error
    if not isinstance(found, dict):
        raise WeightsRejected(f"{path} is not an object; {MEND}")
    return found


def _pipeline(folder: Path, named: str) -> str:
    begun = named.removesuffix("Pipeline").removesuffix("Img2Img")
    if begun not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise WeightsRejected(f"{folder} is of architecture {named[:60]!r}; this version of cmstream runs {known}")
    return ARCHITECTURES[begun]


def _is_present(entry: Any) -> TypeGuard[list[str]]:
    return isinstance(entry, list) and len(entry) == 2 and all(isinstance(each, str) for each in entry)


def _check_complete(folder: Path, pipeline: str, parts: Mapping[str, str]) -> None:
    needed = ["vae", "text_encoder", "tokenizer", "transformer" if pipeline.startswith("Sana") else "unet"]
    if "XL" in pipeline:
        needed += ["text_encoder_2", "tokenizer_2"]
    lacking = [name for name in needed if name not in parts or not (folder / name).is_dir()]
    if lacking:
        raise WeightsRejected(f"{folder} lacks its {' and '.join(lacking)}: it is half-downloaded; {MEND}")


def _variant(part: Path) -> str:
    """Raises WeightsRejected where there are only pickles, or no weights at all."""
    for variant in VARIANTS:
        if any(_weights(part, variant)):
            return variant
    for pickle in sorted(part.glob("*.bin")):
        refuse_pickle(pickle)
    raise WeightsRejected(f"{part} has no .safetensors weights: it is half-downloaded; {MEND}")


def _weights(part: Path, variant: str) -> Iterator[Path]:
    """The weights files of a part, by the names that diffusers and transformers use."""
    for stem in ("diffusion_pytorch_model", "model"):
        whole = part / ".".join(filter(None, (stem, variant, "safetensors")))
        index = part / ".".join(filter(None, (stem, "safetensors.index", variant, "json")))
        if whole.is_file():
            yield whole
        elif index.is_file():
            names = {str(name) for name in dict(read_json(index).get("weight_map", {})).values()}
            for name in sorted(names):
                if Path(name).name != name:
                    raise WeightsRejected(f"{index} names a file outside of its folder: {name[:80]!r}")
                yield part / name


def _check_network(folder: Path, config: Mapping[str, Any]) -> None:
    """What the direct path relies on."""
    if config.get("_class_name") == "UNet2DConditionModel":
        if config.get("in_channels") != 4 or config.get("out_channels") != 4:
            raise WeightsRejected(
                f"{folder}: its UNet takes {config.get('in_channels')} channels, as for inpainting; take another checkpoint"
            )
        if config.get("addition_embed_type") not in (None, "text_time") or config.get("class_embed_type") is not None:
            raise WeightsRejected(f"{folder}: its UNet wants conditions other than those of SD and SDXL, and cannot be run")
