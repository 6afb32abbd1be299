"""What an engine keeps of each stream whose noise follows the picture: a tracker of its flow, and the places of its noise.

Engine thread only. The places come from pictures alone, so they serve whatever seeds a look mixes, and a transition between
seeds passes through moved fields as it does through resting ones.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import torch
from torch import Tensor

from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.core.params import FOLLOW
from cmstream.engine.flow import Flow, FlowTracker
from cmstream.engine.noise_places import NoisePlaces
from cmstream.engine.patch_order import Addresses, PatchOrder, Sources


@dataclass(frozen=True, slots=True)
class Since:
    """What is new in some places."""

    mark: object  # of the places before
    changed: Addresses  # the patches that are others


class Places:
    """Where the noise of a frame comes from; made anew whenever that changes."""

    def __init__(self, sources: Sources, order: PatchOrder, since: Since | None = None) -> None:
        self.sources = sources
        """[H·W] in the order of patches, see `NoisePlaces`."""
        self.order = order
        self.mark = object()
        """Tells these places from all others, without keeping them."""
        self.since = since
        self._index: Tensor | None = None
        self._last: tuple[Tensor, Tensor] | None = None

    @property
    def index(self) -> Tensor:
        """[H·W] int32 on the CPU: the same for pixels whose rows follow one another."""
        if self._index is None:
            self._index = torch.from_numpy(self.order.row_by_row(self.sources))
        return self._index

    def carry(self, field: Tensor) -> Tensor:
        """The field [3,H,W] with every value at its place. Do not write to it: it is kept while the picture rests."""
        if self._last is None or self._last[0] is not field:
            self._last = field, field.flatten(1).index_select(1, self.index.to(field.device)).view_as(field)
        return self._last[1]


class FollowedStream:
    """One stream at one size: (width, height) of the picture, and (height, width) of its noise, which may be padded."""

    def __init__(self, picture_px: tuple[int, int], noise_px: tuple[int, int]) -> None:
        self.picture_px = picture_px
        self.noise_px = noise_px
        self._tracker = FlowTracker(*picture_px)
        self._places = NoisePlaces(*noise_px)
        self._now: Places | None = None
        self._last: weakref.ref[Rgb] | None = None

    def places(self, rgb: Rgb, source: Rgb) -> Places | None:
        """Those of the next frame; None while it is the seed's own field. See `MovingNoise.places`."""
        if self._last is not None and self._last() is source:
            return self._now
        flow = self._tracker.track(rgb)
        if flow is not None:
            self._now = self._moved(flow)
        self._last = weakref.ref(source)
        return self._now

    def _moved(self, flow: Flow) -> Places | None:
        if flow.is_cut:
            self._places = NoisePlaces(*self.noise_px)
            return None
        before = self._places.sources
        self._places.move(flow, self.picture_px)
        after = self._places.sources
        if after is before:
            return self._now
        changed = self._places.changed
        since = Since(self._now.mark, changed) if self._now is not None and changed is not None else None
        return Places(after, self._places.order, since)


class MovingNoise:
    """Keeps a `FollowedStream` for every stream that asks for it. Streams share nothing."""

    def __init__(self) -> None:
        self._streams: dict[int, FollowedStream] = {}

    def __repr__(self) -> str:
        return f"<MovingNoise of {len(self._streams)} streams>"

    def places(
        self, stream_id: int, look: Look, rgb: Rgb, noise_px: tuple[int, int], source: Rgb | None = None
    ) -> Places | None:
        """Where the noise of the stream's next frame comes from, for `carried`. `rgb` has the working size, and is made of
        `source`: the very same once more is a frame whose batch failed, and moves nothing again.

        A look that keeps the noise fixed, or another size, forgets what was followed.
        """
        if look.noise_motion != FOLLOW:
            self.forget(stream_id)
            return None
        picture_px = (rgb.shape[1], rgb.shape[0])
        stream = self._streams.get(stream_id)
        if stream is None or (stream.picture_px, stream.noise_px) != (picture_px, noise_px):
            stream = self._streams[stream_id] = FollowedStream(picture_px, noise_px)
        return stream.places(rgb, rgb if source is None else source)

    def forget(self, stream_id: int) -> None:
        """Drop what is kept of a stream. Unknown ids are fine."""
        self._streams.pop(stream_id, None)


def carried(field: Tensor, places: Places | None) -> Tensor:
    """The field [3,H,W] with every value at its place; the field itself where `places` is None."""
    return field if places is None else places.carry(field)
