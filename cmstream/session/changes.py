"""Changes of parameters that wait until what they ask for is ready. Event loop only.

A prompt takes up to seconds to encode, and the stream flows meanwhile with what it had. Of two changes that touch the same
parameter, the one that was asked for later wins, whichever is ready first.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from cmstream.core.errors import CmstreamError, ResourceExhausted
from cmstream.scheduler.crossing import returned
from cmstream.session.accepted import Accepted

MOST_WAITING = 3
"""Changes of one stream that may wait at a time; engines keep what so many ask for."""


class Change:
    """A change that was asked for and checked. Wait until it is `ready`, `apply` it, and in any case `end` it."""

    def __init__(
        self, prepare: Callable[[], Future[None]], apply: Callable[[], Accepted], end: Callable[[Change], None]
    ) -> None:
        self._prepare = prepare
        self._prepared = prepare()
        self._apply = apply
        self._end = end

    def __repr__(self) -> str:
        return f"<Change, {'ready' if self.is_ready else 'being prepared'}>"

    @property
    def is_ready(self) -> bool:
        """Whether `apply` would not raise for being too early."""
        return self._prepared.done()

    async def ready(self) -> None:
        """Wait until what it asks for is ready. Raises what the engine failed with; then nothing has changed."""
        while True:
            prepared = self._prepared
            try:
                await returned(prepared)
            except CmstreamError:
                if prepared is self._prepared:
                    raise
            if prepared is self._prepared:
                return

    def renew(self) -> None:
        """Another engine takes over: it has to make ready what is asked for, if its model knows of it at all."""
        try:
            self._prepared = self._prepare()
        except CmstreamError as error:
            self._prepared = Future()
            self._prepared.set_exception(error)

    async def applied(self) -> Accepted:
        """Wait, apply and end it. Raises as `ready` and `apply` do."""
        try:
            await self.ready()
            return self.apply()
        finally:
            self.end()

    def apply(self) -> Accepted:
        """Put it into force. Where a later change won, the answer is what that one made of the state."""
        self._prepared.result(0)
        return self._apply()

    def end(self) -> None:
        """It is done with, or given up. Twice is fine."""
        self._end(self)


class Changes:
    """Those of one stream, in the order they were asked for."""

    def __init__(self) -> None:
        self._tickets = itertools.count(1)
        self._applied: dict[str, int] = {}  # by parameter, the ticket of the change that set it last
        self._waiting: set[Change] = set()

    def __repr__(self) -> str:
        return f"<Changes, {len(self._waiting)} waiting>"

    def check_room(self) -> None:
        """Raises ResourceExhausted where too many wait."""
        if len(self._waiting) >= MOST_WAITING:
            raise ResourceExhausted(
                f"{MOST_WAITING} changes of this stream are being made ready; wait for an answer, then send the next",
                retry_after_s=1,
            )

    def begin(
        self,
        patch: Mapping[str, Any],
        prepare: Callable[[], Future[None]],
        apply: Callable[[Mapping[str, Any]], Accepted],
    ) -> Change:
        """`prepare` is called now, and again where another engine takes over; `apply` with what is left of `patch`."""
        ticket = next(self._tickets)
        change = Change(prepare, lambda: apply(self._left(ticket, patch)), self._waiting.discard)
        self._waiting.add(change)
        return change

    def renew(self) -> None:
        """Another engine takes over."""
        for change in tuple(self._waiting):
            change.renew()

    def _left(self, ticket: int, patch: Mapping[str, Any]) -> dict[str, Any]:
        left = {name: value for name, value in patch.items() if self._applied.get(name, 0) < ticket}
        self._applied.update(dict.fromkeys(left, ticket))
        return left
