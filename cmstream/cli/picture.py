"""Pictures on disk. Every picture is judged by its header before a pixel of it is decoded."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cmstream.core.errors import InvalidFrame, InvalidInput
from cmstream.core.frame import MIN_SIDE_PX, Rgb

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MAX_PIXELS = 100_000_000


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) as shown, before a pixel is decoded where the format allows. Raises InvalidFrame."""
    with _open(path) as image:
        try:
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # EXIF orientations that swap the sides
        except (OSError, SyntaxError, ValueError) as error:  # of a PNG they may stand at the end, where it was cut off
            raise InvalidFrame(f"{path} is damaged or truncated: {error}") from error
        return (image.height, image.width) if turned else (image.width, image.height)


def read_picture(path: Path, width_px: int, height_px: int) -> Rgb:
    """The picture upright, on white where it is transparent, at the size asked for. Raises InvalidFrame."""
    with _open(path) as image:
        try:
            upright = ImageOps.exif_transpose(image)
            return np.asarray(_on_white(upright).resize((width_px, height_px), Image.Resampling.LANCZOS))
        except (OSError, SyntaxError, ValueError) as error:
            raise InvalidFrame(f"{path} is damaged or truncated: {error}") from error


def write_picture(path: Path, rgb: Rgb) -> None:
    """Write in the format that the suffix names; JPEG and WebP at high quality."""
    options: dict[str, dict[str, Any]] = {".webp": {"quality": 95}}
    options[".jpg"] = options[".jpeg"] = {"quality": 95, "subsampling": 0}
    Image.fromarray(rgb).save(path, **options.get(path.suffix.lower(), {}))


def _open(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS decides
            image = Image.open(path)
    except FileNotFoundError:
        raise InvalidInput(f"there is no file {path}") from None
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise InvalidFrame(_refusal(path, error)) from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        _check_header(path, image.width, image.height)
    except InvalidFrame:
        image.close()
        raise
    return image


def _check_header(path: Path, width_px: int, height_px: int) -> None:
    if width_px * height_px > MAX_PIXELS:
        raise InvalidFrame(f"{path} has {width_px}×{height_px} pixels; at most {MAX_PIXELS // 1_000_000} million are read")
    if min(width_px, height_px) < MIN_SIDE_PX:
        raise InvalidFrame(f"{path} has {width_px}×{height_px} pixels; each side must be at least {MIN_SIDE_PX}")


def _refusal(path: Path, error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"{path} has too many pixels; at most {MAX_PIXELS // 1_000_000} million are read"
    return f"{path} is not a picture that can be read; use {', '.join(SUFFIXES)}"


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 and 32 bits of grey: convert() would clip instead of scale
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8)).convert("RGB")
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    paper = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(paper, rgba).convert("RGB")
