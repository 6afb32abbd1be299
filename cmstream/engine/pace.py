"""How fast an engine is built beside another that serves. On the thread that builds; `call_off` from any.

Between two steps of a warm-up it rests for as long as the step took: what is served meanwhile has the cores to itself half of
the time, and a frame waits for one step at most.
"""

from __future__ import annotations

import threading

from cmstream.core.clock import NS_PER_S, Clock
from cmstream.core.errors import Unavailable

LONGEST_REST_S = 1.0
"""After a step of seconds, such as a frame of a latent model on a CPU, a longer rest would help nobody."""


def unhurried() -> None:
    """The `Pace` where nothing else is served meanwhile."""


class RestfulPace:
    """A `Pace` for one engine."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._called_off = threading.Event()
        self._since_ns = clock.now_ns()

    def __repr__(self) -> str:
        return f"<RestfulPace{', called off' if self._called_off.is_set() else ''}>"

    def __call__(self) -> None:
        """See `Pace`."""
        worked_s = (self._clock.now_ns() - self._since_ns) / NS_PER_S
        if self._called_off.wait(min(worked_s, LONGEST_REST_S)):
            raise Unavailable("nobody waits for this model any more")
        self._since_ns = self._clock.now_ns()

    @property
    def is_called_off(self) -> bool:
        """Whether nobody wants the engine any more."""
        return self._called_off.is_set()

    def call_off(self) -> None:
        """Nobody wants the engine any more: the next step, or the rest that runs, is the last."""
        self._called_off.set()
