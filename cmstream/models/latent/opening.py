"""From what `--model` says to a latent model in memory: the hub or a folder, its tiny autoencoder, the LoRA it comes with.

Blocking, for minutes where something has to be downloaded; runs where the server or a command starts up. What is under way is
told in words. A repository's configs come first: what cannot be run is refused before gigabytes of it are on the disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cmstream.core.cache_folder import AUTO, cache_folder
from cmstream.core.errors import ConfigurationError, Unavailable
from cmstream.models.latent.catalogue import CARD, CATALOGUE, Entry, FewStep, autoencoder_for
from cmstream.models.latent.checkpoint import pipeline_of
from cmstream.models.latent.hub import FOLDERS, Hub, OnProgress
from cmstream.models.latent.loading import TINY_FOLDER, Loaded, load_folder
from cmstream.models.latent.lora import fuse, read_lora
from cmstream.models.latent.lora_shelf import LoraShelf, lora_places
from cmstream.models.latent.model import LatentModel
from cmstream.models.latent.reference import PREFIX, HubReference, parse_reference
from cmstream.models.latent.students import student_named
from cmstream.settings import ModelSettings

log = logging.getLogger(__name__)

Tell = Callable[[str], None]
"""Hears what is being done, in words, whenever that changes."""

STEP_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be loaded, and how it is called."""

    name: str
    title: str
    licence: str
    place: HubReference | Path
    few_step: FewStep | None = None


def wanted(told: str) -> Wanted:
    """What a name of the catalogue, `hf:owner/name[@revision]` or a folder stands for. Raises NotFound."""
    entry = CATALOGUE.get(told)
    if entry is not None:
        return Wanted(told, entry.title, entry.licence, entry.reference, entry.few_step)
    if told.startswith(PREFIX):
        reference = parse_reference(told)
        name = reference.repository.rpartition("/")[2]
        return Wanted(name, reference.repository, CARD, reference)
    folder = Path(told).expanduser()
    return Wanted(folder.resolve().name, folder.resolve().name, "as its folder says", folder)


def open_latent(told: str, settings: ModelSettings, tell: Tell) -> LatentModel:
    """Load `told`, on the CPU in float32, downloading what is missing.

    Raises NotFound, WeightsRejected, Unavailable, ResourceExhausted or ConfigurationError.
    """
    what, hub = wanted(told), hub_of(settings)
    folder = what.place if isinstance(what.place, Path) else _fetched(hub, what.place, settings, tell)
    tiny = _tiny(hub, folder, settings, tell)
    lora = None if what.few_step is None else fetch_file(hub, what.few_step.reference, what.few_step.file, tell)
    tell("reading the weights")
    student = None if what.few_step is None else student_named(what.few_step.student)
    loaded = load_folder(folder, vae=settings.autoencoder, tiny=tiny, student=student)
    if lora is not None:
        fuse(loaded.path.network.module, read_lora(lora, loaded), 1.0)
    tell("encoding the first prompt")
    return LatentModel(what.name, what.title, what.licence, loaded, _shelf(hub, settings, loaded))


def hub_of(settings: ModelSettings) -> Hub:
    """The hub as the settings see it. Raises ConfigurationError where there is no folder to keep models in."""
    base = cache_folder(AUTO) if settings.folder == AUTO else Path(settings.folder).expanduser()
    if base is None:
        raise ConfigurationError("there is no home folder to keep models in; name one in models.folder")
    return Hub(base / "models" if settings.folder == AUTO else base, offline=settings.offline)


def is_present(entry: Entry, hub: Hub) -> bool:
    """Whether a model of the catalogue was downloaded."""
    folder = hub.folder(entry.reference)
    return folder is not None and any((folder / part).glob("*.safetensors") for part in ("unet", "transformer"))


def fetch_file(hub: Hub, reference: HubReference, file: str, tell: Tell) -> Path:
    """One file of a repository, such as a LoRA."""
    return hub.fetch_file(reference, file, _told(tell, reference))


def _shelf(hub: Hub, settings: ModelSettings, loaded: Loaded) -> LoraShelf | None:
    places = lora_places(settings.loras)

    def fetch(name: str) -> Path:
        place = places[name]
        return place if isinstance(place, Path) else hub.fetch_file(*place, lambda present, total: None)

    return LoraShelf(places, fetch, loaded) if places else None


def _fetched(hub: Hub, reference: HubReference, settings: ModelSettings, tell: Tell) -> Path:
    configs = _present_or(hub, reference, lambda: hub.fetch(reference, _told(tell, reference), without=FOLDERS))
    needless = {"vae"} if settings.autoencoder == "tiny" and pipeline_of(configs).is_slow else set[str]()
    return _present_or(hub, reference, lambda: hub.fetch(reference, _told(tell, reference), without=frozenset(needless)))


def _tiny(hub: Hub, folder: Path, settings: ModelSettings, tell: Tell) -> Path | None:
    found = pipeline_of(folder)
    if settings.autoencoder == "full" or not found.is_slow or (folder / TINY_FOLDER).is_dir():
        return None
    reference = autoencoder_for(found.name)
    return _present_or(hub, reference, lambda: hub.fetch(reference, _told(tell, reference)))


def _present_or(hub: Hub, reference: HubReference, fetch: Callable[[], Path]) -> Path:
    """What `fetch` finds; what was downloaded before, where the hub cannot be asked."""
    try:
        return fetch()
    except Unavailable as error:
        found = hub.folder(reference)
        if found is None:
            raise
        log.warning("running what was downloaded before: %s", error)
        return found


def _told(tell: Tell, reference: HubReference) -> OnProgress:
    last = -1

    def progress(present: int, total: int) -> None:
        nonlocal last
        step = present // STEP_BYTES
        if step != last:
            last = step
            tell(f"downloading {reference}, {present / 1e9:.2f} of {total / 1e9:.2f} GB")

    return progress
