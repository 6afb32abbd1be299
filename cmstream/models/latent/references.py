"""Pictures to look like, as an IP-Adapter hears them. `heard` is the engine's and never waits; the rest is for any thread."""

from __future__ import annotations

from concurrent.futures import Future
from functools import cached_property
from typing import Protocol

import numpy as np
import torch

from cmstream.core.errors import InvalidFrame, InvalidParameters
from cmstream.core.frame import Rgb
from cmstream.core.picture import decode_picture
from cmstream.core.prompting import REFERENCE
from cmstream.core.sent_picture import SentPicture
from cmstream.models.latent.encoded import EncodedBank
from cmstream.models.latent.hints import Likeness

CAPACITY = 32
BLANK_PX = 16
PINNED_PICTURES = 8
"""Kept for each stream: what it shows, what a transition still comes from, and changes that wait."""


class Reader(Protocol):
    """`likeness.PictureReader`, as far as it is asked for here."""

    def read(self, rgb: Rgb, scale: float) -> Likeness:
        """[H,W,3] uint8 of any size -> a batch of one, float32 on the CPU."""
        ...


class ReferenceBank:
    """An `EncodedBank` of pictures, read by `reader`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._pictures: EncodedBank[SentPicture, Likeness] = EncodedBank(
            "picture", self._read, capacity=CAPACITY, pinned=PINNED_PICTURES
        )

    @cached_property
    def blank(self) -> Likeness:
        """Of no picture: the shapes of all, and what they are led away from. A batch of one at scale 0; slow the first time."""
        found = self._reader.read(np.zeros((BLANK_PX, BLANK_PX, 3), np.uint8), 0.0)
        return Likeness(torch.zeros_like(found.picture), found.against, found.scale)

    def __repr__(self) -> str:
        return f"{self._pictures!r} by {self._reader!r}"

    def prepare(self, stream_id: int, picture: SentPicture) -> Future[None]:
        """Have it read for a stream. The future raises InvalidParameters for what cannot be decoded, or as a bank's does."""
        return self._pictures.prepare(stream_id, [picture])

    def heard(self, picture: SentPicture, scale: float) -> Likeness:
        """A batch of one, float32 on the CPU. Raises EngineFailed for a picture that nobody prepared."""
        found = self._pictures.ready(picture)
        return Likeness(found.picture, found.against, torch.tensor([scale]))

    def forget(self, stream_id: int) -> None:
        """The stream shows nothing any more. Unknown ids are fine."""
        self._pictures.forget(stream_id)

    def close(self) -> None:
        """End the thread; what waits to be read is given up. Closing twice is fine."""
        self._pictures.close()

    def _read(self, picture: SentPicture) -> Likeness:
        try:
            return self._reader.read(decode_picture(picture.data), 1.0)
        except InvalidFrame as error:
            raise InvalidParameters({REFERENCE: str(error)}) from error
