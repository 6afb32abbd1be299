"""A stream on its way to all its WebRTC viewers: which encoders run, and who watches which. Event loop only.

One encoder a codec, a second where some viewers receive much worse than the others; none while nobody watches.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from functools import partial

from cmstream.core.clock import Clock
from cmstream.core.metrics import Metrics
from cmstream.session.session import Session
from cmstream.session.subscription import Subscription
from cmstream.transport.rtc.base import EncoderMaker
from cmstream.transport.rtc.encoders import live_encoder
from cmstream.transport.rtc.feed import Feed
from cmstream.transport.rtc.reception import Quality, shared_bps, usual_bps
from cmstream.transport.rtc.shared_encoder import SharedEncoder

log = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[None, None, None], str], None]
Key = tuple[str, Quality]


class Broadcast:
    """The encoders of one stream. `spawn` runs their tasks, `ended` hears when the last viewer has left."""

    def __init__(
        self,
        stream: str,
        most_bps: int,
        clock: Clock,
        metrics: Metrics,
        codecs: Executor,
        spawn: Spawn,
        ended: Callable[[], None],
        make: EncoderMaker = live_encoder,
    ) -> None:
        self._stream = stream
        self._most_bps = most_bps
        self._clock = clock
        self._metrics = metrics
        self._codecs = codecs
        self._spawn = spawn
        self._ended = ended
        self._make = make
        self._feeds: set[Feed] = set()
        self._encoders: dict[Key, SharedEncoder] = {}

    def __repr__(self) -> str:
        return f"<Broadcast {self._stream}, {len(self._feeds)} viewers, {list(self._encoders.values())}>"

    def join(self, subscription: Subscription) -> Feed:
        """One more viewer; it is encoded for from the moment its sender asks for a frame."""
        feed = Feed(subscription, self._clock, self._start, self._balance, self._leave)
        self._feeds.add(feed)
        return feed

    def _start(self, feed: Feed, codec_name: str) -> None:
        self._move(feed, codec_name, Quality.FULL)
        self._balance(feed)

    def _balance(self, told: Feed) -> None:
        """A viewer told something of its line: serve it what it can take, and all of its codec what they can share.

        Whoever tells nothing is served as before: a viewer that is gone must not have an encode of its own at last.
        """
        name, now_ns = told.codec_name, self._clock.now_ns()
        receptions = [feed.reception for feed in self._feeds if feed.codec_name == name]
        usual, before = usual_bps(receptions, self._most_bps, now_ns), told.reception.quality
        if told.reception.judge(usual, now_ns) is not before:
            line = "stream %s: a viewer goes over to another quality, %r; usual are %s bit/s"
            log.info(line, self._stream, told.reception, usual)
            self._move(told, name, told.reception.quality)
        for (codec_name, _), encoder in self._encoders.items():
            if codec_name == name:
                encoder.aim(shared_bps((feed.reception for feed in encoder.feeds), self._most_bps, now_ns))

    def _move(self, feed: Feed, codec_name: str, quality: Quality) -> None:
        key = (codec_name, quality)
        encoder = self._encoders.get(key)
        if encoder is None:
            encoder = SharedEncoder(codec_name, self._most_bps, self._clock, self._metrics, self._codecs, self._make)
            self._encoders[key] = encoder
            self._metrics.encoders.labels(codec_name.lower()).inc()
            self._spawn(self._contained(encoder), f"encoder {codec_name} {self._stream}")
        self._withdraw(feed)
        encoder.add(feed)

    def _withdraw(self, feed: Feed) -> None:
        for (codec_name, quality), encoder in tuple(self._encoders.items()):
            if feed in encoder.feeds:
                encoder.remove(feed)
                if not encoder.feeds:
                    encoder.close()
                    del self._encoders[codec_name, quality]
                    self._metrics.encoders.labels(codec_name.lower()).dec()

    def _leave(self, feed: Feed) -> None:
        self._feeds.discard(feed)
        self._withdraw(feed)
        if not self._feeds:
            self._ended()

    async def _contained(self, encoder: SharedEncoder) -> None:
        """An encoder that fails ends its own viewers, and nothing else."""
        try:
            await encoder.run()
        except Exception:
            self._metrics.errors.labels("encoder_failed").inc()
            log.exception("stream %s: %r failed", self._stream, encoder)
            for feed in tuple(encoder.feeds):
                feed.close()


class Broadcasts:
    """The broadcasts of all streams that are watched over WebRTC."""

    def __init__(
        self, most_bps: int, clock: Clock, metrics: Metrics, codecs: Executor, spawn: Spawn, make: EncoderMaker = live_encoder
    ) -> None:
        self._most_bps = most_bps
        self._clock = clock
        self._metrics = metrics
        self._codecs = codecs
        self._spawn = spawn
        self._make = make
        self._running: dict[Session, Broadcast] = {}

    def __repr__(self) -> str:
        return f"<Broadcasts {list(self._running.values())}>"

    def join(self, session: Session, subscription: Subscription) -> Feed:
        """Watch `session`; leave the feed when the viewer goes."""
        broadcast = self._running.get(session)
        if broadcast is None:
            ended = partial(self._forget, session)
            shared = (self._most_bps, self._clock, self._metrics, self._codecs, self._spawn)
            broadcast = self._running[session] = Broadcast(session.name, *shared, ended, self._make)
        return broadcast.join(subscription)

    def _forget(self, session: Session) -> None:
        del self._running[session]
