"""All streams of the server: names, admission, lingering, drain. Event loop only."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable
from dataclasses import replace

from cmstream.core.clock import Clock
from cmstream.core.errors import Conflict, InvalidInput, NotFound, ResourceExhausted, Unavailable
from cmstream.core.geometry import ladder_px
from cmstream.core.metrics import Metrics
from cmstream.core.model_info import ModelInfo
from cmstream.core.params import ParameterSpec, Params, budget_parameter, skip_still_parameter, watermark_parameter
from cmstream.scheduler.admission import USUAL_HZ, Demand, Refusal, refusal
from cmstream.scheduler.scheduler import Scheduler
from cmstream.session.ladder import StreamLadder
from cmstream.session.session import Session
from cmstream.session.state import State
from cmstream.settings import Settings

RETRY_AFTER_S = 15
"""How long it takes, about, until another stream's end or another minute's load is worth asking again."""

NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
_NAME = re.compile(NAME_PATTERN)


def check_name(name: str) -> None:
    """Raises InvalidInput for what cannot name a stream."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot name a stream; use up to 64 letters, digits, '.', '_' or '-', a letter or digit first"
        )


def working_sizes_px(settings: Settings) -> tuple[int, ...]:
    """The working sizes that a stream may be brought to, full size first; that one alone where nothing adapts."""
    size_px = settings.engine.size_px
    return ladder_px(size_px, settings.streams.lowest_px) if settings.streams.adapt else (size_px,)


class Registry:
    """Opens, finds and closes streams. Loading until `serve` is called, then serving until `drain`."""

    def __init__(self, settings: Settings, clock: Clock, metrics: Metrics) -> None:
        self.draining = False
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._model: ModelInfo | None = None
        self._loading = "loading the model"
        self._scheduler: Scheduler | None = None
        self._sessions: dict[str, Session] = {}
        self._expiries: dict[str, asyncio.TimerHandle] = {}
        self._stream_ids = itertools.count(1)

    def __repr__(self) -> str:
        phase = "draining" if self.draining else "serving" if self.ready else "loading"
        return f"<Registry {phase}, {len(self._sessions)} streams>"

    def serve(self, model: ModelInfo, scheduler: Scheduler) -> None:
        """The model is loaded: streams may open. They know its parameters, and those of the session itself."""
        self._model = self.served(model)
        self._scheduler = scheduler
        self._metrics.engine_busy.set_function(lambda: scheduler.load.busy())

    def served(self, model: ModelInfo) -> ModelInfo:
        """`model` with the parameters of this server beside its own."""
        streams = self._settings.streams
        own = (budget_parameter(streams.budget_ms), skip_still_parameter(streams.skip_still), watermark_parameter())
        return replace(model, parameters=(*model.parameters, *own))

    def adopt(self, model: ModelInfo, params_of: Callable[[Session], Params]) -> dict[str, int]:
        """Another model, as `served` gives it, styles from now on, every stream with `params_of` it; nothing may be in flight.

        Returns the first frame of each stream that it styles.
        """
        self._model = model
        return {session.name: session.adopt(model, params_of(session)) for session in self.sessions()}

    def tell_loading(self, what: str) -> None:
        """What is being done before the model is there, in words; `/readyz` and whoever comes too early are told."""
        self._loading = what

    @property
    def loading(self) -> str:
        """The same; empty once it is loaded."""
        return "" if self.loaded else self._loading

    @property
    def loaded(self) -> bool:
        """Whether the model is known."""
        return self._model is not None

    @property
    def ready(self) -> bool:
        """Whether a stream could open now, capacity aside."""
        return self._model is not None and not self.draining and not self.fault

    @property
    def fault(self) -> str:
        """What is wrong with the engine; empty while it works, and while the model is loading."""
        return "" if self._scheduler is None else self._scheduler.health.fault

    @property
    def hangs(self) -> bool:
        """Whether a batch does not come back from the engine."""
        return self._scheduler is not None and self._scheduler.health.hung

    @property
    def model(self) -> ModelInfo:
        """The loaded model, with the parameters of this server beside its own. Raises Unavailable while loading."""
        if self._model is None:
            raise Unavailable(f"the model is still loading ({self._loading}); try again in a few seconds")
        return self._model

    @property
    def specs(self) -> tuple[ParameterSpec, ...]:
        """The parameters of every stream. Raises Unavailable while loading."""
        return self.model.parameters

    def open(self, name: str, budget_ms: float | None = None) -> Session:
        """The stream `name`, made if need be. Raises InvalidInput, ResourceExhausted or Unavailable.

        `budget_ms` is what its publisher will set, where that is known: a stream is admitted for its budget.
        """
        session = self._sessions.get(name)
        if session is not None:
            return session
        self._check_phase()
        check_name(name)
        self._admit(budget_ms or self._settings.streams.budget_ms)
        assert self._scheduler is not None
        # A newcomer starts where load has brought the others: at full size it would cost them more than it was admitted for.
        rung = max((other.rung for other in self._sessions.values()), default=0)
        ladder = StreamLadder(working_sizes_px(self._settings), rung, self._clock)
        stream_id = next(self._stream_ids)
        session = Session(name, stream_id, self.model, ladder, self._scheduler, self._clock, self._metrics, self._changed)
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

    def live(self, name: str) -> Session:
        """The stream `name`, if somebody publishes it. Raises Conflict, which says to come back."""
        session = self._sessions.get(name)
        if session is None or session.publisher is None:
            raise Conflict(f"nobody publishes {name[:64]!r} now; try again when somebody does")
        return session

    def sessions(self) -> tuple[Session, ...]:
        """All open streams, oldest first."""
        return tuple(self._sessions.values())

    def check_viewer(self) -> None:
        """Raises ResourceExhausted when no more viewers are admitted."""
        limit = self._settings.streams.max_viewers
        if sum(session.viewers for session in self._sessions.values()) >= limit:
            self._metrics.refusals.labels("max_viewers").inc()
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

    def _check_phase(self) -> None:
        if self.draining:
            raise Unavailable("the server is shutting down; connect again when it is back")
        assert self.model  # or it raises that the model is loading
        if self.fault:
            raise Unavailable(self.fault)

    def _admit(self, budget_ms: float) -> None:
        limit = self._settings.streams.max_streams
        if len(self._sessions) >= limit:
            self._metrics.refusals.labels("max_streams").inc()
            raise ResourceExhausted(f"the server has its {limit} streams (streams.max_streams); end one or try again later")
        refused = self._refusal(budget_ms)
        if refused is not None:
            self._metrics.refusals.labels("engine").inc()
            raise ResourceExhausted(str(refused), retry_after_s=RETRY_AFTER_S)

    def _refusal(self, budget_ms: float) -> Refusal | None:
        assert self._scheduler is not None
        load = self._scheduler.load
        lowest_px = working_sizes_px(self._settings)[-1]
        cost_ms = load.cost_ms(lowest_px * lowest_px)
        if cost_ms is None:
            return None  # nothing of such a size has run yet
        demands = [demand for session in self._sessions.values() if (demand := session.demand()) is not None]
        newcomer = Demand(USUAL_HZ, cost_ms, budget_ms, load.stay_ms(lowest_px * lowest_px) or 0.0)
        return refusal(demands, newcomer, load.busy())

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
