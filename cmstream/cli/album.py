"""An album on disk: FOLDER/source and FOLDER/styled with pictures of the same names, or two videos of the same frames.

A pair is brought to one size: that of the smaller, and at most `MOST_PX`² in area, about what live video is styled at.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from cmstream.cli import movie, picture
from cmstream.core.errors import InvalidFrame, InvalidInput
from cmstream.core.frame import Rgb
from cmstream.training.album import TILE_PX, Album, StyledPair

MOST_PX = 512
SHAPE_TOLERANCE = 0.03
"""Pipelines round sides to multiples of 8 or so; beyond this a pair does not show the same."""
SIDES = ("source", "styled")


def open_album(folder: Path, style: str) -> Album:
    """The album in `folder`. Raises InvalidInput, saying what is missing."""
    found = {side: _side(folder, side) for side in SIDES}
    source, styled = found["source"], found["styled"]
    if source.is_dir() != styled.is_dir():
        raise InvalidInput(f"{source} and {styled} must both be folders, or both be videos")
    return PictureAlbum(source, styled, style) if source.is_dir() else MovieAlbum(source, styled, style)


@dataclass(frozen=True)
class PictureAlbum:
    """Two folders of pictures; `a.png` and `a.jpg` are a pair."""

    source: Path
    styled: Path
    style: str

    @cached_property
    def _pairs(self) -> tuple[tuple[Path, Path], ...]:
        sources, styled = _pictures(self.source), _pictures(self.styled)
        for there, here, folder in ((sources, styled, self.styled), (styled, sources, self.source)):
            if alone := sorted(there.keys() - here.keys()):
                more = f" and {len(alone) - 1} others" if len(alone) > 1 else ""
                raise InvalidInput(f"{there[alone[0]]}{more} has no partner of the same name in {folder}")
        return tuple((sources[name], styled[name]) for name in sorted(sources))

    @cached_property
    def fingerprint(self) -> str:
        """Of every file."""
        return _fingerprint([path for pair in self._pairs for path in pair])

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[StyledPair]:
        for source, styled in self._pairs:
            size_px = _common_size(source.stem, picture.picture_size(source), picture.picture_size(styled))
            yield StyledPair(source.stem, picture.read_picture(source, *size_px), picture.read_picture(styled, *size_px))


@dataclass(frozen=True)
class MovieAlbum:
    """Two videos, frame by frame."""

    source: Path
    styled: Path
    style: str

    @cached_property
    def fingerprint(self) -> str:
        """Of both files."""
        return _fingerprint([self.source, self.styled])

    @cached_property
    def _frames(self) -> int:
        counts = [movie.count_frames(path) for path in (self.source, self.styled)]
        if counts[0] != counts[1]:
            raise InvalidInput(f"{self.source} has {counts[0]} frames and {self.styled} has {counts[1]}; they must be the same")
        return counts[0]

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[StyledPair]:
        infos = [movie.movie_info(path) for path in (self.source, self.styled)]
        sizes = [(info.width_px, info.height_px) for info in infos]
        size_px = _common_size(self.source.stem, *sizes)
        frames = zip(movie.read_frames(self.source), movie.read_frames(self.styled), strict=False)
        read = 0
        for read, (source, styled) in enumerate(frames, 1):
            yield StyledPair(f"frame {read}", _resized(source, size_px), _resized(styled, size_px))
        if read != len(self):
            raise InvalidInput(f"{self.source} or {self.styled} is damaged after frame {read} of {len(self)}")


def _side(folder: Path, side: str) -> Path:
    choices = [folder / side, *(folder / f"{side}{suffix}" for suffix in movie.SUFFIXES)]
    for path in choices:
        if path.exists():
            return path
    raise InvalidInput(f"{folder} has no {side}: put pictures into {folder / side}, or one video at {folder / side}.mp4")


def _pictures(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in picture.SUFFIXES and path.is_file():
            if path.stem in found:
                raise InvalidInput(f"{found[path.stem]} and {path} have the same name; remove one of them")
            found[path.stem] = path
    if not found:
        raise InvalidInput(f"{folder} holds no images ({', '.join(picture.SUFFIXES)})")
    return found


def _common_size(name: str, source_px: tuple[int, int], styled_px: tuple[int, int]) -> tuple[int, int]:
    """(width, height) that both are brought to. Raises InvalidFrame where they cannot be a pair."""
    shapes = [width_px / height_px for width_px, height_px in (source_px, styled_px)]
    if abs(math.log(shapes[0] / shapes[1])) > SHAPE_TOLERANCE:
        sizes = " and ".join("×".join(map(str, size)) for size in (source_px, styled_px))
        raise InvalidFrame(f"source and styled {name!r} differ in shape ({sizes} px); crop one of them or take the pair out")
    width_px, height_px = min(source_px, styled_px, key=math.prod)
    scale = min(1.0, MOST_PX / math.sqrt(width_px * height_px))
    size_px = (round(width_px * scale), round(height_px * scale))
    if min(size_px) < TILE_PX:
        raise InvalidFrame(f"{name!r} is too small or too narrow ({width_px}×{height_px} px); sides must be {TILE_PX} px+")
    return size_px


def _resized(rgb: Rgb, size_px: tuple[int, int]) -> Rgb:
    return np.asarray(cv2.resize(rgb, size_px, interpolation=cv2.INTER_AREA), np.uint8)


def _fingerprint(paths: list[Path]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            whole.update(f"{path.parent.name}/{path.stem} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()
