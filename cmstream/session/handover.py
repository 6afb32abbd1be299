"""All streams going over to another engine: what each takes along, and what is made ready for it first. Event loop only."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from cmstream.core.errors import CmstreamError
from cmstream.core.look import look_of
from cmstream.core.params import Params, default_params
from cmstream.engine.base import Engine
from cmstream.scheduler.crossing import returned
from cmstream.session.registry import Registry
from cmstream.session.session import Session
from cmstream.session.state import State

log = logging.getLogger(__name__)


class Handover:
    """To `engine`, whose model goes by `name`. `first_frame_ids` says by stream what the new model styles first."""

    def __init__(self, registry: Registry, engine: Engine, name: str) -> None:
        self.first_frame_ids: Mapping[str, int] = {}
        self._registry = registry
        self._engine = engine
        self._model = registry.served(replace(engine.info, name=name))
        self._ready: dict[Session, tuple[Params, Params]] = {}  # what each had, and what was made ready for that

    def __repr__(self) -> str:
        return f"<Handover to {self._model.name}, {len(self._ready)} streams ready>"

    async def make_ready(self) -> None:
        """Have the engine make ready what streams will ask for by now. Raises what it fails with even on defaults."""
        for session in self._left():
            await self._prepare(session)

    def moves(self, *, at_any_rate: bool = False) -> bool:
        """At the batch boundary: every stream goes over, unless one has changed since, and then none.

        `at_any_rate`, a stream goes over with what was made ready for it last.
        """
        if self._left() and not at_any_rate:
            return False
        for session in [session for session in self._ready if session.state is State.CLOSED]:
            del self._ready[session]
            self._engine.forget(session.stream_id)
        defaults = default_params(self._model.parameters)
        carried = {session: params for session, (_, params) in self._ready.items()}
        self.first_frame_ids = self._registry.adopt(self._model, lambda session: carried.get(session, defaults))
        return True

    def _left(self) -> list[Session]:
        return [session for session in self._registry.sessions() if self._ready.get(session, ())[:1] != (session.params,)]

    async def _prepare(self, session: Session) -> None:
        had = session.params
        carried = session.carried_over(self._model)
        try:
            await self._prepared(session, carried)
        except CmstreamError as error:
            log.warning("stream %s goes over to %s with its defaults: %s", session.name, self._model.name, error)
            carried = default_params(self._model.parameters)
            await self._prepared(session, carried)
        self._ready[session] = had, carried

    async def _prepared(self, session: Session, params: Params) -> None:
        await returned(self._engine.prepare(session.stream_id, look_of(params)))
