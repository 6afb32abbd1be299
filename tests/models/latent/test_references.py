"""Pictures to look like: read once, beside the frames, kept while a stream shows them; and what is no picture is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import torch

from cmstream.core.errors import EngineFailed, InvalidParameters
from cmstream.core.frame import Rgb
from cmstream.core.sent_picture import SentPicture, sent_picture
from cmstream.models.latent.hints import Likeness
from cmstream.models.latent.references import CAPACITY, PINNED_PICTURES, ReferenceBank
from tests.core.sending import picture_url

TIMEOUT_S = 10


@dataclass
class SlowReader:
    """Sees the mean colour of a picture; reads nothing until it is let go."""

    go: threading.Event = field(default_factory=threading.Event)
    read_px: list[tuple[int, ...]] = field(default_factory=list)

    def read(self, rgb: Rgb, scale: float) -> Likeness:
        assert self.go.wait(TIMEOUT_S)
        self.read_px.append(rgb.shape)
        seen = torch.tensor(rgb.reshape(-1, 3).mean(0)).float()[None, None]
        return Likeness(seen, torch.zeros_like(seen), torch.tensor([scale]))


@pytest.fixture
def reader() -> SlowReader:
    reader = SlowReader()
    reader.go.set()
    return reader


@pytest.fixture
def bank(reader: SlowReader) -> Iterator[ReferenceBank]:
    bank = ReferenceBank(reader)
    yield bank
    reader.go.set()
    bank.close()


def test_a_picture_is_read_once_off_the_callers_time_and_heard_at_any_scale(bank: ReferenceBank, reader: SlowReader) -> None:
    reader.go.clear()
    one, two = bank.prepare(1, sent_picture(picture_url(1))), bank.prepare(2, sent_picture(picture_url(1)))
    assert not one.done()
    reader.go.set()
    one.result(TIMEOUT_S)
    two.result(TIMEOUT_S)
    assert reader.read_px == [(32, 32, 3)]
    heard = [bank.heard(sent_picture(picture_url(1)), scale) for scale in (0.2, 1.0)]
    assert [float(each.scale) for each in heard] == pytest.approx([0.2, 1.0])
    assert torch.equal(heard[0].picture, heard[1].picture)


def test_what_a_stream_shows_is_kept_and_the_rest_is_bounded(bank: ReferenceBank) -> None:
    shown = sent_picture(picture_url(0))
    bank.prepare(1, shown).result(TIMEOUT_S)
    for seed in range(1, CAPACITY + PINNED_PICTURES + 4):
        bank.prepare(2, sent_picture(picture_url(seed))).result(TIMEOUT_S)
    bank.heard(shown, 1.0)
    bank.forget(2)
    bank.forget(77)
    assert f"<{CAPACITY} of {CAPACITY} pictures" in repr(bank)


def test_what_cannot_be_decoded_is_told_by_its_parameter_and_what_was_never_prepared_is_no_wait(bank: ReferenceBank) -> None:
    whole = sent_picture(picture_url(1))
    half = SentPicture("sha256:half", whole.data[: len(whole.data) // 2])
    with pytest.raises(InvalidParameters, match="reference: the PNG data is cut short"):
        bank.prepare(1, half).result(TIMEOUT_S)
    with pytest.raises(EngineFailed, match="was not encoded before"):
        bank.heard(whole, 1.0)


def test_no_picture_has_the_shape_of_any(bank: ReferenceBank) -> None:
    assert bank.blank.picture.shape == (1, 1, 3)
    assert float(bank.blank.picture.abs().max()) == 0
