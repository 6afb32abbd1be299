"""How one stream looks now: as its parameters say, or on the way there. Event loop only."""

from __future__ import annotations

from cmstream.core.clock import Clock
from cmstream.core.look import Look, Transition, look_of, start_transition
from cmstream.core.params import Params


class Appearance:
    """Begins at the look of `params`."""

    def __init__(self, params: Params, clock: Clock) -> None:
        self._clock = clock
        self._target = look_of(params)
        self._transition: Transition | None = None

    def __repr__(self) -> str:
        return f"<Appearance {self._target}{', on the way' if self._transition else ''}>"

    @property
    def target(self) -> Look:
        """The look once nothing blends any more."""
        return self._target

    def now(self) -> Look:
        """The look of a frame that is styled now."""
        if self._transition is None:
            return self._target
        look = self._transition.at(self._clock.now_ns())
        if look == self._target:
            self._transition = None
        return look

    def turn_to(self, params: Params, *, is_seen: bool) -> None:
        """Blend over to `params` in their `transition_ms`, or be there at once where nobody has seen a frame yet."""
        if look_of(params) == self._target:
            return  # nothing to be seen: what is blending goes on blending
        shown, self._target = self.now(), look_of(params)
        blends = is_seen and params.transition_ms > 0
        self._transition = start_transition(shown, params, self._clock.now_ns()) if blends else None
