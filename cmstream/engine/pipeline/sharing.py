"""How many frames are worth having under way together, by how long ticks take, and how many batches that makes.

More rows in a tick pay where they do not fill the device: then a tick of two takes hardly longer than one of one. Where they
do, they would only make every frame older.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from cmstream.core.rate import RecentMedian
from cmstream.engine.pipeline.buffers import Size

PAYS = 0.8
"""A tick of twice the rows has to take less than this part of two ticks."""
AT_ONCE = 2
"""Batches worth having in flight where a frame is one evaluation: one is copied while another is computed."""
MOST_SIZES = 32
TICKS_PER_SIZE = 16


class Sharing:
    """Pure. Of a bucket that was never seen it is taken that it pays: it will be seen then."""

    def __init__(self, buckets: tuple[int, ...]) -> None:
        self._buckets = buckets
        self._sizes: OrderedDict[Size, dict[int, RecentMedian]] = OrderedDict()

    def ticked(self, size_px: Size, bucket: int, took_ms: float) -> None:
        """A tick of `bucket` rows."""
        times = self._sizes.setdefault(size_px, {})
        self._sizes.move_to_end(size_px)
        times.setdefault(bucket, RecentMedian(TICKS_PER_SIZE)).add(took_ms)
        if len(self._sizes) > MOST_SIZES:
            self._sizes.popitem(last=False)

    def worth(self) -> int:
        """The most rows of a tick that pay, at the size that was seen last."""
        times = next(reversed(self._sizes.values()), {})
        known = {bucket: median for bucket, each in times.items() if (median := each.value()) is not None}
        for bucket, larger in zip(self._buckets, self._buckets[1:], strict=False):
            if bucket in known and larger in known and known[larger] >= PAYS * known[bucket] * larger / bucket:
                return bucket
        return self._buckets[-1]


class Room:
    """What is in the engine, counted on the threads that bring it in and take it out."""

    def __init__(self, buckets: tuple[int, ...]) -> None:
        self.holds_back = False
        """Whether a frame waits in the engine already; set by the issuing thread."""
        self._lock = threading.Lock()
        self._sharing = Sharing(buckets)
        self._batches = 0
        self._travellers = 0

    def __repr__(self) -> str:
        return f"<Room, {self._batches} batches in, {self._travellers} frames of several evaluations>"

    def entered(self, travellers: int) -> None:
        """A batch with so many frames of several evaluations."""
        with self._lock:
            self._batches += 1
            self._travellers += travellers

    def left(self, travellers: int) -> None:
        """It was answered."""
        with self._lock:
            self._batches -= 1
            self._travellers -= travellers

    def ticked(self, size_px: Size, bucket: int, took_ms: float) -> None:
        """See `Sharing`."""
        with self._lock:
            self._sharing.ticked(size_px, bucket, took_ms)

    def depth(self) -> int:
        """See `Engine.depth`: one batch more than there are, for as long as its frames would share ticks that pay."""
        with self._lock:
            if self._travellers == 0:
                return AT_ONCE
            has_room = not self.holds_back and self._travellers < self._sharing.worth()
            return max(AT_ONCE, self._batches + has_room)
