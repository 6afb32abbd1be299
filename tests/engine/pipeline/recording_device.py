"""A device that keeps books: it orders every access by vector clocks, and does its work late and in any order that is allowed.

Agents are streams and host threads. A stream learns what a host thread knows with each call, what an event knows with a wait;
a thread learns from an event it waits for, and from what another thread hands over. Two accesses to a buffer, one of them a
write, of which the later does not know of the earlier, are a race: no luck with timing hides it. The work itself is done on the
CPU at random times that the order allows, so that every picture can be held against the right one; after a race it is left out.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, TypeAlias

import torch
from torch import Tensor

from cmstream.engine.pipeline.device import Buffer, Event, Graph, Handover, Work

Clock: TypeAlias = dict[str, int]


@dataclass
class History:
    """The accesses to a buffer that a later one has to know of: by agent, its time."""

    writes: Clock = field(default_factory=dict)
    reads: Clock = field(default_factory=dict)


@dataclass
class Task:
    """What a stream has still to do; `ready` says whether what it waits for has happened."""

    do: Callable[[], None]
    ready: Callable[[], bool] = lambda: True


class RecordingEvent:
    """See `Event`."""

    def __init__(self, device: RecordingDevice) -> None:
        self._device = device
        self.clock: Clock = {}
        self.recorded = 0  # how often it was asked for, and how often it has passed
        self.passed = 0
        self.at = 0

    def query(self) -> bool:
        """See `Event`."""
        return self.passed >= self.recorded

    def synchronize(self) -> None:
        """See `Event`. A device without the faculty to wait is one of the faults."""
        if not self._device.skips_synchronize:
            self._device.run_until(self.query)
            self._device.learn(self._device.agent(), self.clock)

    def elapsed_ms(self, since: Event) -> float:
        """See `Event`."""
        assert isinstance(since, RecordingEvent)
        return float(max(0, self.at - since.at))


class RecordingStream:
    """See `Stream`."""

    def __init__(self, device: RecordingDevice, name: str) -> None:
        self.name = name
        self.tasks: deque[Task] = deque()
        self._device = device

    def copy(self, target: Buffer, source: Buffer, nbytes: int) -> None:
        """See `Stream`."""
        self.run(lambda down, up: up[:nbytes].copy_(down[:nbytes]), [source], [target])

    def run(self, work: Work, reads: Sequence[Buffer], writes: Sequence[Buffer]) -> None:
        """See `Stream`."""
        with self._device.lock:
            self._device.learn(self.name, self._device.now(self._device.agent()))
            self._device.access(self.name, reads, writes)
            done = partial(work, *(buffer.memory for buffer in (*reads, *writes)))
            self.tasks.append(Task(lambda: None if self._device.races else done()))
            self._device.some_progress()

    def replay(self, graph: Graph) -> None:
        """See `Stream`."""
        self.run(lambda *_: graph.launch(), graph.reads, graph.writes)

    def record(self, event: Event) -> None:
        """See `Stream`."""
        assert isinstance(event, RecordingEvent)
        with self._device.lock:
            self._device.learn(self.name, self._device.now(self._device.agent()))
            event.clock = dict(self._device.now(self.name))
            event.recorded += 1
            self.tasks.append(Task(partial(self._pass, event, event.recorded)))

    def wait(self, event: Event) -> None:
        """See `Stream`."""
        assert isinstance(event, RecordingEvent)
        if self.name in self._device.skips_wait_of:
            return
        with self._device.lock:
            self._device.learn(self.name, event.clock)
            nth = event.recorded
            self.tasks.append(Task(lambda: None, lambda: event.passed >= nth))

    def _pass(self, event: RecordingEvent, nth: int) -> None:
        event.passed, event.at = nth, self._device.done


class RecordingHandover:
    """See `Handover`. With the item goes what its giver knows."""

    def __init__(self, device: RecordingDevice) -> None:
        self._device = device
        self._items: queue.SimpleQueue[tuple[Any, Clock]] = queue.SimpleQueue()

    def put(self, item: Any, /) -> None:
        """See `Handover`."""
        with self._device.lock:
            self._items.put((item, dict(self._device.now(self._device.agent()))))

    def get(self) -> Any:
        """See `Handover`."""
        item, clock = self._items.get()
        if not self._device.forgets_handovers:
            self._device.learn(self._device.agent(), clock)
        return item


class RecordingDevice:
    """See `Device`. `races` is what was found. The faults are what a test leaves out, to see that it is missed."""

    torch_device = torch.device("cpu")

    def __init__(
        self,
        seed: int,
        *,
        skips_wait_of: Sequence[str] = (),
        skips_synchronize: bool = False,
        forgets_handovers: bool = False,
    ) -> None:
        self.skips_wait_of = skips_wait_of
        self.skips_synchronize = skips_synchronize
        self.forgets_handovers = forgets_handovers
        self.lock = threading.RLock()
        self.races: list[str] = []
        self.accesses = 0
        self.done = 0
        self._random = Random(seed)
        self._streams: list[RecordingStream] = []
        self._clocks: dict[str, Clock] = {}
        self._histories: dict[Buffer, History] = {}
        self._as: dict[int, str] = {}

    @contextmanager
    def acting_as(self, agent: str) -> Iterator[None]:
        """What this thread does in this context is done by the host thread `agent`."""
        me = threading.get_ident()
        before = self._as.get(me)
        self._as[me] = agent
        yield
        self._as[me] = before or threading.current_thread().name

    def agent(self) -> str:
        return self._as.get(threading.get_ident(), threading.current_thread().name)

    def now(self, agent: str) -> Clock:
        return self._clocks.setdefault(agent, {})

    def learn(self, agent: str, of: Clock) -> None:
        with self.lock:
            mine = self.now(agent)
            for other, time in of.items():
                mine[other] = max(mine.get(other, 0), time)

    def access(self, agent: str, reads: Sequence[Buffer], writes: Sequence[Buffer]) -> None:
        """`agent` does one thing that touches these."""
        mine = self.now(agent)
        mine[agent] = mine.get(agent, 0) + 1
        self.accesses += len(reads) + len(writes)
        for buffer in reads:
            history = self._histories.setdefault(buffer, History())
            self._check(buffer, f"{agent} reads", mine, history.writes, "was written by")
            history.reads[agent] = mine[agent]
        for buffer in writes:
            history = self._histories.setdefault(buffer, History())
            self._check(buffer, f"{agent} writes", mine, history.writes, "was written by")
            self._check(buffer, f"{agent} writes", mine, history.reads, "is read by")
            history.writes[agent] = mine[agent]

    def run_until(self, reached: Callable[[], bool]) -> None:
        """Work on, in any order that is allowed."""
        with self.lock:
            while not reached():
                assert self._step(), "the device waits for what will never be"

    def some_progress(self) -> None:
        for _ in range(self._random.choice((0, 0, 1, 2, 8))):
            self._step()

    def stream(self, name: str, *, urgent: bool = False) -> RecordingStream:
        """See `Device`."""
        self._streams.append(RecordingStream(self, name))
        return self._streams[-1]

    def event(self) -> RecordingEvent:
        """See `Device`."""
        return RecordingEvent(self)

    def handover(self) -> Handover:
        """See `Device`."""
        return RecordingHandover(self)

    def host_buffer(self, name: str, nbytes: int) -> Buffer:
        """See `Device`."""
        return self.device_buffer(name, (nbytes,), torch.uint8)

    def device_buffer(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Buffer:
        """See `Device`. What was never written is poison."""
        return Buffer(name, torch.full(shape, torch.nan if dtype.is_floating_point else 99, dtype=dtype))

    def host_read(self, buffer: Buffer) -> Tensor:
        """See `Device`."""
        with self.lock:
            self.access(self.agent(), [buffer], [])
        return buffer.memory

    def host_write(self, buffer: Buffer) -> Tensor:
        """See `Device`."""
        with self.lock:
            self.access(self.agent(), [], [buffer])
        return buffer.memory

    def capture(self, work: Work, reads: Sequence[Buffer], writes: Sequence[Buffer]) -> Graph:
        """See `Device`."""
        return Graph(tuple(reads), tuple(writes), partial(work, *(buffer.memory for buffer in (*reads, *writes))))

    def release_memory(self) -> None:
        """See `Device`. Waits for all."""
        self.run_until(lambda: not any(stream.tasks for stream in self._streams))

    def _step(self) -> bool:
        able = [stream for stream in self._streams if stream.tasks and stream.tasks[0].ready()]
        if able:
            with torch.inference_mode():
                self._random.choice(able).tasks.popleft().do()
            self.done += 1
        return bool(able)

    def _check(self, buffer: Buffer, what: str, knows: Clock, earlier: Clock, how: str) -> None:
        unknown = [agent for agent, time in earlier.items() if knows.get(agent, 0) < time]
        self.races += [f"{what} {buffer.name!r}, which {how} {agent} at an unknown time" for agent in unknown]
