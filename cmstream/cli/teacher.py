"""What `cmstream train` is told to learn from: pairs in a folder, a function of the user's, or one picture."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import re
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmstream.core.errors import InvalidInput

if TYPE_CHECKING:
    from cmstream.training.teacher import Teacher

LONGEST_NAME = 40
TEACHER_STRENGTH = 0.5
"""Of a latent model as a teacher: half of its noise keeps what is in the picture, and a student keeps what is there."""


def teacher_of(told: str, prompt: str | None = None) -> Teacher:
    """The teacher that `--teacher` names: a latent model, which needs a prompt, a folder, a diffusion model's weights, or
    `module:function`. Raises InvalidInput, and what loading a latent model raises."""
    path = Path(told).expanduser()
    is_latent = _is_latent(told, path)
    if is_latent != (prompt is not None):
        raise InvalidInput(
            f"--teacher {told} hears prompts: say what to paint with --prompt"
            if is_latent
            else f"--prompt is for a latent model as --teacher, which {told} is not"
        )
    if prompt is not None:
        return _latent_teacher(told, prompt)
    if path.suffix == ".safetensors":
        return _model_teacher(path)
    if path.is_dir():
        return _album_teacher(path)
    module, colon, function = told.partition(":")
    if colon and module and function and os.sep not in told:
        return _pipeline_teacher(told, module, function)
    raise InvalidInput(f"--teacher {told} is neither a folder of pairs, nor a .safetensors file, nor module:function")


def style_image_teacher(path: Path, size_px: int) -> Teacher:
    """The teacher of the style of one picture, whose short side is scaled down to `size_px` first. Raises InvalidInput."""
    from cmstream.cli.picture import picture_size, read_picture
    from cmstream.training.studio import solo
    from cmstream.training.style_lesson import VERSION, StyleLesson

    width_px, height_px = picture_size(path)
    scale = min(1.0, size_px / min(width_px, height_px))
    rgb = read_picture(path, max(1, round(width_px * scale)), max(1, round(height_px * scale)))
    fingerprint = hashlib.sha256(f"{VERSION} {rgb.shape}".encode() + rgb.tobytes()).hexdigest()
    return solo(StyleLesson.of(style_name(path.stem), rgb), fingerprint)


def style_name(text: str) -> str:
    """`text` as the name of a style: small letters of ASCII, digits and dashes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST_NAME].strip("-") or "mine"


def _is_latent(told: str, path: Path) -> bool:
    from cmstream.models.latent.catalogue import CATALOGUE

    return told.startswith("hf:") or told in CATALOGUE or (path / "model_index.json").is_file()


def _latent_teacher(told: str, prompt: str) -> Teacher:
    from cmstream.cli.loading import load_latent
    from cmstream.core.look import look_of
    from cmstream.core.params import apply_patch, default_params
    from cmstream.training.painters.latent import LatentPainter
    from cmstream.training.studio import solo

    model = load_latent(told)
    specs = model.spec.parameters
    look = look_of(apply_patch(specs, default_params(specs), {"prompt": prompt, "strength": TEACHER_STRENGTH}))
    model.prepare(0, look).result()
    painter = LatentPainter(style_name(prompt), model, look)
    return solo(painter, painter.fingerprint())


def _model_teacher(path: Path) -> Teacher:
    from cmstream.models.weights import painter_from, read_tensors
    from cmstream.training.distillation import sampled_studio

    file = read_tensors(path)
    model = painter_from(path, file)
    if file.metadata.get("objective") != "diffusion":
        raise InvalidInput(
            f"--teacher {path} is no diffusion model; train one with --objective diffusion, or start from it with --init"
        )
    return sampled_studio(model, hashlib.sha256(path.read_bytes()).hexdigest())


def _album_teacher(folder: Path) -> Teacher:
    from cmstream.cli.album import open_album
    from cmstream.training.album import Copyist

    return Copyist(open_album(folder, style_name(folder.resolve().name)))


def _pipeline_teacher(spec: str, module: str, name: str) -> Teacher:
    from cmstream.training.painters.pipeline import Pipeline
    from cmstream.training.studio import solo

    function = _function(spec, module, name)
    return solo(Pipeline(style_name(name.rpartition(".")[2]), function, spec), _fingerprint(spec, function))


def _function(spec: str, module: str, name: str) -> Any:
    # As `python -m` and gunicorn do: what lies in the folder where the command is run can be named.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and module.split(".")[: error.name.count(".") + 1] == error.name.split("."):
            raise InvalidInput(
                f"--teacher {spec}: no module {error.name} here or installed; run it where {module} is"
            ) from error
        raise InvalidInput(f"--teacher {spec}: {module} needs the package {error.name}, which is not installed") from error
    except Exception as error:  # the edge: it is the user's code, whatever it raises
        raise InvalidInput(f"--teacher {spec}: {module} failed with {type(error).__name__}: {str(error)[:300]}") from error
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise InvalidInput(f"--teacher {spec}: {module} has no function {name}")
    return found


def _fingerprint(spec: str, function: Any) -> str:
    """Of the name and of the file that the function is in; what that file calls is the user's to keep track of."""
    content = b""
    try:
        content = Path(inspect.getfile(inspect.unwrap(function))).read_bytes()
    except (TypeError, OSError):  # an object of some class, or compiled: its name must do
        pass
    return hashlib.sha256(spec.encode() + b"\0" + content).hexdigest()
