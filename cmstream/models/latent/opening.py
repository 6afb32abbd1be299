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
from cmstream.models.latent.controls import with_adapter, with_controlnet
from cmstream.models.latent.hub import FOLDERS, Hub, OnProgress
from cmstream.models.latent.loading import TINY_FOLDER, Loaded, load_folder
from cmstream.models.latent.lora import fuse, read_lora
from cmstream.models.latent.lora_shelf import LoraShelf, Place, lora_places, place_of
from cmstream.models.latent.model import LatentModel
from cmstream.models.latent.reference import PREFIX, HubReference, parse_reference
from cmstream.models.latent.single_file import unpacked
from cmstream.models.latent.students import Student, student_named
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
    """On the hub, a folder, or a single file."""
    few_step: FewStep | None = None


def wanted(told: str) -> Wanted:
    """What a name of the catalogue, `hf:owner/name[@revision]` or a path stands for. Raises NotFound."""
    entry = CATALOGUE.get(told)
    if entry is not None:
        return Wanted(told, entry.title, entry.licence, entry.reference, entry.few_step)
    if told.startswith(PREFIX):
        reference = parse_reference(told)
        name = reference.repository.rpartition("/")[2]
        return Wanted(name, reference.repository, CARD, reference)
    path = Path(told).expanduser()
    name = path.resolve().stem if path.is_file() else path.resolve().name
    return Wanted(name, name, "see where it comes from", path)


def open_latent(told: str, settings: ModelSettings, tell: Tell) -> LatentModel:
    """Load `told`, on the CPU in float32, downloading what is missing.

    Raises NotFound, WeightsRejected, Unavailable, ResourceExhausted or ConfigurationError.
    """
    what, hub = wanted(told), hub_of(settings)
    folder = _folder(hub, what.place, settings, tell)
    tiny = _tiny(hub, folder, settings, tell)
    student, lora = _student(hub, what, settings, tell)
    tell("reading the weights")
    loaded = load_folder(folder, vae=settings.autoencoder, tiny=tiny, student=student)
    if lora is not None:
        fuse(loaded.path.network.module, read_lora(lora, loaded), 1.0)
    if settings.controlnet:
        tell("reading the ControlNet")
        loaded = with_controlnet(loaded, settings.controlnet, lambda of: _whole(hub, of, tell))
    reader = with_adapter(loaded, settings, hub, lambda of: _told(tell, of))
    tell("encoding the first prompt")
    return LatentModel(what.name, what.title, what.licence, loaded, _shelf(hub, settings, loaded), reader, owns=True)


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


def _shelf(hub: Hub, settings: ModelSettings, loaded: Loaded) -> LoraShelf | None:
    places = lora_places(settings.loras)

    return LoraShelf(places, lambda name: _file(hub, places[name], _quiet), loaded) if places else None


def _student(hub: Hub, what: Wanted, settings: ModelSettings, tell: Tell) -> tuple[Student | None, Path | None]:
    """How the model is sampled, where its own configs do not say, and the LoRA that makes it so."""
    if what.few_step is not None:
        place: Place | None = (what.few_step.reference, what.few_step.file)
        name = what.few_step.student
    elif settings.student:
        name, _, told = settings.student.partition("=")
        place = place_of(told) if told else None
    else:
        return None, None
    return student_named(name), None if place is None else _file(hub, place, tell)


def _file(hub: Hub, place: Place, tell: Tell) -> Path:
    return place if isinstance(place, Path) else hub.fetch_file(*place, _told(tell, place[0]))


def _quiet(what: str) -> None:
    """Nobody waits for it alone."""


def _folder(hub: Hub, place: HubReference | Path, settings: ModelSettings, tell: Tell) -> Path:
    if isinstance(place, HubReference):
        return _fetched(hub, place, settings, tell)
    if place.is_dir():
        return place
    tell("unpacking the checkpoint, once")
    return unpacked(place, lambda base: _configs(hub, base, tell), hub.root / "unpacked")


def _configs(hub: Hub, reference: HubReference, tell: Tell) -> Path:
    return _present_or(hub, reference, lambda: hub.fetch(reference, _told(tell, reference), without=FOLDERS))


def _fetched(hub: Hub, reference: HubReference, settings: ModelSettings, tell: Tell) -> Path:
    is_slow = pipeline_of(_configs(hub, reference, tell)).is_slow
    needless = {"vae"} if settings.autoencoder == "tiny" and is_slow else set[str]()
    return _present_or(hub, reference, lambda: hub.fetch(reference, _told(tell, reference), without=frozenset(needless)))


def _tiny(hub: Hub, folder: Path, settings: ModelSettings, tell: Tell) -> Path | None:
    found = pipeline_of(folder)
    if settings.autoencoder == "full" or not found.is_slow or (folder / TINY_FOLDER).is_dir():
        return None
    return _whole(hub, autoencoder_for(found.name), tell)


def _whole(hub: Hub, reference: HubReference, tell: Tell) -> Path:
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
