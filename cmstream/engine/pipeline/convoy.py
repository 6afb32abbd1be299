"""Who waits and who is under way between two evaluations: the books of continuous batching. Pure, issuing thread only.

A tick is one evaluation of all frames of one size that are under way, whatever step each is at. Frames join before it, and
leave after their last; nobody waits for others to come. Frames of one evaluation are done at once, beside the ticks.

A frame waits

- for a row, where as many are under way as the largest batch holds;
- while those under way have other LoRAs: the weights would be written anew for every tick;
- for the frames of its stream before it, where either is led by what was painted before (`Route.remembers`): what it
  remembers is then what it would remember if frames ran one after another, whoever else shares their ticks.

Whoever waits keeps the later frames of its stream behind it, so banks, memories and moved noise see them in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cmstream.core.look import Look
from cmstream.engine.base import EngineInput
from cmstream.engine.pipeline.buffers import Size
from cmstream.engine.pipeline.legs import Route
from cmstream.engine.pipeline.pending import Ticket


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A frame that has not begun."""

    frame: EngineInput
    route: Route
    ticket: Ticket


@dataclass(slots=True, eq=False)
class Traveller:
    """A frame under way. `row` is its place in the buffers of its size."""

    stream_id: int
    look: Look
    route: Route
    size_px: Size
    row: int
    ticket: Ticket
    frame: EngineInput | None
    """Until it has set out: frames are large."""
    step: int = 0
    """Its next evaluation."""

    @property
    def is_last(self) -> bool:
        """Whether it arrives with the next evaluation."""
        return self.step + 1 == self.route.steps


Started: TypeAlias = Waiting | int
"""A frame of one evaluation, or a stream to forget."""


class Convoy:
    """`rows` are those of each size."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._waiting: list[Started] = []
        self._under_way: list[Traveller] = []  # whose turn was longest ago comes first

    def __repr__(self) -> str:
        return f"<Convoy, {len(self._under_way)} under way, {len(self._waiting)} waiting>"

    @property
    def is_empty(self) -> bool:
        return not self._waiting and not self._under_way

    @property
    def holds_back(self) -> bool:
        """Whether somebody waits: one more would as well."""
        return bool(self._waiting)

    def sizes(self) -> set[Size]:
        """Those of the frames under way."""
        return {each.size_px for each in self._under_way}

    def add(self, waiting: Started) -> None:
        """It comes after all that came before."""
        self._waiting.append(waiting)

    def start(self, most: int) -> list[Started]:
        """Let join who may, at most `most` of a size, and return what is to be done at once, in order."""
        at_once: list[Started] = []
        still: list[Started] = []
        held: set[int] = set()
        are_held = False  # frames of several evaluations, whatever their stream
        for each in self._waiting:
            stream_id = each if isinstance(each, int) else each.frame.stream_id
            if stream_id in held or self._is_held(stream_id, each):
                may_go = False
            elif isinstance(each, int) or each.route.steps == 1:
                at_once.append(each)
                may_go = True
            else:
                may_go = not are_held and self._join(each, most)
                are_held = not may_go
            if not may_go:
                held.add(stream_id)
                still.append(each)
        self._waiting = still
        return at_once

    def turn(self, most: int) -> list[Traveller]:
        """Whose turn it is, at most `most`: frames of one size that are evaluated alike. Empty where nobody is under way."""
        if not self._under_way:
            return []
        first = self._under_way[0]
        alike = (first.size_px, first.route.is_twice)
        return [each for each in self._under_way if (each.size_px, each.route.is_twice) == alike][:most]

    def evaluated(self, travellers: Sequence[Traveller]) -> None:
        """They had their turn."""
        self.leave(travellers)
        for each in travellers:
            each.step += 1
        self._under_way += [each for each in travellers if each.step < each.route.steps]

    def leave(self, travellers: Sequence[Traveller]) -> None:
        """They are under way no more. Their rows are free for who joins next: that is later on the compute stream."""
        self._under_way = [each for each in self._under_way if each not in travellers]

    def drop_lost(self) -> None:
        """Nobody waits for the frames of batches that were lost."""
        self._under_way = [each for each in self._under_way if not each.ticket.batch.is_lost]
        self._waiting = [each for each in self._waiting if isinstance(each, int) or not each.ticket.batch.is_lost]

    def _is_held(self, stream_id: int, waiting: Started) -> bool:
        own = [each for each in self._under_way if each.stream_id == stream_id]
        if isinstance(waiting, int):
            return bool(own)
        if waiting.route.steps == 1 and any(each.frame is not None for each in own):
            return True  # it would overtake one whose place in the books is before it
        return any(each.route.remembers or waiting.route.remembers for each in own)

    def _join(self, waiting: Waiting, most: int) -> bool:
        frame, route = waiting.frame, waiting.route
        size_px = frame.height_px, frame.width_px
        taken = {each.row for each in self._under_way if each.size_px == size_px}
        others = self._under_way and self._under_way[0].route.loras != route.loras
        if others or len(taken) >= min(most, self._rows):
            return False
        row = next(row for row in range(self._rows) if row not in taken)
        self._under_way.append(Traveller(frame.stream_id, frame.look, route, size_px, row, waiting.ticket, frame))
        return True
