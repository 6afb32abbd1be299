"""All recordings of the server: admission, limits, their ends. Event loop only; its tasks live in one TaskGroup."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from pathlib import Path
from typing import Any

from cmstream.core.clock import Clock
from cmstream.core.errors import NotFound, ResourceExhausted, Unavailable
from cmstream.core.metrics import Metrics
from cmstream.session.registry import Registry
from cmstream.session.session import Session
from cmstream.session.watch import Watch
from cmstream.settings import RecordingSettings
from cmstream.transport.recording.destination import MB, LimitedFile, prepare_folder
from cmstream.transport.recording.recording import Recording, Request

log = logging.getLogger(__name__)

MOST_KEPT = 256  # ended recordings that are still told of; their files stay in any case
CLOSE_S = 5.0
CHECK_S = 3600.0  # a watch is woken by every change; this only bounds the wait


class Recordings:
    """`start` before use, `stop` at the end."""

    def __init__(self, settings: RecordingSettings, registry: Registry, metrics: Metrics, clock: Clock) -> None:
        self._settings = settings
        self._folder = Path(settings.folder)
        self._registry = registry
        self._metrics = metrics
        self._clock = clock
        self._running: dict[str, Recording] = {}
        self._ended: deque[Recording] = deque(maxlen=MOST_KEPT)
        self._tasks: asyncio.TaskGroup | None = None

    def __repr__(self) -> str:
        return (
            f"<Recordings {len(self._running)} of {self._settings.max_recordings}, into {self._settings.folder or 'nothing'}>"
        )

    @property
    def enabled(self) -> bool:
        """Whether this server records at all."""
        return bool(self._settings.folder)

    async def start(self) -> None:
        """Make the folder. Raises ConfigurationError when nothing can be written there."""
        if self.enabled:
            await asyncio.to_thread(prepare_folder, self._folder)
        self._tasks = await asyncio.TaskGroup().__aenter__()

    async def stop(self) -> None:
        """End all recordings and their files, in the task that called `start`. Stopping twice is fine."""
        for recording in tuple(self._running.values()):
            recording.end("the server is shutting down")
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            await tasks.__aexit__(None, None, None)

    def known(self, stream: str | None = None) -> list[Recording]:
        """Those that run and those that ended of late, oldest first; of one stream, or of all."""
        every = (*self._ended, *self._running.values())
        return [recording for recording in every if stream in (None, recording.stream)]

    def find(self, stream: str, recording_id: str) -> Recording:
        """One of them. Raises NotFound."""
        for recording in self.known(stream):
            if recording.recording_id == recording_id:
                return recording
        raise NotFound(f"no such recording of {stream[:64]!r}; GET /api/v1/streams/{stream[:64]}/recordings lists them")

    async def record(self, stream: str, what: str | None = None, container: str | None = None) -> Recording:
        """Begin one. Raises NotFound where nothing is recorded, Conflict when nobody publishes, else as admission does."""
        if not self.enabled:
            raise NotFound("this server does not record; set recording.folder (CMSTREAM_RECORDING__FOLDER) to a folder of it")
        session = self._registry.live(stream)
        request = self._request(what, container)
        self._admit(request)
        recording = Recording(session, request, self._folder, self._clock)
        self._running[recording.recording_id] = recording  # from here on it counts
        self._metrics.recordings.inc()
        try:
            await self._begin(recording)
        except BaseException:
            self._forget(recording)
            raise
        assert self._tasks is not None, "start() first"
        self._tasks.create_task(self._life(recording, session), name=f"recording {stream}")
        log.info("stream %s: recording into %s", stream, recording.path.name)
        return recording

    async def end(self, stream: str, recording_id: str) -> Recording:
        """End one, if it still runs; its file is closed when this returns. Raises NotFound."""
        recording = self.find(stream, recording_id)
        recording.end("it was ended by request")
        await recording.closed()
        return recording

    def _request(self, what: str | None, container: str | None) -> Request:
        values: dict[str, Any] = {"what": what or "styled", "container": container or self._settings.container}
        return Request(**values)

    def _admit(self, request: Request) -> None:
        limit = self._settings.max_recordings
        if len(self._running) >= limit:
            self._metrics.refusals.labels("max_recordings").inc()
            raise ResourceExhausted(f"the server has its {limit} recordings (recording.max_recordings); end one first")
        if request.what == "styled":
            self._registry.check_viewer()

    async def _begin(self, recording: Recording) -> None:
        settings = self._settings
        try:
            file = await asyncio.to_thread(LimitedFile, recording.path, settings.max_mb * MB, settings.keep_free_mb * MB)
        except OSError as error:
            raise Unavailable(f"no file can be made in recording.folder: {error.strerror}") from error
        try:
            recording.begin(file)
        except BaseException:  # the stream was closed meanwhile
            await asyncio.to_thread(file.discard)
            raise

    async def _life(self, recording: Recording, session: Session) -> None:
        """Run one to its end; no fault of it reaches another."""
        try:
            with session.watch() as watch:
                async with asyncio.TaskGroup() as tasks:
                    watching = tasks.create_task(self._closed(recording, session, watch))
                    await recording.record(60 * self._settings.max_minutes, CLOSE_S)
                    watching.cancel()
        except Exception:
            self._metrics.errors.labels("recording_failed").inc()
            log.exception("stream %s: %r failed", recording.stream, recording)
        finally:
            self._forget(recording)
            self._ended.append(recording)
            self._metrics.recordings_ended.labels(recording.outcome).inc()
            tell = log.warning if recording.outcome == "failed" else log.info
            tell("stream %s: %s: %s", recording.stream, recording.path.name, recording.reason)

    async def _closed(self, recording: Recording, session: Session, watch: Watch) -> None:
        while not watch.closed:
            await watch.changed(CHECK_S)
        recording.end(session.reason or "the stream closed")

    def _forget(self, recording: Recording) -> None:
        del self._running[recording.recording_id]
        self._metrics.recordings.dec()
