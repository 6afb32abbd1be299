"""The LoRAs that an operator named: each read once, when the first stream asks for it, on a thread of its own.

`prepare` may be called from any thread and returns at once; `taken` is the engine's and never waits.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import torch

from cmstream.core.errors import CmstreamError, ConfigurationError, EngineFailed, ResourceExhausted, Unavailable
from cmstream.models.latent.encoded import all_of
from cmstream.models.latent.loading import Loaded
from cmstream.models.latent.lora import Lora, read_lora
from cmstream.models.latent.reference import PREFIX, HubReference, parse_place

log = logging.getLogger(__name__)

USUAL_FILE = "pytorch_lora_weights.safetensors"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


Place: TypeAlias = Path | tuple[HubReference, str]
"""Of a LoRA: its file, or its repository and the name of its file in there."""


def lora_places(told: Iterable[str]) -> dict[str, Place]:
    """Of settings such as "ink=ink.safetensors" and "ink=hf:owner/name/file.safetensors". Raises ConfigurationError."""
    places: dict[str, Place] = {}
    for one in told:
        name, equals, place = one.partition("=")
        if not equals or not place or not _NAME.fullmatch(name) or name in places:
            raise ConfigurationError(
                f"models.loras: {one[:80]!r} must be name=path or name=hf:owner/name, each name once, of letters and digits"
            )
        places[name] = place_of(place)
    return places


def place_of(told: str) -> Place:
    """Of a path, `hf:owner/name[@revision]`, or that with the path of a file in it. Raises NotFound."""
    if not told.startswith(PREFIX):
        return Path(told).expanduser()
    reference, file = parse_place(told)
    return reference, file or USUAL_FILE


class LoraShelf:
    """LoRAs by name, for the network of `loaded`. `fetch` finds the file of one, and may download it."""

    def __init__(self, names: Iterable[str], fetch: Callable[[str], Path], loaded: Loaded) -> None:
        self.names = tuple(names)
        self._fetch = fetch
        self._loaded = loaded
        self._device = torch.device("cpu")
        self._lock = threading.Lock()
        self._loras: dict[str, Lora] = {}
        self._pending: dict[str, Future[None]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loras")

    def __repr__(self) -> str:
        return f"<LoraShelf {len(self._loras)} of {len(self.names)}, {len(self._pending)} being read>"

    def to(self, device: torch.device) -> None:
        """Where LoRAs that are read from now on shall lie."""
        self._device = device

    def prepare(self, names: Iterable[str]) -> Future[None]:
        """Have them read. The future raises WeightsRejected, NotFound, Unavailable or ResourceExhausted."""
        with self._lock:
            return all_of([self._ask(name) for name in names if name not in self._loras])

    def taken(self, names: Iterable[str]) -> Mapping[str, Lora]:
        """Those that were prepared. Raises EngineFailed for one that was not."""
        with self._lock:
            missing = [name for name in names if name not in self._loras]
            if missing:
                raise EngineFailed(f"the LoRA {missing[0]!r} was not read before it was asked for")
            return dict(self._loras)

    def close(self) -> None:
        """End the thread; what waits to be read is given up. Closing twice is fine."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _ask(self, name: str) -> Future[None]:
        pending = self._pending.get(name)
        if pending is None:
            try:
                pending = self._pending[name] = self._thread.submit(self._read, name)
            except RuntimeError as error:
                raise Unavailable("the engine is closed") from error
        return pending

    def _read(self, name: str) -> None:
        try:
            lora = read_lora(self._fetch(name), self._loaded).to(self._device)
        except CmstreamError as error:
            log.warning("the LoRA %s cannot be used: %s", name, error)
            raise
        except (RuntimeError, MemoryError) as error:
            log.warning("the LoRA %s cannot be used: %s", name, error)
            raise ResourceExhausted(f"there is no memory for the LoRA {name}; leave it out, or take a smaller model") from error
        else:
            with self._lock:
                self._loras[name] = lora
        finally:
            with self._lock:
                self._pending.pop(name, None)
