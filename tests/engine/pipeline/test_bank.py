"""The books of a bank: only what changes is sent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cmstream.core.look import Look
from cmstream.engine.moving_noise import Places
from cmstream.engine.noise import NoiseBank
from cmstream.engine.patch_order import PatchOrder
from cmstream.engine.pipeline.bank import Bank, Binding
from cmstream.engine.pipeline.look_table import StyleTable
from cmstream.engine.pipeline.packing import Packing

SIZE = (6, 8)
OIL = Look((("oil", 1.0),), 0.5, ((1, 1.0),), stroke_scale=1.5)
MIX = replace(OIL, seeds=((1, 0.6), (2, 0.8)))


@pytest.fixture
def bank() -> Bank:
    return Bank(4, SIZE, StyleTable(("ink", "oil")), NoiseBank(torch.device("cpu")))


def bound(bank: Bank, *frames: tuple[int, Look, Places | None]) -> tuple[Binding, int]:
    packing = Packing()
    return bank.bind(frames, packing), packing.nbytes


def test_a_stream_that_changes_nothing_sends_nothing(bank: Bank) -> None:
    first, sent = bound(bank, (1, OIL, None))
    again, nothing = bound(bank, (1, OIL, None))
    assert (again.rows, again.looks, again.noise, nothing) == (first.rows, None, (), 0)
    assert sent > 0


def test_a_new_strength_sends_a_look_and_no_noise(bank: Bank) -> None:
    bound(bank, (1, OIL, None))
    binding, _ = bound(bank, (1, replace(OIL, strength=0.1), None))
    assert binding.looks is not None
    assert binding.looks.values.shape == (1, 4)
    assert binding.noise == ()


def test_a_seed_is_drawn_once_for_all_streams(bank: Bank) -> None:
    binding, _ = bound(bank, (1, OIL, None), (2, MIX, None))
    assert [len(update.drawn) for update in binding.noise] == [1, 1]
    assert len(set(binding.rows)) == 2


def test_rows_hold_the_mixture_with_every_value_at_its_place(bank: Bank) -> None:
    packing = Packing()
    places = Places(np.random.default_rng(0).permutation(48), PatchOrder(*SIZE))
    (update,) = bank.bind([(1, MIX, places)], packing).noise
    arena = torch.empty(packing.nbytes, dtype=torch.uint8)
    packing.write(arena)
    fields, noise, scratch = torch.empty(8, 3, *SIZE), torch.zeros(4, 3, *SIZE), torch.empty(3, *SIZE)
    update.apply(arena, fields, noise, scratch)
    expected = NoiseBank(torch.device("cpu")).mixed(MIX.seeds, *SIZE).flatten(1)[:, places.index.long()].view(3, *SIZE)
    assert torch.allclose(noise[update.row], expected, atol=1e-6)


def test_after_a_reset_everything_is_sent_anew(bank: Bank) -> None:
    first, sent = bound(bank, (1, OIL, None))
    bank.reset()
    assert bound(bank, (1, OIL, None))[1] == sent
    assert "1 rows of streams" in repr(bank)


def test_a_forgotten_stream_leaves_its_row_to_others(bank: Bank) -> None:
    for stream in range(4):
        bound(bank, (stream, OIL, None))
    bank.forget(3)
    binding, _ = bound(bank, (9, OIL, None))
    assert bound(bank, (0, OIL, None))[1] == 0  # nobody else had to go
    assert binding.noise == ()  # the row held that noise already
