"""One engine being built on a thread of its own, while another serves. Made, awaited and called off on the event loop.

The thread is a daemon and of no executor: a server that stops does not wait for a download. Called off, it ends at its next
word or step, and closes what it has built by then.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future

from cmstream.core.clock import Clock
from cmstream.core.errors import CmstreamError, ResourceExhausted, Unavailable
from cmstream.engine.base import Engine, EngineBuilder, Tell
from cmstream.engine.pace import RestfulPace
from cmstream.scheduler.crossing import returned

log = logging.getLogger(__name__)

GRACE_S = 2.0
"""A file that is being read when nobody wants it any more may take so long to notice."""


class Loading:
    """Begins at once. `tell` is called on the loop. `give_up` where nobody awaits `engine` any more."""

    def __init__(self, builder: EngineBuilder, name: str, clock: Clock, tell: Tell) -> None:
        self._builder = builder
        self._name = name
        self._tell = tell
        self._pace = RestfulPace(clock)
        self._is_taken = False
        self._loop = asyncio.get_running_loop()
        self._built: Future[Engine] = Future()
        self._ended: Future[None] = Future()
        threading.Thread(target=self._run, name="model-loading", daemon=True).start()

    def __repr__(self) -> str:
        return f"<Loading {self._name}, {'ended' if self._ended.done() else 'running'}, {self._pace!r}>"

    @property
    def is_running(self) -> bool:
        """Whether its thread has something left to do."""
        return not self._ended.done()

    async def engine(self) -> Engine:
        """The engine, warm, which is the caller's to close from then on. Raises a CmstreamError that says what to do."""
        engine = await returned(self._built)
        self._is_taken = True
        return engine

    async def give_up(self) -> None:
        """End it, and close what was built and nobody took. Waits `GRACE_S` at most, and not again the second time."""
        if self._pace.is_called_off:
            return
        self._pace.call_off()
        try:
            async with asyncio.timeout(GRACE_S):
                await returned(self._ended)
        except TimeoutError:
            log.warning("%r cannot be interrupted and is left as it is", self)
            return
        if not self._is_taken and self._built.exception() is None:
            await asyncio.to_thread(self._built.result().close)

    def _run(self) -> None:
        try:
            engine = self._builder.build(self._name, self._told, self._pace)
        except Exception as error:
            if not isinstance(error, CmstreamError):
                log.exception("the model %s could not be loaded", self._name)
            self._built.set_exception(in_words(error))
        else:
            self._hand_over(engine)
        finally:
            self._ended.set_result(None)

    def _hand_over(self, engine: Engine) -> None:
        if self._pace.is_called_off:
            engine.close()
            self._built.set_exception(Unavailable("nobody waits for this model any more"))
        else:
            self._built.set_result(engine)

    def _told(self, what: str) -> None:
        if self._pace.is_called_off:
            raise Unavailable("nobody waits for this model any more")
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, what)


def in_words(error: Exception) -> CmstreamError:
    """What went wrong while a model was loaded, as one sentence that says what to do."""
    match error:
        case CmstreamError():
            return error
        case MemoryError() | RuntimeError() if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
            return ResourceExhausted(
                "there is too little memory for this model beside the one that serves; start the server with it instead, "
                "lower engine.size_px or engine.batch, or choose a smaller one"
            )
        case OSError():
            return Unavailable(f"the model could not be read or kept: {error.strerror or error}; free or repair the disk")
        case _:
            said = " ".join(str(error).split())[:200]
            return CmstreamError(
                f"the model could not be loaded ({type(error).__name__}: {said}); the server's log has the details"
            )
