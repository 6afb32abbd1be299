"""The staging of batches in flight. A slot belongs to one batch until all that was asked of the device for it is done."""

from __future__ import annotations

import torch

from cmstream.engine.pipeline.device import Buffer, Device, Event
from cmstream.engine.pipeline.packing import aligned

SLOTS = 3
"""One batch uploads, one computes, one downloads."""


class Slot:
    """The arenas of one batch, pinned and on the device, in and out, and the events of its journey.

    Its memory grows to the largest batch it has carried and is then kept.
    """

    def __init__(self, device: Device, index: int) -> None:
        self._device = device
        self._index = index
        self.uploaded, self.computed, self.downloaded = device.event(), device.event(), device.event()
        self.host_in, self.device_in = self._arenas("in", 0)
        self.host_out, self.device_out = self._arenas("out", 0)

    def __repr__(self) -> str:
        up, down = self.host_in.memory.numel() / 1e6, self.host_out.memory.numel() / 1e6
        return f"<Slot {self._index}: {up:.1f} MB up, {down:.1f} MB down>"

    @property
    def events(self) -> tuple[Event, Event, Event]:
        """In the order they pass."""
        return self.uploaded, self.computed, self.downloaded

    def reserve(self, in_nbytes: int, out_nbytes: int) -> None:
        """Make room for a batch. Only for whoever holds the slot. Raises torch.OutOfMemoryError, and is as it was."""
        if self.host_in.memory.numel() < in_nbytes:
            self.host_in, self.device_in = self._arenas("in", in_nbytes)
        if self.host_out.memory.numel() < out_nbytes:
            self.host_out, self.device_out = self._arenas("out", out_nbytes)

    def _arenas(self, way: str, nbytes: int) -> tuple[Buffer, Buffer]:
        name, nbytes = f"slot {self._index} {way}", aligned(nbytes)
        on_device = self._device.device_buffer(f"{name}, device", (nbytes,), torch.uint8)
        return self._device.host_buffer(f"{name}, host", nbytes), on_device


class SlotRing:
    """The slots that are free. One thread takes, another releases."""

    def __init__(self, device: Device) -> None:
        self._free = device.handover()
        self._all = [Slot(device, index) for index in range(SLOTS)]
        for slot in self._all:
            self.release(slot)

    def __repr__(self) -> str:
        return f"<SlotRing {self._all}>"

    def take(self) -> Slot:
        """A free slot; waits, without asking the device, until there is one."""
        slot: Slot = self._free.get()
        return slot

    def release(self, slot: Slot) -> None:
        """Its batch is done: `downloaded` was waited for."""
        self._free.put(slot)

    def settle(self) -> None:
        """Wait until no batch is in flight. Only for the thread that takes, which must hold none."""
        for slot in [self.take() for _ in self._all]:
            self.release(slot)

    def reserve(self, in_nbytes: int, out_nbytes: int) -> None:
        """Make room in all of them, before there is anything in flight."""
        for slot in [self.take() for _ in self._all]:
            slot.reserve(in_nbytes, out_nbytes)
            self.release(slot)
