"""Which packets of a stream are missing, and when each is asked for again (RFC 4585, 6.2.1). Event loop only.

aiortc asks for a packet once, when the next one comes; where that request or its answer is lost too, the picture stands until
the gap is given up. Here every request is repeated as long as its answer could still be of use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiortc.rtp import RtpPacket

from cmstream.core.clock import NS_PER_MS, NS_PER_S, MonotonicClock

MOST_MISSING = 512  # as many as the jitter buffer holds; a jump beyond is another stream, not a loss
MOST_ASKED = 128  # packets in one request
ASKS = 8  # requests for one packet
LEAST_WAIT_MS = 4.0  # for a packet that may only have been overtaken,
MOST_WAIT_MS = 20.0  # which is not waited for any longer
WAIT_MORE = 1.2  # than the latest that came by itself: else nobody would learn how late they may come
FORGETTING = 1 / 256  # of that, with each packet that comes in order
ANSWERED_FOR_MS = 250.0  # a packet that comes again after so long does not tell that it had not been lost
ANSWER_MS = 40.0  # until one has been measured
SHORTEST_MS, LONGEST_MS = 15.0, 150.0  # between two requests
SMOOTHING = 1 / 8
PATIENCE_ANSWERS = 3.5  # for a gap: a lost request, or a lost answer, is made up for
PATIENCE_MS, MOST_PATIENCE_MS = 80.0, 250.0  # and never less nor more


@dataclass(slots=True)
class _Missing:
    since_ns: int
    due_ns: int
    asked_ns: int | None = None
    asks: int = 0


class Nacks:
    """In place of aiortc's `NackGenerator`, whose `add` it has; `run` sends the requests, on a timer."""

    def __init__(self, now_ns: Callable[[], int] | None = None) -> None:
        self._now_ns = now_ns or MonotonicClock().now_ns
        self._newest: int | None = None
        self._missing: dict[int, _Missing] = {}
        self._overtaken_ms = 0.0
        self._answer_ms = ANSWER_MS
        self._answered: dict[int, tuple[_Missing, int]] = {}  # with when they came, in that order
        self._changed = asyncio.Event()
        self.ssrc = 0

    def __repr__(self) -> str:
        return f"<Nacks {len(self._missing)} missing, answers take {self._answer_ms:.0f} ms>"

    @property
    def missing(self) -> set[int]:
        """The sequence numbers that are still hoped for."""
        return set(self._missing)

    @property
    def patience_ns(self) -> int:
        """How long a gap is worth waiting for: a lost request or a lost answer can be made up for."""
        wanted_ms = self._wait_ms + PATIENCE_ANSWERS * self._answer_ms
        return round(min(max(wanted_ms, PATIENCE_MS), MOST_PATIENCE_MS) * NS_PER_MS)

    def add(self, packet: RtpPacket) -> bool:
        """Note what came. Always False: nothing is to be asked for by the caller."""
        number = packet.sequence_number
        if self._newest is None or packet.ssrc != self.ssrc:
            self._newest, self.ssrc = number, packet.ssrc
            self._missing.clear()
            self._answered.clear()
            return False
        ahead = (number - self._newest) & 0xFFFF
        if 0 < ahead < 0x8000:
            self._advance(ahead)
        else:
            self._came(number)
        return False

    def due(self) -> list[int]:
        """What is to be asked for now, oldest first; it counts as asked for. What is too old is forgotten."""
        now_ns = self._now_ns()
        for number in [one for one, missing in self._missing.items() if self._hopeless(missing, now_ns)]:
            del self._missing[number]
        asked = [one for one, missing in self._missing.items() if missing.due_ns <= now_ns][:MOST_ASKED]
        for number in asked:
            missing = self._missing[number]
            missing.asks += 1
            missing.asked_ns = now_ns if missing.asked_ns is None else missing.asked_ns
            missing.due_ns = now_ns + self._interval_ns()
        return asked

    def next_due_ns(self) -> int | None:
        """When something is to be asked for next; None while nothing is missing."""
        return min((missing.due_ns for missing in self._missing.values()), default=None)

    async def run(self, send: Callable[[int, list[int]], Awaitable[None]]) -> None:
        """Ask with `send(ssrc, numbers)` for what is missing, until cancelled."""
        while True:
            self._changed.clear()
            due_ns = self.next_due_ns()
            wait_s = None if due_ns is None else max(0.0, (due_ns - self._now_ns()) / NS_PER_S)
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                numbers = self.due()
                if numbers:
                    await send(self.ssrc, sorted(numbers))  # aiortc cannot write them in another order

    def _advance(self, ahead: int) -> None:
        assert self._newest is not None
        if ahead > MOST_MISSING:
            self._missing.clear()
        elif ahead > 1:
            now_ns = self._now_ns()
            due_ns = now_ns + round(self._wait_ms * NS_PER_MS)
            for step in range(1, ahead):
                self._missing[(self._newest + step) & 0xFFFF] = _Missing(now_ns, due_ns)
            while len(self._missing) > MOST_MISSING:
                del self._missing[next(iter(self._missing))]
            self._changed.set()
        self._settle(self._now_ns())
        self._overtaken_ms *= 1 - FORGETTING
        self._newest = (self._newest + ahead) & 0xFFFF

    @property
    def _wait_ms(self) -> float:
        return min(max(LEAST_WAIT_MS, WAIT_MORE * self._overtaken_ms), MOST_WAIT_MS)

    def _came(self, number: int) -> None:
        now_ns = self._now_ns()
        missing = self._missing.pop(number, None)
        if missing is None:
            self._came_again(number, now_ns)
        elif missing.asked_ns is None:
            self._overtaken_ms = max(self._overtaken_ms, (now_ns - missing.since_ns) / NS_PER_MS)
        else:
            self._answered[number] = (missing, now_ns)

    def _came_again(self, number: int, now_ns: int) -> None:
        """The answer to a request for what was not lost: now it is known how late that came, and how long answers take."""
        missing, came_ns = self._answered.pop(number, (None, 0))
        if missing is not None and missing.asked_ns is not None:
            self._overtaken_ms = max(self._overtaken_ms, (came_ns - missing.since_ns) / NS_PER_MS)
            self._took((now_ns - missing.asked_ns) / NS_PER_MS)

    def _settle(self, now_ns: int) -> None:
        """What was asked for, came and did not come again was the answer."""
        while self._answered:
            number, (missing, came_ns) = next(iter(self._answered.items()))
            if now_ns - came_ns < ANSWERED_FOR_MS * NS_PER_MS and len(self._answered) <= MOST_MISSING:
                return
            del self._answered[number]
            if missing.asked_ns is not None:
                self._took((came_ns - missing.asked_ns) / NS_PER_MS)

    def _took(self, answer_ms: float) -> None:
        self._answer_ms += SMOOTHING * (min(answer_ms, MOST_PATIENCE_MS) - self._answer_ms)

    def _interval_ns(self) -> int:
        return round(min(max(self._answer_ms, SHORTEST_MS), LONGEST_MS) * NS_PER_MS)

    def _hopeless(self, missing: _Missing, now_ns: int) -> bool:
        """Where this process stood still, time alone says nothing of what is on its way."""
        return missing.asks >= ASKS or (missing.asks >= 2 and now_ns - missing.since_ns > self.patience_ns)
