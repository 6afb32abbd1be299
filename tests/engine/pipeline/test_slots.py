"""Slots: there are three, and they grow and stay."""

from __future__ import annotations

import threading

from cmstream.engine.pipeline.eager_device import EagerDevice
from cmstream.engine.pipeline.slots import SLOTS, SlotRing


def test_a_slot_is_taken_again_only_after_it_was_released() -> None:
    ring = SlotRing(EagerDevice())
    taken = [ring.take() for _ in range(SLOTS)]
    got: list[object] = []
    waits = threading.Thread(target=lambda: got.append(ring.take()))
    waits.start()
    waits.join(0.05)
    assert waits.is_alive()
    ring.release(taken[1])
    waits.join(5)
    assert got == [taken[1]]


def test_memory_grows_with_the_largest_batch_and_is_then_kept() -> None:
    ring = SlotRing(EagerDevice())
    ring.reserve(1000, 10)
    slot = ring.take()
    before = slot.host_in, slot.device_in, slot.host_out, slot.device_out
    slot.reserve(900, 5)
    assert (slot.host_in, slot.device_in, slot.host_out, slot.device_out) == before
    slot.reserve(5000, 5)
    assert slot.host_in.memory.numel() >= 5000
    assert slot.host_out is before[2]
