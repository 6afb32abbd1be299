"""What goes from the issuing thread to the one that reaps, and back. Data."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from cmstream.engine.base import EngineInput, EngineOutput
from cmstream.engine.pipeline.buffers import Size
from cmstream.engine.pipeline.flight import InFlight
from cmstream.engine.pipeline.pending import Ticket


@dataclass(frozen=True, slots=True)
class Submitted:
    """A batch, and who waits for it."""

    batch: tuple[EngineInput, ...]
    future: Future[list[EngineOutput]]


@dataclass(frozen=True, slots=True)
class Tick:
    """What was measured with one."""

    size_px: Size
    bucket: int


@dataclass(frozen=True, slots=True)
class Launched:
    """Something on the device. What fails there is lost for all of `tickets`; `error` says why it failed before."""

    in_flight: InFlight
    issued_ns: int
    tickets: tuple[Ticket, ...]
    arriving: tuple[Ticket, ...] = ()
    """Whose pictures it brings, in order."""
    tick: Tick | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A batch that never went to the device."""

    ticket: Ticket
    error: Exception


@dataclass(frozen=True, slots=True)
class Reaped:
    """For the issuing thread: a tick is over, or something failed on the device."""

    is_tick: bool
