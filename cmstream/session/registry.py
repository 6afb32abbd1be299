"""All streams of the server: names, admission, lingering, drain. Event loop only."""

from __future__ import annotations

import asyncio
import itertools
import re
from dataclasses import replace

from cmstream.core.clock import Clock
from cmstream.core.errors import InvalidInput, NotFound, ResourceExhausted, Unavailable
from cmstream.core.metrics import Metrics
from cmstream.core.model_info import ModelInfo
from cmstream.core.params import ParameterSpec, watermark_parameter
from cmstream.scheduler.scheduler import Scheduler
from cmstream.session.session import Session, StreamLimits
from cmstream.session.state import State
from cmstream.settings import Settings

NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
_NAME = re.compile(NAME_PATTERN)


def check_name(name: str) -> None:
    """Raises InvalidInput for what cannot name a stream."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot name a stream; use up to 64 letters, digits, '.', '_' or '-', a letter or digit first"
        )


class Registry:
    """Opens, finds and closes streams. Loading until `serve` is called, then serving until `drain`."""

    def __init__(self, settings: Settings, clock: Clock, metrics: Metrics) -> None:
        self.draining = False
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._model: ModelInfo | None = None
        self._scheduler: Scheduler | None = None
        self._sessions: dict[str, Session] = {}
        self._expiries: dict[str, asyncio.TimerHandle] = {}
        self._stream_ids = itertools.count(1)

    def __repr__(self) -> str:
        phase = "draining" if self.draining else "serving" if self.ready else "loading"
        return f"<Registry {phase}, {len(self._sessions)} streams>"

    def serve(self, model: ModelInfo, scheduler: Scheduler) -> None:
        """The model is loaded: streams may open. They know its parameters, and the one of the session itself."""
        self._model = replace(model, parameters=(*model.parameters, watermark_parameter()))
        self._scheduler = scheduler

    @property
    def ready(self) -> bool:
        """Whether a stream could open now, capacity aside."""
        return self._model is not None and not self.draining

    @property
    def model(self) -> ModelInfo:
        """The loaded model. Raises Unavailable while loading."""
        if self._model is None:
            raise Unavailable("the model is still loading; try again in a few seconds")
        return self._model

    @property
    def specs(self) -> tuple[ParameterSpec, ...]:
        """The parameters of the loaded model. Raises Unavailable while loading."""
        return self.model.parameters

    def open(self, name: str) -> Session:
        """The stream `name`, made if need be. Raises InvalidInput, ResourceExhausted or Unavailable."""
        session = self._sessions.get(name)
        if session is not None:
            return session
        self._admit(name)
        assert self._scheduler is not None
        limits = StreamLimits(self._settings.engine.size_px, self._settings.streams.budget_ms)
        stream_id = next(self._stream_ids)
        session = Session(name, stream_id, self.specs, limits, self._scheduler, self._clock, self._metrics, self._changed)
        self._sessions[name] = session
        self._metrics.streams.set(len(self._sessions))
        self._changed(session)
        return session

    def get(self, name: str) -> Session:
        """The open stream `name`. Raises NotFound."""
        session = self._sessions.get(name)
        if session is None:
            raise NotFound(f"no stream is called {name[:64]!r}; GET /api/v1/streams lists those that are open")
        return session

    def sessions(self) -> tuple[Session, ...]:
        """All open streams, oldest first."""
        return tuple(self._sessions.values())

    def check_viewer(self) -> None:
        """Raises ResourceExhausted when no more viewers are admitted."""
        limit = self._settings.streams.max_viewers
        if sum(session.viewers for session in self._sessions.values()) >= limit:
            raise ResourceExhausted(f"the server has its {limit} viewers (streams.max_viewers); try again later")

    def close(self, name: str, reason: str = "the stream was deleted") -> None:
        """End a stream, its publisher and viewers. Raises NotFound."""
        self.get(name).close(reason)

    def drain(self) -> None:
        """Admit nobody any more and tell everybody. Calling twice is fine."""
        self.draining = True
        for session in self.sessions():
            session.drain()

    def close_all(self, reason: str) -> None:
        """End every stream."""
        self.draining = True
        for session in self.sessions():
            session.close(reason)

    def _admit(self, name: str) -> None:
        if self.draining:
            raise Unavailable("the server is shutting down; connect again when it is back")
        check_name(name)
        limit = self._settings.streams.max_streams
        if len(self._sessions) >= limit:
            raise ResourceExhausted(f"the server has its {limit} streams (streams.max_streams); end one or try again later")

    def _changed(self, session: Session) -> None:
        expiry = self._expiries.pop(session.name, None)
        if expiry is not None:
            expiry.cancel()
        if session.state is State.CLOSED:
            self._sessions.pop(session.name, None)
            self._metrics.streams.set(len(self._sessions))
        elif session.publisher is None and session.name in self._sessions:
            linger_s = self._settings.streams.linger_s
            loop = asyncio.get_running_loop()
            self._expiries[session.name] = loop.call_later(linger_s, session.close, f"nobody published for {linger_s:g} s")
