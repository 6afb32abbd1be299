"""A deterministic `EngineBuilder`: its engines are there before anybody asks. For tests of who asks, and when."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from cmstream.core.errors import NotFound
from cmstream.core.model_info import Listing
from cmstream.engine.base import Engine, Pace, Tell

STEP_S = 0.002


class FakeBuilder:
    """`engines` by the name of their model, the first for the start; in place of one may stand the error of building it.

    While `held`, nothing is finished; a `deaf` build then does not heed its pace either. `asked` has every name in order.
    """

    def __init__(self, engines: Mapping[str, Engine | Exception]) -> None:
        self.asked: list[str] = []
        self.deaf = False
        self._engines = dict(engines)
        self._go = threading.Event()
        self._go.set()

    def __repr__(self) -> str:
        return f"<FakeBuilder of {', '.join(self._engines)}{', held' if self.held else ''}>"

    @property
    def held(self) -> bool:
        """Whether builds wait."""
        return not self._go.is_set()

    @held.setter
    def held(self, held: bool) -> None:
        if held:
            self._go.clear()
        else:
            self._go.set()

    @property
    def first(self) -> str:
        """See `EngineBuilder`."""
        return next(iter(self._engines))

    def listings(self) -> tuple[Listing, ...]:
        """See `EngineBuilder`."""
        return tuple(Listing(name, name.title(), "Apache-2.0", 0, "nothing", True) for name in self._engines)

    def check(self, name: str) -> None:
        """See `EngineBuilder`."""
        if name not in self._engines:
            raise NotFound(f"there is no fake {name[:64]!r}")

    def build(self, name: str, tell: Tell, pace: Pace | None = None) -> Engine:
        """See `EngineBuilder`."""
        self.asked.append(name)
        tell(f"thinking of {name}")
        while not self._go.wait(STEP_S):
            if pace is not None and not self.deaf:
                pace()
        found = self._engines[name]
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        """Close every engine. Twice is fine."""
        self.held = False
        for engine in self._engines.values():
            if not isinstance(engine, Exception):
                engine.close()
